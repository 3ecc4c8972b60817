//! Functions that give one of their arguments: COALESCE, IFNULL, NULLIF, GREATEST, LEAST, AS_VALUE.

use std::cmp::Ordering;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute::interleave;

use crate::expressions::{common_type, equality};
use crate::functions::Function;
use crate::functions::call::Call;
use crate::functions::order::order;
use crate::types::SqlType;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::scalar("COALESCE", "CONDITIONAL", "The first argument that is not null.")
            .overload("first T, others T...", "T", |call| {
                choose(call, |call, row| (0..call.args.len()).find(|i| !call.args[*i].is_null(row)))
            })
            .stopping_at_value(),
        Function::scalar("IFNULL", "CONDITIONAL", "The first argument, or the second where the first is null.")
            .overload("expression T, alternative T", "T", |call| {
                choose(call, |call, row| (0..2).find(|i| !call.args[*i].is_null(row)))
            })
            .stopping_at_value(),
        Function::scalar("NULLIF", "CONDITIONAL", "Null where the two arguments are equal, else the first.").overload(
            "left T, right T",
            "T",
            |call| {
                let (left, right) = (call.array(0), call.array(1));
                let equal = equality(&left, &right);
                choose(call, |_, row| (!equal(row, row)).then_some(0))
            },
        ),
        Function::scalar("AS_VALUE", "OTHER", "The argument; a key column given here stands in the value.").overload(
            "keyColumn T",
            "T",
            |call| call.array(0),
        ),
        extreme("GREATEST", "The largest argument; nulls are left out.", Ordering::Greater),
        extreme("LEAST", "The smallest argument; nulls are left out.", Ordering::Less),
    ]
}

fn extreme(name: &'static str, description: &'static str, wanted: Ordering) -> Function {
    let mut function = Function::scalar(name, "CONDITIONAL", description);
    for ty in ["INTEGER", "BIGINT", "DOUBLE", "STRING", "BYTES", "DATE", "TIME", "TIMESTAMP"] {
        function = function.overload(&format!("first {ty}, others {ty}..."), ty, move |call| pick(call, wanted));
    }
    function.with_common("first DECIMAL, others DECIMAL...", (widest, "DECIMAL"), move |call| pick(call, wanted))
}

/// The DECIMAL that holds all arguments.
fn widest(args: &[SqlType]) -> Result<SqlType, String> {
    let mut types = args.iter();
    let first = types.next().cloned().ok_or_else(|| "An argument is needed.".to_owned())?;
    types.try_fold(first, |known, ty| {
        common_type(&known, ty).ok_or_else(|| format!("{known} and {ty} have no common type."))
    })
}

fn pick(call: &Call<'_>, wanted: Ordering) -> ArrayRef {
    let arrays: Vec<ArrayRef> = (0..call.args.len()).map(|i| call.array(i)).collect();
    let n = arrays.len();
    let orders: Vec<_> = (0..n).map(|i| (0..n).map(|j| order(&arrays[i], &arrays[j])).collect::<Vec<_>>()).collect();
    choose(call, |call, row| {
        (0..call.args.len())
            .filter(|i| !call.args[*i].is_null(row))
            .reduce(|best, i| if orders[i][best](row, row) == wanted { i } else { best })
    })
}

/// The argument that `which` names in each row, or NULL.
fn choose(call: &Call<'_>, which: impl Fn(&Call<'_>, usize) -> Option<usize>) -> ArrayRef {
    let nulls = datafusion::arrow::array::new_null_array(&call.returns().arrow(), 1);
    let mut arrays: Vec<&dyn Array> = call.args.iter().map(|value| value.array().as_ref()).collect();
    let none = arrays.len();
    arrays.push(nulls.as_ref());
    let indices: Vec<(usize, usize)> = (0..call.rows)
        .map(|row| match which(call, row) {
            Some(i) => (i, if call.args[i].is_constant() { 0 } else { row }),
            None => (none, 0),
        })
        .collect();
    interleave(&arrays, &indices).expect("resolution gives all arguments one type")
}
