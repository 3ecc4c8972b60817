//! From formats, options and columns to the [`Side`]s of a stream or table, or to the reason why they do not fit.

use super::context::PlanSettings;
use super::properties::{Given, Properties};
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::formats::{self, FormatName, Side, SideColumn};
use crate::types::{Column, Schema};

/// A format with its delimiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) name: FormatName,
    pub(super) delimiter: Option<char>,
}

impl Format {
    /// The format of an existing side.
    pub(super) fn of(side: &Side) -> Self {
        Self { name: side.format, delimiter: side.delimiter }
    }

    /// What a sink has: the format that was named, else the inherited one. The delimiter is inherited with the format.
    pub(super) fn inherit(inherited: Self, named: Option<&Given<FormatName>>, delimiter: Option<&Given<char>>) -> Self {
        let name = named.map_or(inherited.name, |given| given.value);
        let kept = inherited.delimiter.filter(|_| name == inherited.name);
        Self { name, delimiter: delimiter.map(|given| given.value).or(kept) }
    }
}

/// Options that only some formats know are refused on the others.
pub(super) fn check_options(properties: &Properties, key: FormatName, value: FormatName) -> Result<(), Diagnostic> {
    for (format, delimiter, full_name, nullable) in [
        (key, &properties.key_delimiter, &properties.key_schema_full_name, &properties.key_nullable_representation),
        (
            value,
            &properties.value_delimiter,
            &properties.value_schema_full_name,
            &properties.value_nullable_representation,
        ),
    ] {
        let refuse = |option: &str, span: Span| {
            Diagnostic::new(Code::InvalidFormat, format!("format {format} does not know option {option}")).at(span)
        };
        if let Some(given) = delimiter.as_ref().filter(|_| format != FormatName::Delimited) {
            return Err(refuse("delimiter", given.span));
        }
        if let Some(given) = full_name {
            if given.value.trim().is_empty() {
                return Err(
                    Diagnostic::new(Code::InvalidProperty, "the full name of a schema cannot be empty").at(given.span)
                );
            }
            if !matches!(format, FormatName::Avro | FormatName::Protobuf | FormatName::JsonSr) {
                return Err(refuse("fullSchemaName", given.span));
            }
        }
        if let Some(given) =
            nullable.as_ref().filter(|_| !matches!(format, FormatName::Protobuf | FormatName::ProtobufNosr))
        {
            return Err(refuse("nullableRepresentation", given.span));
        }
    }
    Ok(())
}

/// The key side of a schema. Keyless sides keep their format's name and no columns.
pub(super) fn key_side(schema: &Schema, format: Format) -> Result<Side, Diagnostic> {
    let unwrapped = formats::default_unwrapped(format.name, true, schema.key().count());
    let side = side(schema.key(), format, unwrapped);
    check_columns(&side, true)?;
    Ok(side)
}

/// The value side of a schema, and what was said about wrapping, by the statement or the settings.
pub(super) fn value_side(
    schema: &Schema,
    format: Format,
    wrap: Option<&Given<bool>>,
    settings: &PlanSettings,
) -> Result<(Side, Option<bool>), Diagnostic> {
    let count = schema.value().count();
    let default = settings.wrap_single_values;
    let unwrapped = formats::unwrap_value(format.name, count, wrap.map(|given| given.value), default)
        .map_err(|error| error.at(wrap.map_or(Span::UNKNOWN, |given| given.span)))?;
    let by_default = default.filter(|wrap| count == 1 && formats::supports_wrapping(format.name, *wrap));
    let said = wrap.map(|given| given.value).or(by_default);
    let side = side(schema.value(), format, unwrapped);
    check_columns(&side, false)?;
    Ok((side, said))
}

fn side<'a>(columns: impl Iterator<Item = &'a Column>, format: Format, unwrapped: bool) -> Side {
    let columns: Vec<SideColumn> =
        columns.map(|column| SideColumn { name: column.name.clone(), ty: column.ty.clone() }).collect();
    Side { format: format.name, delimiter: format.delimiter, unwrapped, columns }
}

/// The format can hold the columns. The rules of JSON stand in for formats that are not built.
fn check_columns(side: &Side, is_key: bool) -> Result<(), Diagnostic> {
    if is_built(side.format) {
        return formats::validate(side, is_key);
    }
    let stand_in = Side { format: FormatName::Json, ..side.clone() };
    formats::validate(&stand_in, is_key).map_err(|mut error| {
        error.primary = error.primary.replace("JSON", side.format.as_str());
        error
    })
}

fn is_built(format: FormatName) -> bool {
    matches!(format, FormatName::Kafka | FormatName::Delimited | FormatName::Json | FormatName::None)
}

/// Formats whose schemas live in a registry, and PROTOBUF, are not built yet.
pub(super) fn check_built(key: &Side, value: &Side) -> Result<(), Diagnostic> {
    match [key.format, value.format].into_iter().find(|format| !is_built(*format)) {
        Some(format) => Err(Diagnostic::not_implemented(format!("format {format}"))),
        None => Ok(()),
    }
}
