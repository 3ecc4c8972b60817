//! Values of an Arrow column as JSON text (`rest-api.md` 5), written straight from the arrays.

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float64Array,
    Int32Array, Int64Array, ListArray, MapArray, StringArray, StructArray, Time32MillisecondArray,
    TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType,
    TimeUnit, TimestampMillisecondType,
};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Writes the values of one column of one batch; binding is a few casts, so batches of one are fine.
pub(super) struct ValueWriter<'a> {
    array: &'a dyn Array,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Boolean(&'a BooleanArray),
    Integer(&'a Int32Array),
    BigInt(&'a Int64Array),
    Double(&'a Float64Array),
    Decimal(&'a Decimal128Array, i8),
    WideDecimal(&'a Decimal256Array, i8),
    String(&'a StringArray),
    Bytes(&'a BinaryArray),
    Time(&'a Time32MillisecondArray),
    Date(&'a Date32Array),
    Timestamp(&'a TimestampMillisecondArray),
    /// Members of structs: milliseconds or days instead of text, as ksqlDB has it.
    TimeNumber(&'a Time32MillisecondArray),
    DateNumber(&'a Date32Array),
    TimestampNumber(&'a TimestampMillisecondArray),
    Array(&'a ListArray, Box<ValueWriter<'a>>),
    Map(&'a MapArray, Box<ValueWriter<'a>>, Box<ValueWriter<'a>>),
    Struct(Vec<(&'a str, ValueWriter<'a>)>),
    /// No SQL type has this Arrow form: shown as null.
    Unknown,
}

impl<'a> ValueWriter<'a> {
    /// A writer of the values of `array`, a column of a result.
    pub(super) fn new(array: &'a ArrayRef) -> Self {
        Self::bind(array, false)
    }

    fn bind(array: &'a ArrayRef, in_struct: bool) -> Self {
        let kind = match array.data_type() {
            DataType::Boolean => Kind::Boolean(array.as_boolean()),
            DataType::Int32 => Kind::Integer(array.as_primitive::<Int32Type>()),
            DataType::Int64 => Kind::BigInt(array.as_primitive::<Int64Type>()),
            DataType::Float64 => Kind::Double(array.as_primitive::<Float64Type>()),
            DataType::Decimal128(_, scale) => Kind::Decimal(array.as_primitive::<Decimal128Type>(), *scale),
            DataType::Decimal256(_, scale) => Kind::WideDecimal(array.as_primitive::<Decimal256Type>(), *scale),
            DataType::Utf8 => Kind::String(array.as_string::<i32>()),
            DataType::Binary => Kind::Bytes(array.as_binary::<i32>()),
            DataType::Time32(TimeUnit::Millisecond) => {
                let times = array.as_primitive::<Time32MillisecondType>();
                if in_struct { Kind::TimeNumber(times) } else { Kind::Time(times) }
            }
            DataType::Date32 => {
                let dates = array.as_primitive::<Date32Type>();
                if in_struct { Kind::DateNumber(dates) } else { Kind::Date(dates) }
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                let timestamps = array.as_primitive::<TimestampMillisecondType>();
                if in_struct { Kind::TimestampNumber(timestamps) } else { Kind::Timestamp(timestamps) }
            }
            DataType::List(_) => {
                let lists = array.as_list::<i32>();
                Kind::Array(lists, Box::new(Self::bind(lists.values(), in_struct)))
            }
            DataType::Map(..) => {
                let maps = array.as_map();
                Kind::Map(
                    maps,
                    Box::new(Self::bind(maps.keys(), in_struct)),
                    Box::new(Self::bind(maps.values(), in_struct)),
                )
            }
            DataType::Struct(_) => Kind::Struct(members(array.as_struct())),
            _ => Kind::Unknown,
        };
        Self { array: array.as_ref(), kind }
    }

    /// Appends the value of `row`.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.array.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        match &self.kind {
            Kind::Boolean(array) => out.extend_from_slice(if array.value(row) { b"true" } else { b"false" }),
            Kind::Integer(array) => integer(array.value(row), out),
            Kind::BigInt(array) => integer(array.value(row), out),
            Kind::Double(array) => double(array.value(row), out),
            Kind::Decimal(array, scale) => {
                decimal(itoa::Buffer::new().format(array.value(row)), *scale, out);
            }
            Kind::WideDecimal(array, scale) => decimal(&array.value(row).to_string(), *scale, out),
            Kind::String(array) => string(array.value(row), out),
            Kind::Bytes(array) => base64(array.value(row), out),
            Kind::Time(array) => quoted(out, |out| time(array.value(row), out)),
            Kind::Date(array) => quoted(out, |out| date(i64::from(array.value(row)), out)),
            Kind::Timestamp(array) => quoted(out, |out| timestamp(array.value(row), out)),
            Kind::TimeNumber(array) => integer(array.value(row), out),
            Kind::DateNumber(array) => integer(array.value(row), out),
            Kind::TimestampNumber(array) => integer(array.value(row), out),
            Kind::Array(array, elements) => {
                let offsets = array.value_offsets();
                out.push(b'[');
                for (i, element) in range(offsets, row).enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    elements.write(element, out);
                }
                out.push(b']');
            }
            Kind::Map(array, keys, values) => {
                out.push(b'{');
                for (i, entry) in range(array.value_offsets(), row).enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    keys.write_as_name(entry, out);
                    out.push(b':');
                    values.write(entry, out);
                }
                out.push(b'}');
            }
            Kind::Struct(fields) => {
                out.push(b'{');
                for (i, (name, field)) in fields.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    string(name, out);
                    out.push(b':');
                    field.write(row, out);
                }
                out.push(b'}');
            }
            Kind::Unknown => out.extend_from_slice(b"null"),
        }
    }

    /// The value as a member name: text as it is, anything else in quotes.
    fn write_as_name(&self, row: usize, out: &mut Vec<u8>) {
        let start = out.len();
        self.write(row, out);
        if out.get(start) != Some(&b'"') {
            let text = String::from_utf8_lossy(&out[start..]).into_owned();
            out.truncate(start);
            string(&text, out);
        }
    }
}

fn members(array: &StructArray) -> Vec<(&str, ValueWriter<'_>)> {
    let fields = array.fields().iter().zip(array.columns());
    fields.map(|(field, column)| (field.name().as_str(), ValueWriter::bind(column, true))).collect()
}

/// The entries of `row`; Arrow's offsets are never negative.
fn range(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    let at = |i: usize| usize::try_from(offsets[i]).expect("offsets of an Arrow list are not negative");
    at(row)..at(row + 1)
}

fn integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

/// Java's `Double.toString`: plain between 10^-3 and 10^7, else `1.0E10`; what JSON cannot spell is a string.
fn double(value: f64, out: &mut Vec<u8>) {
    if !value.is_finite() {
        let name: &[u8] = if value.is_nan() {
            b"\"NaN\""
        } else if value > 0.0 {
            b"\"Infinity\""
        } else {
            b"\"-Infinity\""
        };
        out.extend_from_slice(name);
        return;
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        // ryu turns to exponents only below 1e-5 and from 1e16 on.
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
        return;
    }
    let text = format!("{value:E}");
    let (digits, exponent) = text.split_once('E').unwrap_or((&text, "0"));
    out.extend_from_slice(digits.as_bytes());
    if !digits.contains('.') {
        out.extend_from_slice(b".0");
    }
    out.push(b'E');
    out.extend_from_slice(exponent.as_bytes());
}

/// `digits` with the point `scale` places from the right, never an exponent.
fn decimal(digits: &str, scale: i8, out: &mut Vec<u8>) {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    out.extend_from_slice(sign.as_bytes());
    let scale = usize::try_from(scale).unwrap_or(0);
    if scale == 0 {
        out.extend_from_slice(digits.as_bytes());
        return;
    }
    let whole = digits.len().saturating_sub(scale);
    out.extend_from_slice(if whole == 0 { b"0" } else { &digits.as_bytes()[..whole] });
    out.push(b'.');
    out.extend(std::iter::repeat_n(b'0', scale.saturating_sub(digits.len())));
    out.extend_from_slice(&digits.as_bytes()[whole..]);
}

fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    quoted(out, |out| {
        let start = out.len();
        out.resize(start + bytes.len().div_ceil(3) * 4, 0);
        let written = STANDARD.encode_slice(bytes, &mut out[start..]).expect("four bytes for each three were made");
        out.truncate(start + written);
    });
}

/// Appends `text` in quotes, escaped as Jackson does: controls, quote and backslash only.
pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (i, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[copied..i]);
        copied = i + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            control => out.extend_from_slice(format!("\\u{control:04X}").as_bytes()),
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}

/// `HH:mm`, with `:ss` unless the seconds are zero; milliseconds are not shown.
fn time(ms: i32, out: &mut Vec<u8>) {
    let seconds = ms.div_euclid(1000);
    padded(i64::from(seconds / 3600), 2, out);
    out.push(b':');
    padded(i64::from(seconds / 60 % 60), 2, out);
    if seconds % 60 != 0 {
        out.push(b':');
        padded(i64::from(seconds % 60), 2, out);
    }
}

/// `yyyy-MM-dd` of a day since 1970; years past 9999 carry a sign as in ISO 8601.
fn date(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(days);
    if year > 9999 {
        out.push(b'+');
    }
    padded(year, 4, out);
    out.push(b'-');
    padded(month, 2, out);
    out.push(b'-');
    padded(day, 2, out);
}

/// `yyyy-MM-ddTHH:mm:ss.SSS` in UTC.
pub(super) fn timestamp(ms: i64, out: &mut Vec<u8>) {
    let of_day = ms.rem_euclid(86_400_000);
    date(ms.div_euclid(86_400_000), out);
    out.push(b'T');
    padded(of_day / 3_600_000, 2, out);
    out.push(b':');
    padded(of_day / 60_000 % 60, 2, out);
    out.push(b':');
    padded(of_day / 1000 % 60, 2, out);
    out.push(b'.');
    padded(of_day % 1000, 3, out);
}

/// Year, month and day of a day since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn padded(value: i64, width: usize, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value.unsigned_abs());
    out.extend(std::iter::repeat_n(b'0', width.saturating_sub(digits.len())));
    out.extend_from_slice(digits.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
        Int64Builder, ListArray, MapBuilder, StringArray, StringBuilder, StructArray, Time32MillisecondArray,
        TimestampMillisecondArray,
    };
    use datafusion::arrow::datatypes::{DataType, Field, Float64Type, Int32Type, TimeUnit};

    use super::ValueWriter;

    fn check(array: ArrayRef, expected: &[&str]) {
        let writer = ValueWriter::new(&array);
        let written: Vec<String> = (0..array.len())
            .map(|row| {
                let mut out = Vec::new();
                writer.write(row, &mut out);
                String::from_utf8(out).unwrap()
            })
            .collect();
        assert_eq!(written, expected);
    }

    #[test]
    fn simple_values() {
        check(Arc::new(BooleanArray::from(vec![Some(true), None])), &["true", "null"]);
        check(Arc::new(Int32Array::from(vec![-1])), &["-1"]);
        check(Arc::new(Int64Array::from(vec![i64::MIN])), &["-9223372036854775808"]);
        check(Arc::new(StringArray::from(vec!["a\"\\\n\u{1}é/"])), &["\"a\\\"\\\\\\n\\u0001é/\""]);
        check(Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..], b""])), &["\"AP8=\"", "\"\""]);
    }

    #[test]
    fn doubles_are_spelled_as_java_does() {
        check(
            Arc::new(Float64Array::from(vec![
                3.5,
                0.0,
                -0.0,
                100.0,
                9_999_999.0,
                1e7,
                1.25e-3,
                9.99e-4,
                -1.5e300,
                f64::NAN,
                f64::NEG_INFINITY,
            ])),
            &[
                "3.5",
                "0.0",
                "-0.0",
                "100.0",
                "9999999.0",
                "1.0E7",
                "0.00125",
                "9.99E-4",
                "-1.5E300",
                "\"NaN\"",
                "\"-Infinity\"",
            ],
        );
    }

    #[test]
    fn decimals_keep_their_scale_and_have_no_exponent() {
        let decimals = |values: Vec<i128>, scale| {
            Arc::new(Decimal128Array::from(values).with_precision_and_scale(38, scale).unwrap()) as ArrayRef
        };
        check(decimals(vec![150, -5, 0, 12345], 2), &["1.50", "-0.05", "0.00", "123.45"]);
        check(decimals(vec![7], 0), &["7"]);
        check(decimals(vec![7], 10), &["0.0000000007"]);
    }

    #[test]
    fn times_are_text_outside_of_structs_and_numbers_inside() {
        let times: ArrayRef = Arc::new(Time32MillisecondArray::from(vec![0, 3_661_999, 43_200_000]));
        let dates: ArrayRef = Arc::new(Date32Array::from(vec![0, -1, 19_782]));
        let stamps: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![0, -1, 1_700_000_000_123]));
        check(Arc::clone(&times), &["\"00:00\"", "\"01:01:01\"", "\"12:00\""]);
        check(Arc::clone(&dates), &["\"1970-01-01\"", "\"1969-12-31\"", "\"2024-02-29\""]);
        check(
            Arc::clone(&stamps),
            &["\"1970-01-01T00:00:00.000\"", "\"1969-12-31T23:59:59.999\"", "\"2023-11-14T22:13:20.123\""],
        );
        let row = StructArray::from(vec![
            (Arc::new(Field::new("T", DataType::Time32(TimeUnit::Millisecond), true)), times),
            (Arc::new(Field::new("d", DataType::Date32, true)), dates),
            (Arc::new(Field::new("S", DataType::Timestamp(TimeUnit::Millisecond, None), true)), stamps),
        ]);
        check(
            Arc::new(row),
            &[
                r#"{"T":0,"d":0,"S":0}"#,
                r#"{"T":3661999,"d":-1,"S":-1}"#,
                r#"{"T":43200000,"d":19782,"S":1700000000123}"#,
            ],
        );
    }

    #[test]
    fn nested_values() {
        check(
            Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(vec![
                Some(vec![Some(1.0), None]),
                Some(vec![]),
                None,
            ])),
            &["[1.0,null]", "[]", "null"],
        );
        let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
        maps.keys().append_value("a\"b");
        maps.values().append_value(1);
        maps.keys().append_value("c");
        maps.values().append_null();
        maps.append(true).unwrap();
        check(Arc::new(maps.finish()), &[r#"{"a\"b":1,"c":null}"#]);
        let mut numbered = MapBuilder::new(None, Int64Builder::new(), Int64Builder::new());
        numbered.keys().append_value(7);
        numbered.values().append_value(8);
        numbered.append(true).unwrap();
        check(Arc::new(numbered.finish()), &[r#"{"7":8}"#]);
        let sliced =
            ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)]), Some(vec![Some(2), Some(3)])]);
        check(Arc::new(sliced.slice(1, 1)), &["[2,3]"]);
    }
}
