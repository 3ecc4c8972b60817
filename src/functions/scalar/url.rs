//! Parts of URLs, as `java.net.URI` sees them, and form encoding.

use datafusion::arrow::array::{ArrayRef, Int32Array, StringArray};

use crate::functions::Function;
use crate::functions::call::{Call, Message};

const CATEGORY: &str = "URL";

pub(super) fn functions() -> Vec<Function> {
    vec![
        part("URL_EXTRACT_PROTOCOL", "The scheme of a URL.", |uri| uri.scheme.map(str::to_owned)),
        part("URL_EXTRACT_HOST", "The host of a URL.", |uri| uri.host().map(str::to_owned)),
        part("URL_EXTRACT_PATH", "The path of a URL, decoded.", |uri| Some(decoded(uri.path))),
        part("URL_EXTRACT_QUERY", "The query of a URL, decoded.", |uri| uri.query.map(decoded)),
        part("URL_EXTRACT_FRAGMENT", "The fragment of a URL, decoded.", |uri| uri.fragment.map(decoded)),
        Function::scalar("URL_EXTRACT_PORT", CATEGORY, "The port of a URL, if it is written.").overload(
            "input STRING",
            "INTEGER",
            |call| {
                let text = call.text(0);
                call.rows::<_, Int32Array>(|row| text.get(row).map(Uri::read).transpose().map(|uri| uri?.port()))
            },
        ),
        Function::scalar("URL_EXTRACT_PARAMETER", CATEGORY, "The value of a parameter in the query of a URL.")
            .overload("input STRING, paramToExtract STRING", "STRING", parameter),
        Function::scalar("URL_ENCODE_PARAM", CATEGORY, "A text in form encoding.").overload(
            "input STRING",
            "STRING",
            |call| {
                let text = call.text(0);
                call.rows::<_, StringArray>(|row| Ok(text.get(row).map(encoded)))
            },
        ),
        Function::scalar("URL_DECODE_PARAM", CATEGORY, "A text out of form encoding.").overload(
            "input STRING",
            "STRING",
            |call| {
                let text = call.text(0);
                call.rows::<_, StringArray>(|row| text.get(row).map(form_decoded).transpose())
            },
        ),
    ]
}

fn part(name: &'static str, description: &'static str, pick: fn(&Uri<'_>) -> Option<String>) -> Function {
    Function::scalar(name, CATEGORY, description).overload("input STRING", "STRING", move |call| {
        let text = call.text(0);
        call.rows::<_, StringArray>(|row| text.get(row).map(Uri::read).transpose().map(|uri| pick(&uri?)))
    })
}

/// A URI in its parts (RFC 2396).
#[derive(Debug, Clone, Copy)]
struct Uri<'a> {
    scheme: Option<&'a str>,
    authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> Uri<'a> {
    fn read(text: &'a str) -> Result<Self, Message> {
        let bad = || Message::from(format!("URL input has invalid syntax: {text}"));
        let illegal = |c: char| c.is_ascii_control() || c == ' ' || "\"<>\\^`{|}".contains(c);
        if text.contains(illegal) || !escapes_are_whole(text) {
            return Err(bad());
        }
        let (rest, fragment) = text.split_once('#').map_or((text, None), |(rest, fragment)| (rest, Some(fragment)));
        let (scheme, rest) = match rest.find([':', '/', '?']) {
            Some(at) if rest.as_bytes()[at] == b':' => {
                let scheme = &rest[..at];
                let legal = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                    && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
                if !legal || rest.len() == at + 1 {
                    return Err(bad());
                }
                (Some(scheme), &rest[at + 1..])
            }
            _ => (None, rest),
        };
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                let end = rest.find('/').unwrap_or(rest.len());
                (Some(&rest[..end]), &rest[end..])
            }
            None => (None, rest),
        };
        if path.contains(['[', ']']) {
            return Err(bad());
        }
        Ok(Self { scheme, authority, path, query, fragment })
    }

    fn host_and_port(&self) -> Option<(&'a str, Option<&'a str>)> {
        let authority = self.authority?;
        let server = authority.rsplit_once('@').map_or(authority, |(_, server)| server);
        if server.starts_with('[') {
            let end = server.find(']')? + 1;
            return Some((&server[..end], server[end..].strip_prefix(':')));
        }
        Some(server.split_once(':').map_or((server, None), |(host, port)| (host, Some(port))))
    }

    fn host(&self) -> Option<&'a str> {
        self.host_and_port().map(|(host, _)| host).filter(|host| !host.is_empty())
    }

    fn port(&self) -> Option<i32> {
        self.host_and_port()?.1?.parse().ok()
    }
}

fn escapes_are_whole(text: &str) -> bool {
    let bytes = text.as_bytes();
    let whole = |at: usize| bytes.get(at + 1..at + 3).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit));
    bytes.iter().enumerate().all(|(at, byte)| *byte != b'%' || whole(at))
}

/// Percent escapes as the text they stand for.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'*' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn form_decoded(text: &str) -> Result<String, Message> {
    if !escapes_are_whole(text) {
        return Err(format!("Illegal escape in form encoding: {text}").into());
    }
    Ok(decoded(&text.replace('+', " ")))
}

fn parameter(call: &mut Call<'_>) -> ArrayRef {
    let (text, name) = (call.text(0), call.text(1));
    call.rows::<_, StringArray>(|row| {
        let (Some(text), Some(name)) = (text.get(row), name.get(row)) else { return Ok(None) };
        let Some(query) = Uri::read(text)?.query.map(decoded) else { return Ok(None) };
        let found = query.split('&').find_map(|pair| match pair.split_once('=') {
            Some((key, value)) => (key == name).then(|| value.to_owned()),
            None => (pair == name).then(String::new),
        });
        Ok(found)
    })
}
