//! Functions of JSON texts. Numbers keep their digits; of a text only its first value counts.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, ListBuilder, StringArray,
    StringBuilder,
};
use datafusion::arrow::datatypes::{Date32Type, Float64Type, Time32MillisecondType, TimestampMillisecondType};
use serde_json::Value as Json;

use super::json_path::JsonPath;
use super::text::int;
use crate::expressions::{map_array, text, time_text};
use crate::functions::Function;
use crate::functions::call::{Call, Message};
use crate::types::SqlType;
use crate::types::java_number::double_to_string;

const CATEGORY: &str = "JSON";

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::scalar("EXTRACTJSONFIELD", CATEGORY, "The part of a JSON text at a path.").overload(
            "input STRING, path STRING",
            "STRING",
            extract,
        ),
        Function::scalar("IS_JSON_STRING", CATEGORY, "True if the text is JSON.").overload(
            "input STRING",
            "BOOLEAN",
            |call| {
                let text = call.text(0);
                call.rows::<_, BooleanArray>(|row| {
                    Ok(Some(text.get(row).is_some_and(|text| matches!(parse(text), Ok(Some(_))))))
                })
            },
        ),
        Function::scalar("JSON_ARRAY_CONTAINS", CATEGORY, "True if a JSON array has a value of exactly this type.")
            .overload("jsonArray STRING, val T", "BOOLEAN", contains),
        Function::scalar("JSON_ARRAY_LENGTH", CATEGORY, "How many elements a JSON array has.").overload(
            "jsonArray STRING",
            "INTEGER",
            |call| {
                let text = call.text(0);
                call.rows::<_, Int32Array>(|row| {
                    let json = text.get(row).map(parse).transpose()?.flatten();
                    Ok(json.as_ref().and_then(Json::as_array).map(|array| int(array.len())))
                })
            },
        ),
        Function::scalar("JSON_CONCAT", CATEGORY, "JSON objects merged, or arrays one after another.").overload(
            "jsonStrings STRING...",
            "STRING",
            concat,
        ),
        Function::scalar("JSON_ITEMS", CATEGORY, "The elements of a JSON array, each as JSON.").overload(
            "jsonItems STRING",
            "ARRAY<STRING>",
            items,
        ),
        Function::scalar("JSON_KEYS", CATEGORY, "The keys of a JSON object.").overload(
            "jsonObj STRING",
            "ARRAY<STRING>",
            keys,
        ),
        Function::scalar("JSON_RECORDS", CATEGORY, "The entries of a JSON object, values as text.").overload(
            "jsonObj STRING",
            "MAP<STRING, STRING>",
            records,
        ),
        Function::scalar("TO_JSON_STRING", CATEGORY, "A value as JSON.").overload("val T", "STRING", |call| {
            let array = call.array(0);
            let ty = call.arg_type(0);
            call.rows::<_, StringArray>(|row| Ok(Some(to_json(&array, row, ty).to_string())))
        }),
    ]
}

/// The first JSON value of a text; `None` if there is none at all.
fn parse(text: &str) -> Result<Option<Json>, Message> {
    match serde_json::Deserializer::from_str(text).into_iter::<Json>().next() {
        None => Ok(None),
        Some(Ok(json)) => Ok(Some(json)),
        Some(Err(error)) => Err(format!("Invalid JSON format: {error}").into()),
    }
}

/// A leaf as text: texts without quotes, everything else as JSON.
fn leaf(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn extract(call: &mut Call<'_>) -> ArrayRef {
    let (text, paths) = (call.text(0), call.text(1));
    let constant = call.args[1].is_constant().then(|| paths.get(0)).flatten();
    let prepared = constant.map(|path| call.prepared(|| JsonPath::compile(path)));
    call.rows::<_, StringArray>(|row| {
        let (Some(text), Some(path)) = (text.get(row), paths.get(row)) else { return Ok(None) };
        let own;
        let path = match prepared {
            Some(prepared) => prepared,
            None => {
                own = JsonPath::compile(path);
                &own
            }
        };
        let path = path.as_ref().map_err(|message| Message::from(message.clone()))?;
        if text.trim_start().starts_with(['{', '[']) {
            let found = path.find_in(text).map_err(|error| Message::from(format!("Invalid JSON format: {error}")))?;
            return Ok(found.map(|json| if let Json::String(text) = json { text } else { json.to_string() }));
        }
        Ok(parse(text)?.as_ref().and_then(|json| path.find(json)).map(leaf))
    })
}

fn contains(call: &mut Call<'_>) -> ArrayRef {
    let text = call.text(0);
    let wanted = call.array(1);
    let ty = call.arg_type(1);
    call.rows::<_, BooleanArray>(|row| {
        let Some(text) = text.get(row) else { return Err("The JSON text is null".into()) };
        let Ok(Some(Json::Array(elements))) = parse(text) else { return Ok(Some(false)) };
        Ok(Some(elements.iter().any(|element| same(element, &wanted, row, ty))))
    })
}

/// True if a JSON value is the SQL value of exactly its type.
fn same(json: &Json, array: &ArrayRef, row: usize, ty: &SqlType) -> bool {
    if array.is_null(row) {
        return json.is_null();
    }
    let whole =
        |json: &Json| json.as_number().filter(|n| !is_float(&n.to_string())).and_then(serde_json::Number::as_i64);
    match (ty, json) {
        (SqlType::String, Json::String(text)) => text == array.as_string::<i32>().value(row),
        (SqlType::Boolean, Json::Bool(truth)) => *truth == array.as_boolean().value(row),
        (SqlType::Integer, Json::Number(_)) => {
            let typed = array.as_any().downcast_ref::<Int32Array>();
            whole(json) == typed.map(|typed| i64::from(typed.value(row)))
        }
        (SqlType::BigInt, Json::Number(_)) => {
            whole(json) == array.as_any().downcast_ref::<Int64Array>().map(|typed| typed.value(row))
        }
        (SqlType::Double, Json::Number(number)) if is_float(&number.to_string()) => {
            number.as_f64() == array.as_any().downcast_ref::<Float64Array>().map(|typed| typed.value(row))
        }
        _ => false,
    }
}

fn is_float(number: &str) -> bool {
    number.contains(['.', 'e', 'E'])
}

fn concat(call: &mut Call<'_>) -> ArrayRef {
    let texts: Vec<_> = (0..call.args.len()).map(|i| call.text(i)).collect();
    call.rows::<_, StringArray>(|row| {
        let mut parsed = Vec::with_capacity(texts.len());
        for text in &texts {
            let json = text.get(row).map(parse).transpose()?.flatten();
            let Some(json) = json else { return Ok(None) };
            parsed.push(json);
        }
        if parsed.is_empty() {
            return Ok(None);
        }
        if parsed.iter().all(Json::is_object) {
            let mut merged = serde_json::Map::new();
            for json in parsed {
                if let Json::Object(entries) = json {
                    merged.extend(entries);
                }
            }
            return Ok(Some(Json::Object(merged).to_string()));
        }
        let elements = parsed.into_iter().flat_map(|json| match json {
            Json::Array(elements) => elements,
            other => vec![other],
        });
        Ok(Some(Json::Array(elements.collect()).to_string()))
    })
}

fn items(call: &mut Call<'_>) -> ArrayRef {
    let text = call.text(0);
    lists(call, |row| match text.get(row).map(parse).transpose()?.flatten() {
        None => Ok(None),
        Some(Json::Array(elements)) => Ok(Some(elements.iter().map(ToString::to_string).collect())),
        Some(_) => Err("The JSON text is not an array".into()),
    })
}

fn keys(call: &mut Call<'_>) -> ArrayRef {
    let text = call.text(0);
    lists(call, |row| match text.get(row).map(parse).transpose()?.flatten() {
        Some(Json::Object(entries)) => Ok(Some(entries.keys().cloned().collect())),
        _ => Ok(None),
    })
}

fn lists(call: &mut Call<'_>, list: impl Fn(usize) -> Result<Option<Vec<String>>, Message>) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in 0..call.rows {
        match list(row) {
            Ok(Some(texts)) => {
                texts.iter().for_each(|text| lists.values().append_value(text));
                lists.append(true);
            }
            Ok(None) => lists.append_null(),
            Err(message) => {
                lists.append_null();
                call.failures.push((row, message));
            }
        }
    }
    Arc::new(lists.finish())
}

fn records(call: &mut Call<'_>) -> ArrayRef {
    let text = call.text(0);
    let (mut keys, mut values) = (StringBuilder::new(), StringBuilder::new());
    let (mut lengths, mut valid) = (Vec::with_capacity(call.rows), Vec::with_capacity(call.rows));
    for row in 0..call.rows {
        match text.get(row).map(parse).transpose().map(Option::flatten) {
            Ok(Some(Json::Object(entries))) => {
                lengths.push(entries.len());
                valid.push(true);
                for (key, value) in &entries {
                    keys.append_value(key);
                    values.append_value(leaf(value));
                }
                continue;
            }
            Ok(_) => {}
            Err(message) => call.failures.push((row, message)),
        }
        lengths.push(0);
        valid.push(false);
    }
    let (keys, values) = (Arc::new(keys.finish()), Arc::new(values.finish()));
    map_array(keys, values, lengths, Some(valid.into()), call.returns())
}

/// A SQL value as JSON. Keys of maps and structs are sorted.
fn to_json(array: &ArrayRef, row: usize, ty: &SqlType) -> Json {
    if array.is_null(row) {
        return Json::Null;
    }
    let number = |text: String| serde_json::from_str(&text).unwrap_or(Json::String(text));
    let printed = |ty: &SqlType| {
        let mut out = String::new();
        text::printer(array, ty)(row, &mut out);
        out
    };
    match ty {
        SqlType::Boolean => Json::Bool(array.as_boolean().value(row)),
        SqlType::Double => number(double_to_string(array.as_primitive::<Float64Type>().value(row))),
        SqlType::Integer | SqlType::BigInt | SqlType::Decimal { .. } => number(printed(ty)),
        SqlType::String => Json::String(array.as_string::<i32>().value(row).to_owned()),
        SqlType::Bytes => Json::String(STANDARD.encode(array.as_binary::<i32>().value(row))),
        SqlType::Time => Json::String(time_text::time(array.as_primitive::<Time32MillisecondType>().value(row))),
        SqlType::Date => Json::String(time_text::date(array.as_primitive::<Date32Type>().value(row))),
        SqlType::Timestamp => {
            Json::String(time_text::timestamp(array.as_primitive::<TimestampMillisecondType>().value(row)))
        }
        SqlType::Array(element) => {
            let elements = array.as_list::<i32>().value(row);
            Json::Array((0..elements.len()).map(|i| to_json(&elements, i, element)).collect())
        }
        SqlType::Map(_, value) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (text::of_array(entries.column(0), key_type(ty)), entries.column(1));
            let mut pairs: Vec<(String, Json)> =
                (0..entries.len()).map(|i| (keys.value(i).to_owned(), to_json(values, i, value))).collect();
            pairs.sort_by(|(left, _), (right, _)| left.cmp(right));
            Json::Object(pairs.into_iter().collect())
        }
        SqlType::Struct(fields) => {
            let columns = array.as_struct();
            let mut pairs: Vec<(String, Json)> = fields
                .iter()
                .zip(columns.columns())
                .map(|(field, column)| (field.name.as_str().to_owned(), to_json(column, row, &field.ty)))
                .collect();
            pairs.sort_by(|(left, _), (right, _)| left.cmp(right));
            Json::Object(pairs.into_iter().collect())
        }
    }
}

fn key_type(map: &SqlType) -> &SqlType {
    match map {
        SqlType::Map(key, _) => key,
        other => other,
    }
}
