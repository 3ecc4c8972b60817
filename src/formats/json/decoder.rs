//! Records into columns: the walk over objects, arrays and maps.
//!
//! ```text
//!   {"id": 7, "Name": "x", "tags": ["a", 1], "other": {…}}
//!     │        │             │                └ no column: its grammar is checked, nothing else
//!     │        │             └ TAGS ARRAY<STRING>: elements pushed one by one, then the array ended
//!     │        └ NAME by its upper-cased name
//!     └ ID: pushed to the column at once
//! ```
//!
//! A field that comes again cuts its column back and is read again. A value that does not fit its column is noted and
//! only counts if no later field takes its place: so it is in ksqlDB, where the last field is the only one looked at.

use datafusion::arrow::array::ArrayRef;
use hashbrown::{HashMap, HashSet};

use super::cursor::Cursor;
use super::members::{Fit, Members, Target};
use super::text::unescape;
use super::{Fault, scalar};
use crate::formats::column::{BatchBytes, Column, MapColumn};
use crate::formats::{DecodeError, RecordDecoder, Side};
use crate::types::SqlType;

/// What reading a value needs besides its column: names, at every depth.
#[derive(Debug)]
enum Shape {
    Scalar,
    /// The shape of the elements of an ARRAY or the values of a MAP.
    Many(Box<Shape>),
    Struct(ObjectShape),
}

impl Shape {
    fn of(ty: &SqlType) -> Self {
        match ty {
            SqlType::Array(element) => Self::Many(Box::new(Self::of(element))),
            SqlType::Map(_, value) => Self::Many(Box::new(Self::of(value))),
            SqlType::Struct(fields) => {
                Self::Struct(ObjectShape::new(fields.iter().map(|field| (field.name.as_str(), &field.ty))))
            }
            _ => Self::Scalar,
        }
    }
}

/// The fields of an object.
#[derive(Debug)]
struct ObjectShape {
    names: Vec<String>,
    members: Members,
    shapes: Vec<Shape>,
}

impl ObjectShape {
    fn new<'a>(fields: impl Iterator<Item = (&'a str, &'a SqlType)> + Clone) -> Self {
        Self {
            names: fields.clone().map(|(name, _)| name.to_owned()).collect(),
            members: Members::new(fields.clone().map(|(name, _)| name)),
            shapes: fields.map(|(_, ty)| Shape::of(ty)).collect(),
        }
    }
}

/// Reads the wanted columns of one side.
#[derive(Debug)]
pub(in crate::formats) struct JsonDecoder {
    is_unwrapped: bool,

    shape: ObjectShape,
    columns: Vec<Column>,
    rows: usize,
    bytes: BatchBytes,
}

impl JsonDecoder {
    /// A decoder of these columns of `side`; the indices are in bounds.
    pub(in crate::formats) fn new(side: &Side, wanted: &[usize]) -> Self {
        let fields = wanted.iter().map(|&index| &side.columns[index]);
        Self {
            is_unwrapped: side.unwrapped && side.columns.len() == 1,
            shape: ObjectShape::new(fields.clone().map(|column| (column.name.as_str(), &column.ty))),
            columns: fields.map(|column| Column::new(&column.ty)).collect(),
            rows: 0,
            bytes: BatchBytes::default(),
        }
    }

    fn record(&mut self, bytes: &[u8]) -> Result<(), Box<Fault>> {
        let cursor = &mut Cursor::new(bytes);
        match (cursor.peek(), self.columns.as_mut_slice(), self.shape.shapes.as_mut_slice()) {
            // Null where a record is expected is a record of nulls, wrapped or not.
            (Some(b'n'), columns, _) => {
                cursor.word("null")?;
                columns.iter_mut().for_each(Column::push_null);
            }
            (_, [column], [shape]) if self.is_unwrapped => value(cursor, shape, column, 0)?,
            (_, [], _) if self.is_unwrapped => cursor.skip(0)?,
            (Some(b'{'), columns, _) => object(cursor, &mut self.shape, columns, self.rows, 0)?,
            _ => return Err(scalar::wrong_kind(cursor, "a record of columns")),
        }
        cursor.end()
    }

    fn cut_back(&mut self) {
        self.columns.iter_mut().for_each(|column| column.truncate(self.rows));
    }
}

impl RecordDecoder for JsonDecoder {
    fn decode(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.bytes.add(bytes.len())?;
        match self.record(bytes) {
            Ok(()) => {
                self.rows += 1;
                Ok(())
            }
            Err(fault) => {
                self.cut_back();
                Err(fault.into_error())
            }
        }
    }

    fn append_null(&mut self) {
        self.columns.iter_mut().for_each(Column::push_null);
        self.rows += 1;
    }

    fn undo_last(&mut self) {
        self.rows = self.rows.checked_sub(1).expect("undo_last is called after a row was appended");
        self.cut_back();
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        self.rows = 0;
        self.bytes.reset();
        self.columns.iter_mut().map(Column::finish).collect()
    }
}

/// Reads a value into a column, which grows by one row or is left in need of being cut back.
#[inline(always)]
fn value(cursor: &mut Cursor<'_>, shape: &mut Shape, column: &mut Column, depth: usize) -> Result<(), Box<Fault>> {
    if cursor.peek() == Some(b'n') {
        cursor.word("null")?;
        column.push_null();
        return Ok(());
    }
    match column {
        Column::String(text) => scalar::string(cursor, text, depth)?,
        Column::BigInt(values) => values.push(scalar::big_int(cursor, "BIGINT")?),
        Column::Integer(values) => values.push(scalar::integer(cursor)?),
        Column::Double(values) => values.push(scalar::double(cursor)?),
        Column::Timestamp(values) => values.push(scalar::big_int(cursor, "TIMESTAMP")?),
        _ => cursor.away(|cursor| other_value(cursor, shape, column, depth))?,
    }
    Ok(())
}

/// Values of the types that are rarer or take longer anyway.
#[inline(never)]
fn other_value(
    cursor: &mut Cursor<'_>,
    shape: &mut Shape,
    column: &mut Column,
    depth: usize,
) -> Result<(), Box<Fault>> {
    match column {
        Column::Boolean(values) => values.push(scalar::boolean(cursor)?),
        Column::Time(values) => scalar::time(cursor, values)?,
        Column::Date(values) => scalar::date(cursor, values)?,
        Column::Bytes(text) => scalar::bytes(cursor, text)?,
        Column::Decimal128 { values, precision, scale } => {
            values.push(scalar::decimal128(cursor, *precision, *scale)?);
        }
        Column::Decimal256 { values, precision, scale } => values.push(scalar::decimal(cursor, *precision, *scale)?),
        _ => nested(cursor, shape, column, depth)?,
    }
    Ok(())
}

fn nested(cursor: &mut Cursor<'_>, shape: &mut Shape, column: &mut Column, depth: usize) -> Result<(), Box<Fault>> {
    match (column, shape, cursor.peek()) {
        (Column::Array(list), Shape::Many(items), Some(b'[')) => {
            cursor.enter(depth)?;
            if !cursor.is_closed(b']') {
                let mut index = 0;
                loop {
                    value(cursor, items, list.next_item(), depth + 1)
                        .map_err(|fault| fault.inside(|| format!("[{index}]")))?;
                    index += 1;
                    if !cursor.more(b']')? {
                        break;
                    }
                }
            }
            list.end();
            Ok(())
        }
        (Column::Map(map), Shape::Many(values), Some(b'{')) => self::map(cursor, values, map, depth),
        (Column::Struct(row), Shape::Struct(fields), Some(b'{')) => {
            let rows = row.len();
            object(cursor, fields, row.fields(), rows, depth)?;
            row.end();
            Ok(())
        }
        (Column::Array(_), ..) => Err(scalar::wrong_kind(cursor, "ARRAY")),
        (Column::Map(_), ..) => Err(scalar::wrong_kind(cursor, "MAP")),
        _ => Err(scalar::wrong_kind(cursor, "STRUCT")),
    }
}

/// Reads an object into the columns of its fields; each grows from `rows` by one row.
fn object(
    outer: &mut Cursor<'_>,
    shape: &mut ObjectShape,
    columns: &mut [Column],
    rows: usize,
    depth: usize,
) -> Result<(), Box<Fault>> {
    let mut local = outer.clone();
    let cursor = &mut local;
    cursor.enter(depth)?;
    shape.members.begin();
    // Values that did not fit, by column.
    let mut misfits: Vec<(usize, Box<Fault>)> = Vec::new();
    let mut is_open = !cursor.is_closed(b'}');
    let mut position = 0;
    let mut columns_seen = 0;
    while is_open {
        let target = field_name(cursor, &mut shape.members, position)?;
        position += 1;
        cursor.expect(b':')?;
        match target {
            Some(target) if target.fit >= shape.members.fit(target.column) => {
                let column = &mut columns[target.column];
                if shape.members.fit(target.column) == Fit::Unseen {
                    columns_seen += 1;
                } else {
                    column.truncate(rows);
                    misfits.retain(|(column, _)| *column != target.column);
                }
                shape.members.see(target);
                let start = cursor.at;
                if let Err(fault) = value(cursor, &mut shape.shapes[target.column], column, depth + 1) {
                    if matches!(*fault, Fault::Syntax { .. }) {
                        return Err(fault);
                    }
                    let name = &shape.names[target.column];
                    misfits.push((target.column, fault.inside(|| format!(".{name}"))));
                    column.truncate(rows);
                    column.push_null();
                    cursor.at = start;
                    cursor.skip(depth + 1)?;
                }
            }
            _ => cursor.skip(depth + 1)?,
        }
        is_open = cursor.more(b'}')?;
    }
    outer.at = cursor.at;
    if columns_seen < columns.len() {
        for (index, column) in columns.iter_mut().enumerate() {
            if shape.members.fit(index) == Fit::Unseen {
                column.push_null();
            }
        }
    }
    if misfits.is_empty() {
        return Ok(());
    }
    misfits.into_iter().min_by_key(|(column, _)| *column).map_or(Ok(()), |(_, fault)| Err(fault))
}

/// Takes the name of a field, and tells whose it is.
#[inline(always)]
fn field_name(cursor: &mut Cursor<'_>, members: &mut Members, position: usize) -> Result<Option<Target>, Box<Fault>> {
    if cursor.peek() != Some(b'"') {
        return Err(cursor.syntax("a field name in quotes"));
    }
    if let Some((target, length)) = members.expected(position, cursor.after_quote()) {
        cursor.at += 1 + length;
        return Ok(target);
    }
    let raw = cursor.string()?;
    if !raw.is_escaped {
        return Ok(members.look_up(position, raw.bytes));
    }
    let mut name = Vec::new();
    if !unescape(raw.bytes, &mut name) {
        return Err(cursor.syntax("valid escapes in the string"));
    }
    Ok(members.target_of(&name))
}

/// Reads an object into a MAP. Of entries with one key the last wins, and stands where the first stood no more.
fn map(cursor: &mut Cursor<'_>, values: &mut Shape, map: &mut MapColumn, depth: usize) -> Result<(), Box<Fault>> {
    let start = cursor.at;
    let read = map_entries(cursor, values, map, depth, &HashSet::new());
    let is_suspect = match &read {
        Ok(()) => has_duplicates(map),
        Err(fault) => matches!(**fault, Fault::Mismatch { .. }),
    };
    if !is_suspect {
        read?;
        map.end();
        return Ok(());
    }
    cursor.at = start;
    let overwritten = overwritten_entries(cursor, depth)?;
    if overwritten.is_empty() {
        return read;
    }
    cursor.at = start;
    map.reopen();
    map_entries(cursor, values, map, depth, &overwritten)?;
    map.end();
    Ok(())
}

/// Reads the entries of an object but for those at the positions in `left_out`.
fn map_entries(
    cursor: &mut Cursor<'_>,
    values: &mut Shape,
    map: &mut MapColumn,
    depth: usize,
    left_out: &HashSet<usize>,
) -> Result<(), Box<Fault>> {
    cursor.enter(depth)?;
    if cursor.is_closed(b'}') {
        return Ok(());
    }
    for position in 0.. {
        if cursor.peek() != Some(b'"') {
            return Err(cursor.syntax("a field name in quotes"));
        }
        let raw = cursor.string()?;
        if left_out.contains(&position) {
            cursor.expect(b':')?;
            cursor.skip(depth + 1)?;
        } else {
            scalar::push_unescaped(cursor, raw, map.keys().buffer())?;
            map.keys().end();
            cursor.expect(b':')?;
            value(cursor, values, map.values(), depth + 1)
                .map_err(|fault| fault.inside(|| format!(".{}.value", String::from_utf8_lossy(raw.bytes))))?;
        }
        if !cursor.more(b'}')? {
            break;
        }
    }
    Ok(())
}

fn has_duplicates(map: &MapColumn) -> bool {
    let mut seen = HashSet::new();
    map.open_keys().any(|key| !seen.insert(key))
}

/// The positions of entries whose key comes again.
fn overwritten_entries(cursor: &mut Cursor<'_>, depth: usize) -> Result<HashSet<usize>, Box<Fault>> {
    let mut last: HashMap<String, usize> = HashMap::new();
    let mut overwritten = HashSet::new();
    cursor.enter(depth)?;
    if cursor.is_closed(b'}') {
        return Ok(overwritten);
    }
    for position in 0.. {
        if cursor.peek() != Some(b'"') {
            return Err(cursor.syntax("a field name in quotes"));
        }
        overwritten.extend(last.insert(scalar::owned_string(cursor)?, position));
        cursor.expect(b':')?;
        cursor.skip(depth + 1)?;
        if !cursor.more(b'}')? {
            break;
        }
    }
    Ok(overwritten)
}
