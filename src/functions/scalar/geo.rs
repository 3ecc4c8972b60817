//! GEO_DISTANCE.

use datafusion::arrow::array::{ArrayRef, Float64Array};

use crate::functions::Function;
use crate::functions::call::{Call, Message};

/// Mean radius of the earth.
const RADIUS_KM: f64 = 6371.0;
/// The same in miles, rounded as ksql does.
const RADIUS_MILES: f64 = 3959.0;

pub(super) fn functions() -> Vec<Function> {
    let points = "lat1 DOUBLE!, lon1 DOUBLE!, lat2 DOUBLE!, lon2 DOUBLE!";
    vec![
        Function::scalar(
            "GEO_DISTANCE",
            "OTHER",
            "The great-circle distance of two points in degrees, in km or miles.",
        )
        .overload(points, "DOUBLE", distance)
        .overload(&format!("{points}, units STRING"), "DOUBLE", distance),
    ]
}

fn distance(call: &mut Call<'_>) -> ArrayRef {
    let degrees: Vec<_> = (0..4).map(|i| call.double(i)).collect();
    let unit = (call.args.len() > 4).then(|| call.text(4));
    call.rows::<_, Float64Array>(|row| {
        let (Some(lat1), Some(lon1), Some(lat2), Some(lon2)) =
            (degrees[0].get(row), degrees[1].get(row), degrees[2].get(row), degrees[3].get(row))
        else {
            return Ok(None);
        };
        let unit = unit.and_then(|unit| unit.get(row)).unwrap_or("").trim().to_ascii_lowercase();
        let radius = match unit.as_str() {
            "" | "km" | "kilometer" | "kilometers" | "kilometre" | "kilometres" => RADIUS_KM,
            "mi" | "mile" | "miles" => RADIUS_MILES,
            _ => return Err("GeoDistance function units parameter must be one of KM or MILES".into()),
        };
        if lat1.abs() > 90.0 || lat2.abs() > 90.0 || lon1.abs() > 180.0 || lon2.abs() > 180.0 {
            return Err(Message::from("valid latitude values are -90 to 90, valid longitude values -180 to 180"));
        }
        let (d_lat, d_lon) = ((lat2 - lat1).to_radians(), (lon2 - lon1).to_radians());
        let a = (d_lat / 2.0).sin().powi(2)
            + (d_lon / 2.0).sin().powi(2) * lat1.to_radians().cos() * lat2.to_radians().cos();
        Ok(Some(radius * 2.0 * a.sqrt().asin()))
    })
}
