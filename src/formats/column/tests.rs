//! Truncation at every depth.

use super::Column;
use crate::formats::testing::{row_text, sql_type};

#[test]
fn a_column_cut_back_in_the_middle_of_a_row_is_as_if_the_row_had_never_begun() {
    let mut column = Column::new(&sql_type("ARRAY<STRUCT<A STRING, B MAP<STRING, INTEGER>>>"));
    let fill = |column: &mut Column, text: &str, complete: bool| {
        let Column::Array(list) = column else { unreachable!() };
        let Column::Struct(row) = list.next_item() else { unreachable!() };
        let [Column::String(a), Column::Map(b)] = row.fields() else { unreachable!() };
        a.push(text.as_bytes());
        b.keys().push(text.as_bytes());
        if complete {
            b.values().push_null();
            b.end();
            row.end();
            list.end();
        }
    };
    fill(&mut column, "one", true);
    fill(&mut column, "gone", false);
    column.truncate(1);
    column.push_null();
    fill(&mut column, "gone", true);
    column.truncate(2);
    fill(&mut column, "two", true);
    let array = column.finish();
    let rows: Vec<String> = (0..array.len()).map(|row| row_text(std::slice::from_ref(&array), row)).collect();
    assert_eq!(rows, ["[{A: one, B: {one: null}}]", "null", "[{A: two, B: {two: null}}]"]);
    assert_eq!(column.finish().len(), 0);
}
