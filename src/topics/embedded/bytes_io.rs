//! Reading and writing the numbers of the format: little-endian, LEB128, zigzag. Reads answer `None` past the end.

/// A place in bytes from outside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// At the front of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The next `len` bytes.
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*taken)
    }

    /// Two bytes.
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes.
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Eight bytes, signed.
    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// LEB128 of at most ten bytes; bits beyond 64 are refused.
    #[inline]
    pub(super) fn varint(&mut self) -> Option<u64> {
        let (&first, rest) = self.bytes.split_first()?;
        if first < 0x80 {
            self.bytes = rest;
            return Some(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        for (i, &byte) in rest.iter().enumerate().take(9) {
            let bits = u64::from(byte & 0x7f);
            let shift = 7 * (i + 1);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                self.bytes = &rest[i + 1..];
                return Some(value);
            }
        }
        None
    }

    /// A varint that holds a signed number.
    #[inline]
    pub(super) fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Length + 1, or 0 for null.
    #[inline]
    #[expect(clippy::option_option, reason = "outside: past the end; inside: null")]
    pub(super) fn nullable_len(&mut self) -> Option<Option<u32>> {
        match self.varint()? {
            0 => Some(None),
            len => u32::try_from(len - 1).ok().map(Some),
        }
    }
}

/// Writes LEB128.
#[inline]
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("seven bits"));
}

/// Writes a signed number as a varint.
#[inline]
pub(super) fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Writes length + 1, or 0 for null.
#[inline]
pub(super) fn put_nullable_len(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    put_varint(out, bytes.map_or(0, |bytes| bytes.len() as u64 + 1));
}

#[cfg(test)]
mod tests {
    use super::{Cursor, put_varint, put_zigzag};

    #[test]
    fn numbers_come_back_and_cut_ones_are_refused() {
        let mut numbers: Vec<u64> = (0..64).flat_map(|bit| [1_u64 << bit, (1_u64 << bit) - 1]).collect();
        numbers.push(u64::MAX);
        for number in numbers {
            let mut out = vec![];
            put_varint(&mut out, number);
            assert_eq!(Cursor::new(&out).varint(), Some(number));
            assert_eq!(Cursor::new(&out[..out.len() - 1]).varint(), None);
            let signed = number.cast_signed();
            for signed in [signed, signed.wrapping_neg()] {
                out.clear();
                put_zigzag(&mut out, signed);
                assert_eq!(Cursor::new(&out).zigzag(), Some(signed));
            }
        }
        assert_eq!(Cursor::new(&[0xff; 20]).varint(), None);
    }
}
