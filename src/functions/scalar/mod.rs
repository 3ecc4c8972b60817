//! Scalar functions, a file per family.

mod arrays;
mod bytes;
mod choice;
mod geo;
mod json;
mod json_path;
mod lambda;
mod maps;
mod mask;
mod math;
mod regexp;
mod rounding;
mod search;
mod text;
mod time;
mod time_math;
mod url;

use super::Function;

/// All scalar functions.
pub(super) fn functions() -> Vec<Function> {
    [
        arrays::functions(),
        bytes::functions(),
        choice::functions(),
        geo::functions(),
        json::functions(),
        lambda::functions(),
        maps::functions(),
        mask::functions(),
        math::functions(),
        regexp::functions(),
        rounding::functions(),
        search::functions(),
        text::functions(),
        time::functions(),
        time_math::functions(),
        url::functions(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
