//! Encodings of text and bytes, numbers in bytes, digests, UUIDs.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use datafusion::arrow::array::{ArrayRef, BinaryArray, Float64Array, Int32Array, Int64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use crate::functions::Function;
use crate::functions::call::{Call, Message};

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::scalar(
            "TO_BYTES",
            "STRING",
            "The bytes that a text spells in an encoding: hex, utf8, ascii, base64.",
        )
        .overload("value STRING, encoding STRING", "BYTES", |call| {
            let (text, encoding) = (call.text(0), call.text(1));
            call.rows::<_, BinaryArray>(|row| {
                let (Some(text), Some(encoding)) = (text.get(row), encoding.get(row)) else { return Ok(None) };
                Encoding::read(encoding)?.decode(text).map(Some)
            })
        }),
        Function::scalar("FROM_BYTES", "STRING", "Bytes as text in an encoding: hex, utf8, ascii, base64.").overload(
            "value BYTES, encoding STRING",
            "STRING",
            |call| {
                let (bytes, encoding) = (call.bytes(0), call.text(1));
                call.rows::<_, StringArray>(|row| {
                    let (Some(bytes), Some(encoding)) = (bytes.get(row), encoding.get(row)) else { return Ok(None) };
                    Ok(Some(Encoding::read(encoding)?.encode(bytes)))
                })
            },
        ),
        Function::scalar("ENCODE", "STRING", "A text of one encoding in another: hex, utf8, ascii, base64.").overload(
            "str STRING, inputEncoding STRING, outputEncoding STRING",
            "STRING",
            encode,
        ),
        Function::scalar("MD5", "STRING", "The MD5 digest of a text, in hexadecimal digits.")
            .overload("s STRING", "STRING", md5),
        Function::scalar("UUID", "STRING", "A new identifier, or the one that 16 bytes spell.")
            .overload("", "STRING", uuid)
            .overload("bytes BYTES", "STRING", |call| {
                let bytes = call.bytes(0);
                call.rows::<_, StringArray>(|row| {
                    Ok(bytes.get(row).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()).map(uuid_text))
                })
            })
            .varying(),
        number_of::<Int32Array, 4, i32>("INT_FROM_BYTES", "INTEGER", i32::from_be_bytes),
        number_of::<Int64Array, 8, i64>("BIGINT_FROM_BYTES", "BIGINT", i64::from_be_bytes),
        number_of::<Float64Array, 8, f64>("DOUBLE_FROM_BYTES", "DOUBLE", f64::from_be_bytes),
    ]
}

/// DataFusion's digest, which is a view of text.
fn md5(call: &mut Call<'_>) -> ArrayRef {
    let text = call.array(0);
    let digest = datafusion::functions::crypto::md5().invoke_with_args(ScalarFunctionArgs {
        args: vec![ColumnarValue::Array(Arc::clone(&text))],
        arg_fields: vec![Arc::new(Field::new("s", DataType::Utf8, true))],
        number_rows: call.rows,
        return_field: Arc::new(Field::new("md5", DataType::Utf8View, true)),
        config_options: Arc::default(),
    });
    let array = digest.and_then(|digest| digest.into_array(call.rows)).expect("every text has a digest");
    cast(&array, &DataType::Utf8).expect("a view of text is text")
}

/// Ways to write bytes as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Hex,
    Utf8,
    Ascii,
    Base64,
}

impl Encoding {
    fn read(name: &str) -> Result<Self, Message> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "hex" => Self::Hex,
            "utf8" => Self::Utf8,
            "ascii" => Self::Ascii,
            "base64" => Self::Base64,
            _ => {
                return Err(format!(
                    "Unknown encoding type '{name}'. Supported formats are [hex, utf8, ascii, base64]."
                )
                .into());
            }
        })
    }

    /// The bytes that a text spells, strictly.
    fn decode(self, text: &str) -> Result<Vec<u8>, Message> {
        match self {
            Self::Hex => hex_bytes(text).ok_or_else(|| format!("Illegal hexadecimal text: {text}").into()),
            Self::Utf8 => Ok(text.as_bytes().to_vec()),
            Self::Ascii => Ok(ascii(text)),
            Self::Base64 => STANDARD.decode(text).map_err(|error| format!("Illegal base64: {error}").into()),
        }
    }

    fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex(bytes, true),
            Self::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Self::Ascii => {
                bytes.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '\u{FFFD}' }).collect()
            }
            Self::Base64 => STANDARD.encode(bytes),
        }
    }
}

/// Characters that ASCII does not have become question marks, one for each UTF-16 unit.
fn ascii(text: &str) -> Vec<u8> {
    text.encode_utf16().map(|unit| u8::try_from(unit).ok().filter(u8::is_ascii).unwrap_or(b'?')).collect()
}

fn hex(bytes: &[u8], upper: bool) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let text: String = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
    if upper { text.to_ascii_uppercase() } else { text }
}

fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

fn encode(call: &mut Call<'_>) -> ArrayRef {
    let (text, from, to) = (call.text(0), call.text(1), call.text(2));
    // Whatever is not of the alphabet is skipped, the padding may be missing.
    let lenient = GeneralPurpose::new(
        &ALPHABET,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    call.rows::<_, StringArray>(|row| {
        let (Some(text), Some(from_name), Some(to_name)) = (text.get(row), from.get(row), to.get(row)) else {
            return Ok(None);
        };
        let unsupported = || -> Message {
            format!("Supported input and output encodings are: hex, utf8, ascii and base64; got '{from_name}' to '{to_name}'").into()
        };
        let (from, to) =
            (Encoding::read(from_name).map_err(|_| unsupported())?, Encoding::read(to_name).map_err(|_| unsupported())?);
        if from == to {
            return Err(unsupported());
        }
        let bytes = match from {
            Encoding::Hex => {
                let digits = if let Some(rest) = text.strip_prefix("0x") {
                    if rest.len() % 2 == 0 { Cow::from(rest) } else { Cow::from(format!("0{rest}")) }
                } else if let Some(rest) = text.strip_prefix("X'").or(text.strip_prefix("x'")) {
                    Cow::from(rest.strip_suffix('\'').ok_or_else(|| Message::from(format!("Illegal hexadecimal text: {text}")))?)
                } else {
                    Cow::from(text)
                };
                hex_bytes(&digits).ok_or_else(|| Message::from(format!("Illegal hexadecimal text: {text}")))?
            }
            Encoding::Base64 => {
                let known: String =
                    text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/')).collect();
                lenient.decode(known).unwrap_or_default()
            }
            other => other.decode(text)?,
        };
        Ok(Some(if to == Encoding::Hex { hex(&bytes, false) } else { to.encode(&bytes) }))
    })
}

fn uuid(call: &mut Call<'_>) -> ArrayRef {
    let mut generator = fastrand::Rng::with_seed(call.seed());
    call.rows::<_, StringArray>(|_| {
        let mut bytes = generator.u128(..).to_be_bytes();
        // Version 4, variant 1: a random identifier.
        bytes[6] = bytes[6] & 0x0F | 0x40;
        bytes[8] = bytes[8] & 0x3F | 0x80;
        Ok(Some(uuid_text(bytes)))
    })
}

fn uuid_text(bytes: [u8; 16]) -> String {
    let digits = hex(&bytes, false);
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

/// The number in exactly `N` bytes, big-endian unless `LITTLE_ENDIAN` is asked for.
fn number_of<A, const N: usize, T>(name: &'static str, ty: &'static str, read: fn([u8; N]) -> T) -> Function
where
    A: datafusion::arrow::array::Array + FromIterator<Option<T>> + 'static,
    T: 'static,
{
    let kernel = move |call: &mut Call<'_>| {
        let bytes = call.bytes(0);
        let order = (call.args.len() > 1).then(|| call.text(1));
        call.rows::<T, A>(|row| {
            let Some(bytes) = bytes.get(row) else { return Ok(None) };
            let order = order.map_or(Some("BIG_ENDIAN"), |order| order.get(row));
            let little = match order.map(str::to_ascii_uppercase).as_deref() {
                Some("BIG_ENDIAN") => false,
                Some("LITTLE_ENDIAN") => true,
                _ => return Err("Byte order must be BIG_ENDIAN or LITTLE_ENDIAN".into()),
            };
            let mut exact = <[u8; N]>::try_from(bytes).map_err(|_| {
                Message::from(format!("Number of bytes must be equal to {N}, but found {}", bytes.len()))
            })?;
            if little {
                exact.reverse();
            }
            Ok(Some(read(exact)))
        })
    };
    Function::scalar(name, "CONVERSIONS", "The number that bytes hold.").overload("value BYTES", ty, kernel).overload(
        "value BYTES, byteOrder STRING",
        ty,
        kernel,
    )
}
