//! Sides without columns: NONE, and every other format when there is nothing to hold. Bytes are ignored when read and
//! null when written.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::buffer::BooleanBuffer;

use super::{DecodeError, EncodeError, EncodedSide, RecordDecoder, RecordEncoder};

/// Accepts any bytes and yields no column.
#[derive(Debug)]
pub(super) struct NoneDecoder;

impl RecordDecoder for NoneDecoder {
    fn decode(&mut self, _: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }

    fn append_null(&mut self) {}

    fn undo_last(&mut self) {}

    fn finish(&mut self) -> Vec<ArrayRef> {
        Vec::new()
    }
}

/// Writes null bytes.
#[derive(Debug)]
pub(super) struct NoneEncoder;

impl RecordEncoder for NoneEncoder {
    fn encode(
        &mut self,
        _: &[ArrayRef],
        rows: usize,
        _: Option<&BooleanBuffer>,
        out: &mut EncodedSide,
    ) -> Result<(), EncodeError> {
        (0..rows).for_each(|_| out.end_row(true));
        Ok(())
    }
}
