//! Whole numbers of any length by schoolbook arithmetic on decimal digits: slow, and nothing like what they check.

use std::cmp::Ordering;
use std::fmt;

/// A whole number.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Big {
    negative: bool,
    /// Least significant first, without zeros at the end.
    digits: Vec<u8>,
}

impl Big {
    /// Reads `-12`.
    pub(crate) fn read(text: &str) -> Self {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        Self::of(negative, digits.bytes().rev().map(|byte| byte - b'0').collect())
    }

    pub(crate) fn ten_to(power: u32) -> Self {
        Self::read(&format!("1{}", "0".repeat(power as usize)))
    }

    fn of(negative: bool, mut digits: Vec<u8>) -> Self {
        while digits.last() == Some(&0) {
            digits.pop();
        }
        Self { negative: negative && !digits.is_empty(), digits }
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    pub(crate) fn is_negative(&self) -> bool {
        self.negative
    }

    /// How many digits there are; zero has one.
    pub(crate) fn precision(&self) -> usize {
        self.digits.len().max(1)
    }

    pub(crate) fn negated(&self) -> Self {
        Self::of(!self.negative, self.digits.clone())
    }

    pub(crate) fn magnitude(&self) -> Self {
        Self::of(false, self.digits.clone())
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        if self.negative == other.negative {
            let (mut sum, mut carry) = (Vec::new(), 0);
            for i in 0..self.digits.len().max(other.digits.len()) {
                let column = self.digit(i) + other.digit(i) + carry;
                sum.push(column % 10);
                carry = column / 10;
            }
            sum.push(carry);
            return Self::of(self.negative, sum);
        }
        let (large, small) =
            if self.order_of_magnitudes(other) == Ordering::Less { (other, self) } else { (self, other) };
        let (mut difference, mut borrow) = (Vec::new(), 0);
        for i in 0..large.digits.len() {
            let (top, bottom) = (large.digit(i), small.digit(i) + borrow);
            borrow = u8::from(top < bottom);
            difference.push(top + borrow * 10 - bottom);
        }
        Self::of(large.negative, difference)
    }

    pub(crate) fn minus(&self, other: &Self) -> Self {
        self.plus(&other.negated())
    }

    pub(crate) fn times(&self, other: &Self) -> Self {
        let mut columns = vec![0_u32; self.digits.len() + other.digits.len() + 1];
        for (i, a) in self.digits.iter().enumerate() {
            for (j, b) in other.digits.iter().enumerate() {
                columns[i + j] += u32::from(*a) * u32::from(*b);
            }
        }
        let mut carry = 0;
        let mut digits = Vec::new();
        for column in columns {
            let column = column + carry;
            digits.push((column % 10) as u8);
            carry = column / 10;
        }
        Self::of(self.negative != other.negative, digits)
    }

    /// Quotient toward zero and the remainder, which has the sign of this number; `None` for a zero divisor.
    pub(crate) fn divided(&self, divisor: &Self) -> Option<(Self, Self)> {
        if divisor.is_zero() {
            return None;
        }
        let by = divisor.magnitude();
        let (mut quotient, mut rest) = (Vec::new(), Self::default());
        for digit in self.digits.iter().rev() {
            rest.digits.insert(0, *digit);
            rest = Self::of(false, rest.digits);
            let mut times = 0;
            while rest.order_of_magnitudes(&by) != Ordering::Less {
                rest = rest.minus(&by);
                times += 1;
            }
            quotient.insert(0, times);
        }
        Some((Self::of(self.negative != divisor.negative, quotient), Self::of(self.negative, rest.digits)))
    }

    /// This number with `places` digits cut off its end, halves away from zero.
    pub(crate) fn rounded_off(&self, places: u32) -> Self {
        let places = places as usize;
        let kept = Self::of(self.negative, self.digits.get(places..).unwrap_or_default().to_vec());
        let up = places > 0 && self.digit(places - 1) >= 5;
        if up { kept.plus(&Self::of(self.negative, vec![1])) } else { kept }
    }

    /// The lowest bits, as Java narrows.
    pub(crate) fn low_bits(&self) -> i64 {
        let two_to_64 = Self::read("18446744073709551616");
        let rest = self.divided(&two_to_64).expect("not zero").1;
        let rest = if rest.negative { rest.plus(&two_to_64) } else { rest };
        rest.to_string().parse::<u64>().expect("below 2^64").cast_signed()
    }

    fn digit(&self, i: usize) -> u8 {
        self.digits.get(i).copied().unwrap_or(0)
    }

    fn order_of_magnitudes(&self, other: &Self) -> Ordering {
        let by_length = self.digits.len().cmp(&other.digits.len());
        by_length.then_with(|| self.digits.iter().rev().cmp(other.digits.iter().rev()))
    }
}

impl PartialOrd for Big {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Big {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.order_of_magnitudes(other),
            (true, true) => other.order_of_magnitudes(self),
        }
    }
}

impl fmt::Display for Big {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.negative { "-" } else { "" })?;
        if self.digits.is_empty() {
            return f.write_str("0");
        }
        self.digits.iter().rev().try_for_each(|digit| write!(f, "{digit}"))
    }
}

impl fmt::Debug for Big {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[test]
fn schoolbook_numbers_agree_with_machine_numbers() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..500 {
        let (a, b) = (random.i64(..) >> random.u32(0..60), random.i64(..) >> random.u32(0..60));
        let (x, y) = (Big::read(&a.to_string()), Big::read(&b.to_string()));
        let (a, b) = (i128::from(a), i128::from(b));
        assert_eq!(x.plus(&y).to_string(), (a + b).to_string());
        assert_eq!(x.minus(&y).to_string(), (a - b).to_string());
        assert_eq!(x.times(&y).to_string(), (a * b).to_string());
        assert_eq!(x.cmp(&y), a.cmp(&b));
        assert_eq!(i128::from(x.times(&y).low_bits()), i128::from((a * b) as i64));
        if b != 0 {
            let (quotient, rest) = x.divided(&y).unwrap();
            assert_eq!((quotient.to_string(), rest.to_string()), ((a / b).to_string(), (a % b).to_string()));
        }
    }
    assert_eq!(Big::read("-25").rounded_off(1).to_string(), "-3");
}
