//! BYTES as base64 text, the way Jackson reads and writes it: padded, blanks passed over, spare bits of the last letter
//! ignored.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

const ENGINE: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Appends the bytes of a base64 text. False if it is none; then what was appended must be thrown away.
pub(super) fn push_decoded(out: &mut Vec<u8>, text: &str) -> bool {
    if text.bytes().any(|byte| byte <= b' ') {
        let dense: String = text.chars().filter(|&c| c > ' ').collect();
        return ENGINE.decode_vec(dense, out).is_ok();
    }
    ENGINE.decode_vec(text, out).is_ok()
}

/// Appends the base64 text of bytes.
pub(super) fn push_encoded(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(ENGINE.encode(bytes).as_bytes());
}
