//! Values as text, the way Java prints them.

use std::fmt::Write;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use datafusion::arrow::datatypes::{
    Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType,
    TimestampMillisecondType,
};

use super::{decimal_text, time_text};
use crate::types::SqlType;
use crate::types::java_number::double_to_string;

/// Prints the value at a position, which is not NULL.
pub(crate) type Printer<'a> = Box<dyn Fn(usize, &mut String) + 'a>;

/// Every value as text; NULL stays NULL.
pub(crate) fn of_array(array: &ArrayRef, ty: &SqlType) -> StringArray {
    let print = printer(array, ty);
    let mut texts = StringBuilder::with_capacity(array.len(), array.len() * 8);
    let mut text = String::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            texts.append_null();
        } else {
            text.clear();
            print(row, &mut text);
            texts.append_value(&text);
        }
    }
    texts.finish()
}

/// What prints the values of an array.
pub(crate) fn printer<'a>(array: &'a ArrayRef, ty: &SqlType) -> Printer<'a> {
    match ty {
        SqlType::Boolean => {
            let values = array.as_boolean();
            Box::new(move |i, out| out.push_str(if values.value(i) { "true" } else { "false" }))
        }
        SqlType::Integer => {
            let values = array.as_primitive::<Int32Type>();
            Box::new(move |i, out| out.push_str(itoa::Buffer::new().format(values.value(i))))
        }
        SqlType::BigInt => {
            let values = array.as_primitive::<Int64Type>();
            Box::new(move |i, out| out.push_str(itoa::Buffer::new().format(values.value(i))))
        }
        SqlType::Double => {
            let values = array.as_primitive::<Float64Type>();
            Box::new(move |i, out| out.push_str(&double_to_string(values.value(i))))
        }
        SqlType::Decimal { scale, .. } => {
            let scale = *scale;
            match array.as_primitive_opt::<Decimal128Type>() {
                Some(values) => Box::new(move |i, out| decimal_text::push_small(values.value(i), scale, out)),
                None => {
                    let values = array.as_primitive::<Decimal256Type>();
                    Box::new(move |i, out| out.push_str(&decimal_text::plain(values.value(i), scale)))
                }
            }
        }
        SqlType::String => {
            let values = array.as_string::<i32>();
            Box::new(move |i, out| out.push_str(values.value(i)))
        }
        SqlType::Bytes => {
            let values = array.as_binary::<i32>();
            Box::new(move |i, out| {
                let len = values.value(i).len();
                // Writing to a String cannot fail.
                let _ = write!(out, "java.nio.HeapByteBuffer[pos=0 lim={len} cap={len}]");
            })
        }
        SqlType::Time => {
            let values = array.as_primitive::<Time32MillisecondType>();
            Box::new(move |i, out| time_text::push_time(values.value(i), out))
        }
        SqlType::Date => {
            let values = array.as_primitive::<Date32Type>();
            Box::new(move |i, out| time_text::push_date(values.value(i), out))
        }
        SqlType::Timestamp => {
            let values = array.as_primitive::<TimestampMillisecondType>();
            Box::new(move |i, out| time_text::push_timestamp(values.value(i), out))
        }
        SqlType::Array(element) => {
            let list = array.as_list::<i32>();
            let print = or_null(list.values(), element);
            Box::new(move |i, out| {
                out.push('[');
                for (n, position) in range(list.offsets(), i).enumerate() {
                    out.push_str(if n > 0 { ", " } else { "" });
                    print(position, out);
                }
                out.push(']');
            })
        }
        SqlType::Map(key, value) => {
            let map = array.as_map();
            let (print_key, print_value) = (or_null(map.keys(), key), or_null(map.values(), value));
            Box::new(move |i, out| {
                out.push('{');
                for (n, position) in range(map.offsets(), i).enumerate() {
                    out.push_str(if n > 0 { ", " } else { "" });
                    print_key(position, out);
                    out.push('=');
                    print_value(position, out);
                }
                out.push('}');
            })
        }
        SqlType::Struct(fields) => {
            let columns = array.as_struct();
            let printers: Vec<(String, &ArrayRef, Printer<'_>)> = fields
                .iter()
                .zip(columns.columns())
                .map(|(field, column)| (field.name.as_str().to_owned(), column, printer(column, &field.ty)))
                .collect();
            Box::new(move |i, out| {
                out.push_str("Struct{");
                let mut first = true;
                for (name, column, print) in &printers {
                    // Connect's structs leave out what is null.
                    if column.is_valid(i) {
                        out.push_str(if first { "" } else { "," });
                        out.push_str(name);
                        out.push('=');
                        print(i, out);
                        first = false;
                    }
                }
                out.push('}');
            })
        }
    }
}

/// As [`printer`], with `null` for NULL.
fn or_null<'a>(array: &'a ArrayRef, ty: &SqlType) -> Printer<'a> {
    let print = printer(array, ty);
    Box::new(move |i, out| if array.is_null(i) { out.push_str("null") } else { print(i, out) })
}

fn range(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    offsets[row] as usize..offsets[row + 1] as usize
}
