//! Patterns from text to text.

use super::{JavaPattern, Zone};

/// What is appended to an empty text.
fn written(write: impl FnOnce(&mut String) -> Result<(), String>) -> Result<String, String> {
    let mut text = String::new();
    write(&mut text).map(|()| text)
}

/// Reads `text` in UTC and writes it as an ISO timestamp; an error is `-`.
fn check(pattern: &str, text: &str, expected: &str) {
    let zone = Zone::UTC;
    let iso = JavaPattern::compile("yyyy-MM-dd'T'HH:mm:ss.SSS").expect("a pattern");
    let read = JavaPattern::compile(pattern).map_err(|error| error.to_string());
    let shown = read
        .and_then(|pattern| pattern.parse_millis(text, zone))
        .and_then(|ms| written(|out| iso.format_millis(ms, zone, out)))
        .unwrap_or_else(|_| "-".to_owned());
    assert_eq!(shown, expected, "{pattern} of {text}");
}

#[test]
fn texts_are_read_as_java_reads_them() {
    check("yyyy-MM-dd HH:mm:ss", "2018-08-12 10:11:12", "2018-08-12T10:11:12.000");
    check("yyyyMMddHHmmssSSS", "20180812101112123", "2018-08-12T10:11:12.123");
    check("yyyy-MM-dd'T'HH:mm:ss.SSSSSS", "2018-08-12T10:11:12.123456", "2018-08-12T10:11:12.123");
    check("yyyy-MM-dd'T'HH:mm:ssX", "2018-08-12T10:11:12+02", "2018-08-12T08:11:12.000");
    check("yyyy-MM-dd'T'HH:mm:ssXXX", "2018-08-12T10:11:12Z", "2018-08-12T10:11:12.000");
    check("yyyy-MM-dd HH:mm:ss z", "2018-08-12 10:11:12 PST", "2018-08-12T17:11:12.000");
    check("dd/MMM/yyyy", "12/aug/2018", "2018-08-12T00:00:00.000");
    check("d/M/yy", "1/2/03", "2003-02-01T00:00:00.000");
    check("DDD", "366", "-");
    check("yyyy-DDD", "2020-366", "2020-12-31T00:00:00.000");
    check("YYYY-ww-e", "2018-33-1", "2018-08-12T00:00:00.000");
    check("YYYY-w EEE", "2020-1 Sun", "2019-12-29T00:00:00.000");
    check("yyyy-MM-dd HH:mm", "2018-12-31 24:00", "2019-01-01T00:00:00.000");
    check("yyyy-MM-dd HH:mm", "2018-12-31 24:01", "-");
    check("ppd/M", " 3/4", "1970-04-03T00:00:00.000");
    check("yyyy-MM-dd[ HH:mm]", "2018-08-12", "2018-08-12T00:00:00.000");
    check("yyyy-MM-dd[ HH:mm]", "2018-08-12 01:02", "2018-08-12T01:02:00.000");
    check("hh:mm a", "12:30 pm", "1970-01-01T12:30:00.000");
    check("yyyy", "12345", "-");
    check("yyyy-MM-dd", "2018-13-01", "-");
    check("yyyy-MM-dd", "2018-08-12x", "-");
    check("yyyy-MM-dd 'at' HH", "2018-08-12 at 7", "-");
    check("b", "1", "-");
    check("yyyy-MM-dd yyyy", "2018-08-12 2018", "2018-08-12T00:00:00.000");
    check("yyyy-MM-dd yyyy", "2018-08-12 2019", "-");
    check("EEE yyyy-MM-dd", "Sun 2018-08-12", "2018-08-12T00:00:00.000");
    check("EEE yyyy-MM-dd", "Mon 2018-08-12", "-");
    check("hh:mm a", "13:30 pm", "-");
    check("kk", "24", "1970-01-01T00:00:00.000");
    check("kk", "25", "-");
    check("HH XX", "10 +02", "-");
    check("HH XX", "10 +0230", "1970-01-01T07:30:00.000");
    check("HH XXX", "10 +0230", "-");
    check("HH X", "10 -03", "1970-01-01T13:00:00.000");
    check("HH O", "10 GMT+5:30", "1970-01-01T04:30:00.000");
    check("HH O", "10 GMT", "1970-01-01T10:00:00.000");
    check("HH OOOO", "10 GMT-05:30", "1970-01-01T15:30:00.000");
}

#[test]
fn moments_are_written_in_their_zone() {
    let ms = 1_534_068_672_123;
    for (pattern, zone, expected) in [
        ("yyyy-MM-dd HH:mm:ss.SSS", "UTC", "2018-08-12 10:11:12.123"),
        ("EEE, d MMM yyyy h:mm a", "UTC", "Sun, 12 Aug 2018 10:11 AM"),
        ("yyyy-MM-dd HH:mm z", "America/Los_Angeles", "2018-08-12 03:11 PDT"),
        ("HH:mm XXX", "Europe/Paris", "12:11 +02:00"),
        ("HH:mm VV", "Europe/Paris", "12:11 Europe/Paris"),
        ("EEEE MMMM D Q", "UTC", "Sunday August 224 3"),
        ("yy''X", "+01:30", "18'+0130"),
        ("z VV", "UTC", "UTC UTC"),
        ("z VV", "Z", "Z Z"),
        ("z", "GMT+2", "GMT+02:00"),
        ("YYYY w W e c F EEEEE MMMMM GGGGG", "UTC", "2018 33 3 1 1 5 S A A"),
        ("pppd|ppH", "UTC", " 12|10"),
    ] {
        let compiled = JavaPattern::compile(pattern).expect(pattern);
        let zone = Zone::read(zone).expect(zone);
        let text = written(|out| compiled.format_millis(ms, zone, out));
        assert_eq!(text.as_deref(), Ok(expected), "{pattern}");
    }
}

#[test]
fn a_day_has_no_hours_and_an_hour_no_day() {
    let compile = |text| JavaPattern::compile(text).expect(text);
    assert_eq!(written(|out| compile("yyyy-MM-dd").format_days(1, out)).as_deref(), Ok("1970-01-02"));
    assert!(written(|out| compile("HH").format_days(1, out)).is_err());
    assert_eq!(written(|out| compile("HHmm").format_time_millis(3_600_000, out)).as_deref(), Ok("0100"));
    assert!(written(|out| compile("yyyy").format_time_millis(0, out)).is_err());
    assert_eq!(compile("HH:mm").parse_time_millis("01:02"), Ok(3_720_000));
    assert!(compile("yyyy HH").parse_time_millis("2018 01").is_err());
    let lenient = JavaPattern::compile_lenient("yyyy-M-d").expect("a pattern");
    for (text, days) in
        [("1970-2-30", Some(60)), ("1970-13-1", Some(365)), ("1970-0-0", Some(-32)), ("1-9223372036854775807-1", None)]
    {
        assert_eq!(lenient.parse_days(text).ok(), days, "{text}");
    }
    assert_eq!(JavaPattern::compile_lenient("MMM-yyyy").expect("ok").parse_days("Feb-1970"), Ok(31));
}

#[test]
fn what_no_date_needs_is_refused() {
    for pattern in ["[".repeat(40), "yyyy-".repeat(600), "u".repeat(20), "n".repeat(100)] {
        assert!(JavaPattern::compile(&pattern).is_err(), "{pattern}");
    }
    let all = |pattern: &str, text: &str| check(pattern, text, "-");
    all("A", "9223372036854775807");
    all("N", "9223372036854775807");
    all("Q", "9223372036854775807");
    all("G yyyy", "BC -9223372036854775807");
    all("VV", &"a/b".repeat(100_000));
    all("z", &"UTC".repeat(100_000));
    all("H", &"9".repeat(100_000));
}
