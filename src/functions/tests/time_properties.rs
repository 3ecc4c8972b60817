//! Functions of dates and times against chrono and 128-bit arithmetic: units, zones, gaps and overlaps, patterns.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::expressions::tests::oracle::{Subject, V, random};
use crate::types::SqlType;

const UNITS: [(&str, i128); 5] =
    [("MILLISECONDS", 1), ("SECONDS", 1_000), ("MINUTES", 60_000), ("HOURS", 3_600_000), ("DAYS", 86_400_000)];

fn fail(why: &str) -> Result<V, String> {
    Err(why.to_owned())
}

#[test]
fn units_are_added_and_taken_away() {
    for (unit, ms) in UNITS {
        for (suffix, sign) in [("ADD", 1), ("SUB", -1)] {
            let moved = |n: &V| if let V::Int(n) = n { Some(i128::from(*n) * ms * sign) } else { None };
            Subject::new(&format!("TIMESTAMP{suffix}({unit}, n, t)"), "n INT, t TIMESTAMP").agrees(|row| {
                let (Some(by), V::Timestamp(t)) = (moved(&row[0]), &row[1]) else { return Ok(V::Null) };
                i64::try_from(i128::from(*t) + by).map_or_else(|_| fail("out of range"), |ms| Ok(V::Timestamp(ms)))
            });
            Subject::new(&format!("DATE{suffix}({unit}, n, d)"), "n INT, d DATE").agrees(|row| {
                let (Some(by), V::Date(d)) = (moved(&row[0]), &row[1]) else { return Ok(V::Null) };
                let days = (i128::from(*d) * 86_400_000 + by) / 86_400_000;
                i32::try_from(days).map_or_else(|_| fail("out of range"), |days| Ok(V::Date(days)))
            });
            Subject::new(&format!("TIME{suffix}({unit}, n, t)"), "n INT, t TIME").agrees(|row| {
                let (Some(by), V::Time(t)) = (moved(&row[0]), &row[1]) else { return Ok(V::Null) };
                Ok(V::Time((i128::from(*t) + by).rem_euclid(86_400_000) as i32))
            });
        }
    }
}

/// Java's name of a zone, and its offset in seconds at a moment.
fn offset(zone: &str, ms: i64) -> i64 {
    let moment = DateTime::<Utc>::from_timestamp_millis(ms).expect("in range");
    match zone.parse::<Tz>() {
        Ok(zone) => moment.with_timezone(&zone).naive_local().signed_duration_since(moment.naive_utc()).num_seconds(),
        Err(_) => i64::from(zone.parse::<FixedOffset>().expect("an offset").local_minus_utc()),
    }
}

const ZONES: [&str; 9] = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Apia",
    "+05:45",
    "-11:00",
];

/// Moments from 1950 to 2100, often near the changes of clocks.
fn moment(random: &mut fastrand::Rng) -> i64 {
    if random.bool() {
        return random.i64(-631_152_000_000..4_102_444_800_000);
    }
    // Ends of March and October, first Sundays of April and November, and the day that Samoa left out.
    let days = [(2021, 3, 28), (2021, 10, 31), (2020, 11, 1), (2022, 4, 3), (2011, 12, 30), (2021, 3, 14)];
    let (year, month, day) = days[random.usize(..days.len())];
    let midnight = NaiveDate::from_ymd_opt(year, month, day).expect("a day").and_time(chrono::NaiveTime::MIN);
    midnight.and_utc().timestamp_millis() + random.i64(-129_600_000..129_600_000)
}

/// Patterns of Java and of chrono that spell the same.
const PATTERNS: [(&str, &str); 8] = [
    ("yyyy-MM-dd HH:mm:ss.SSS", "%Y-%m-%d %H:%M:%S%.3f"),
    ("yyyyMMddHHmmssSSS", "%Y%m%d%H%M%S%3f"),
    ("EEE, dd MMM yyyy hh:mm a", "%a, %d %b %Y %I:%M %p"),
    ("EEEE d MMMM uuuu, H:m:s", "%A %-d %B %Y, %-H:%-M:%-S"),
    ("yyyy-DDD'T'HHmm", "%Y-%jT%H%M"),
    ("dd/MM/yy ''H", "%d/%m/%y '%-H"),
    ("yyyy-MM-dd'T'HH:mm:ssxxx", "%Y-%m-%dT%H:%M:%S%:z"),
    ("[uuuu][ 'day' D]", "%Y day %-j"),
];

#[test]
fn moments_are_spelled_in_their_zone() {
    for (java, chrono) in PATTERNS {
        for zone in ZONES {
            let call = format!("FORMAT_TIMESTAMP(t, '{}', '{zone}')", java.replace('\'', "''"));
            Subject::new(&call, "t TIMESTAMP").agrees_for(
                crate::expressions::tests::oracle::seeds().div_ceil(10),
                |random| vec![V::Timestamp(moment(random))],
                |row| {
                    let V::Timestamp(ms) = row[0] else { return Ok(V::Null) };
                    let east = FixedOffset::east_opt(i32::try_from(offset(zone, ms)).expect("small")).expect("small");
                    let local = east.timestamp_millis_opt(ms).single().expect("in range");
                    Ok(V::Text(local.format(chrono).to_string()))
                },
            );
        }
    }
}

/// The moment of a local time: of two the earlier; in a gap, as late after its start as the clock says.
fn instant(zone: &str, local: NaiveDateTime) -> i64 {
    let as_utc = local.and_utc().timestamp_millis();
    let around: Vec<i64> = [-48, -24, 0, 24].iter().map(|hours| offset(zone, as_utc + hours * 3_600_000)).collect();
    let candidates = around.iter().map(|offset| as_utc - offset * 1000);
    let valid = candidates.filter(|ms| offset(zone, *ms) * 1000 == as_utc - ms).min();
    valid.unwrap_or(as_utc - around[0] * 1000)
}

#[test]
fn local_times_are_read_in_their_zone() {
    for zone in ZONES {
        let call = format!("PARSE_TIMESTAMP(s, 'yyyy-MM-dd HH:mm:ss.SSS', '{zone}')");
        Subject::new(&call, "s STRING").agrees_on(
            |random| {
                let local = DateTime::<Utc>::from_timestamp_millis(moment(random)).expect("in range").naive_utc();
                vec![V::Text(local.format("%Y-%m-%d %H:%M:%S%.3f").to_string())]
            },
            |row| {
                let V::Text(text) = &row[0] else { return Ok(V::Null) };
                let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.3f").expect("as written");
                Ok(V::Timestamp(instant(zone, local)))
            },
        );
    }
}

#[test]
fn what_was_spelled_is_read_back() {
    for pattern in [
        "yyyy-MM-dd HH:mm:ss.SSS xx",
        "uuuuMMddHHmmssSSSXXX",
        "EEE d MMM yyyy K:mm:ss.SSS a O",
        "yyyy D A Z",
        "dd-MM-yyyy kk:mm:ss.SSSSSS XXXXX",
        "yyyy.MM.dd G 'at' HH:mm:ss.SSS ZZZZZ",
        "uuuu-MM-dd N ZZZZ",
        "yyyy-MM-dd'T'HH:mm:ss.SSS VV",
    ] {
        for zone in ZONES {
            let read =
                format!("PARSE_TIMESTAMP(FORMAT_TIMESTAMP(t, '{0}', '{zone}'), '{0}')", pattern.replace('\'', "''"));
            Subject::new(&read, "t TIMESTAMP").agrees_for(
                crate::expressions::tests::oracle::seeds().div_ceil(10),
                |random| vec![V::Timestamp(moment(random))],
                |row| {
                    let V::Timestamp(ms) = row[0] else { return Ok(V::Null) };
                    // The name of a zone does not tell the two hours of an overlap apart.
                    let local = DateTime::from_timestamp_millis(ms + offset(zone, ms) * 1000).expect("in range");
                    let by_name = pattern.ends_with("VV");
                    Ok(V::Timestamp(if by_name { instant(zone, local.naive_utc()) } else { ms }))
                },
            );
        }
    }
    let row = |random: &mut fastrand::Rng| vec![random::value(&SqlType::Time, random)];
    Subject::new("PARSE_TIME(FORMAT_TIME(t, 'HH:mm:ss.SSS'), 'HH:mm:ss.SSS')", "t TIME")
        .agrees_on(row, |row| Ok(row[0].clone()));
}

#[test]
fn dates_are_spelled_and_read() {
    let row = |random: &mut fastrand::Rng| vec![V::Date(random.i32(-700_000..2_900_000))];
    Subject::new("FORMAT_DATE(d, 'uuuu-MM-dd')", "d DATE").agrees_on(row, |row| {
        let V::Date(days) = row[0] else { return Ok(V::Null) };
        let day = NaiveDate::from_num_days_from_ce_opt(days + 719_163).expect("in range");
        Ok(V::Text(format!("{:04}-{:02}-{:02}", day.year(), day.month(), day.day())))
    });
    for pattern in ["yyyy-MM-dd", "dd.MM.yyyy", "yyyyDDD", "d MMMM yyyy"] {
        for call in ["PARSE_DATE(FORMAT_DATE(d, ?), ?)", "FROM_DAYS(STRINGTODATE(FORMAT_DATE(d, ?), ?))"] {
            let row = |random: &mut fastrand::Rng| vec![V::Date(random.i32(-700_000..2_900_000))];
            Subject::new(&call.replace('?', &format!("'{pattern}'")), "d DATE").agrees_for(
                crate::expressions::tests::oracle::seeds().div_ceil(4),
                row,
                |row| Ok(row[0].clone()),
            );
        }
    }
    Subject::new("FROM_DAYS(UNIX_DATE(d))", "d DATE")
        .agrees_on(|random| vec![random::present(&SqlType::Date, random)], |row| Ok(row[0].clone()));
    Subject::new("FROM_UNIXTIME(UNIX_TIMESTAMP(t))", "t TIMESTAMP").agrees(|row| Ok(row[0].clone()));
}

#[test]
fn clocks_of_two_zones_differ_by_their_offsets() {
    for from in ZONES {
        for to in ZONES {
            let call = format!("CONVERT_TZ(t, '{from}', '{to}')");
            Subject::new(&call, "t TIMESTAMP").agrees_for(
                crate::expressions::tests::oracle::seeds().div_ceil(20),
                |random| vec![if random.u8(..9) == 0 { V::Null } else { V::Timestamp(moment(random)) }],
                |row| match row[0] {
                    V::Timestamp(ms) => Ok(V::Timestamp(ms + (offset(to, ms) - offset(from, ms)) * 1000)),
                    _ => Ok(V::Null),
                },
            );
        }
    }
}

#[test]
fn ends_of_time_fail_or_are_spelled() {
    let day = TimeDelta::days(1).num_milliseconds();
    Subject::new("FORMAT_TIMESTAMP(t, 'uuuu-MM-dd HH:mm', 'Pacific/Apia')", "t TIMESTAMP").agrees(|row| {
        let V::Timestamp(ms) = row[0] else { return Ok(V::Null) };
        // A day of distance from the ends that chrono has.
        let inside = [ms.saturating_sub(day), ms.saturating_add(day)]
            .iter()
            .all(|ms| DateTime::<Utc>::from_timestamp_millis(*ms).is_some());
        if !inside {
            return fail("out of range");
        }
        let local = DateTime::from_timestamp_millis(ms + offset("Pacific/Apia", ms) * 1000).expect("in range");
        let (year, rest) = (local.year(), local.format("%m-%d %H:%M"));
        let digits = format!("{:04}", year.unsigned_abs());
        let sign = if year < 0 {
            "-"
        } else if year > 9999 {
            "+"
        } else {
            ""
        };
        Ok(V::Text(format!("{sign}{digits}-{rest}")))
    });
}
