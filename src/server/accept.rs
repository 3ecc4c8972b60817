//! Content negotiation: which of the media types on offer a request wants.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

use super::row_format::RowFormat;

/// ksqlDB's JSON, version 1.
pub(super) const V1_JSON: &str = "application/vnd.ksql.v1+json";
/// Plain JSON.
pub(super) const JSON: &str = "application/json";
/// Lines of JSON.
pub(super) const DELIMITED: &str = "application/vnd.ksqlapi.delimited.v1";

/// What the `Accept` headers of a request come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// No header at all.
    Anything,
    /// `*/*` or the like decided.
    Wildcard,
    /// This one of the offers.
    Type(&'static str),
    /// None of the offers will do.
    Nothing,
}

/// The best of `offers` by the client's weights; between equal weights the client's order decides.
pub(super) fn negotiate(headers: &HeaderMap, offers: &[&'static str]) -> Wanted {
    let mut entries: Vec<(String, f32)> = Vec::new();
    for header in headers.get_all(ACCEPT) {
        let Ok(text) = header.to_str() else { continue };
        for entry in text.split(',') {
            let mut parts = entry.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            if !media.is_empty() {
                entries.push((media, weight));
            }
        }
    }
    if entries.is_empty() {
        return Wanted::Anything;
    }
    entries.retain(|(_, weight)| *weight > 0.0);
    // The sort is stable: equal weights keep the client's order.
    entries.sort_by(|left, right| right.1.total_cmp(&left.1));
    for (media, _) in &entries {
        if media == "*/*" || media == "application/*" {
            return Wanted::Wildcard;
        }
        if let Some(offer) = offers.iter().find(|offer| *offer == media) {
            return Wanted::Type(offer);
        }
    }
    Wanted::Nothing
}

/// The layout and `content-type` of a SELECT's rows by endpoint and `Accept` (`rest-api.md` 6).
/// `None`: not acceptable.
pub(super) fn row_format(headers: &HeaderMap, endpoint: QueryEndpoint) -> Option<(RowFormat, &'static str)> {
    let delimited = (RowFormat::Delimited, DELIMITED);
    let row_json = (RowFormat::RowJson, V1_JSON);
    Some(match (negotiate(headers, &[V1_JSON, JSON, DELIMITED]), endpoint) {
        (Wanted::Anything, QueryEndpoint::QueryStream) => delimited,
        (Wanted::Anything, QueryEndpoint::Query) => row_json,
        (Wanted::Wildcard, _) => delimited,
        (Wanted::Type(JSON), QueryEndpoint::QueryStream) => (RowFormat::JsonArray, JSON),
        (Wanted::Type(DELIMITED), _) => delimited,
        (Wanted::Type(_), _) => row_json,
        (Wanted::Nothing, _) => return None,
    })
}

/// The two doors to queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueryEndpoint {
    /// `/query`, the older one.
    Query,
    /// `/query-stream`.
    QueryStream,
}

#[cfg(test)]
mod tests {
    use axum::http::header::ACCEPT;
    use axum::http::{HeaderMap, HeaderValue};

    use super::{DELIMITED, JSON, QueryEndpoint, V1_JSON, row_format};

    #[test]
    fn the_row_format_follows_endpoint_and_accept() {
        for (accept, query_stream, query) in [
            ("", "Delimited", "RowJson"),
            ("*/*", "Delimited", "Delimited"),
            (DELIMITED, "Delimited", "Delimited"),
            (JSON, "JsonArray", "RowJson"),
            (V1_JSON, "RowJson", "RowJson"),
            ("application/json;q=0.5, application/vnd.ksql.v1+json", "RowJson", "RowJson"),
            ("text/html, */*;q=0.1", "Delimited", "Delimited"),
            ("text/html", "406", "406"),
            ("application/json;q=0", "406", "406"),
        ] {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            let told =
                |endpoint| row_format(&headers, endpoint).map_or("406".to_owned(), |(format, _)| format!("{format:?}"));
            assert_eq!(
                (told(QueryEndpoint::QueryStream), told(QueryEndpoint::Query)),
                (query_stream.into(), query.into()),
                "{accept}"
            );
        }
    }
}
