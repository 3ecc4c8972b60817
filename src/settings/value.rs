//! Values of settings as text with units: durations (`5ms`), sizes (`64MiB`), words, lists.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A type that settings can have.
pub(crate) trait SettingValue: Sized {
    /// What a reader of the documentation sees as the type.
    const KIND: &'static str;
    /// True if the value is written in quotes in TOML.
    const QUOTED: bool = true;

    /// Reads the text of a value.
    ///
    /// # Errors
    /// What was expected, as the end of the sentence "… is not …".
    fn read(text: &str) -> Result<Self, String>;

    /// The value as text that reads as the same value.
    fn text(&self) -> String;

    /// How the value lies on a line of numbers, for ranges; `None` for types without order.
    fn magnitude(&self) -> Option<u128> {
        None
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// The size as a length in memory.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

const SIZE_UNITS: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// In the largest binary unit that divides it.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = SIZE_UNITS[..4].iter().rev().find(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size));
        match fits {
            Some((unit, size)) => write!(f, "{}{unit}", self.0 / size),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// Splits `12.5ms` into number and unit.
fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

impl SettingValue for ByteSize {
    const KIND: &'static str = "size";

    fn read(text: &str) -> Result<Self, String> {
        let wrong = || "a size such as 64MiB, 1GiB or 500kB (a bare number counts bytes)".to_owned();
        let (number, unit) = split_unit(text);
        let number: u64 = number.replace('_', "").parse().map_err(|_| wrong())?;
        let factor = match unit {
            "" => 1,
            unit => SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1,
        };
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }

    fn text(&self) -> String {
        self.to_string()
    }

    fn magnitude(&self) -> Option<u128> {
        Some(u128::from(self.0))
    }
}

impl SettingValue for Duration {
    const KIND: &'static str = "duration";

    fn read(text: &str) -> Result<Self, String> {
        let wrong = || "a duration such as 5ms, 1s, 10m or 24h (a bare number counts milliseconds)".to_owned();
        let (number, unit) = split_unit(text);
        let number: u64 = number.replace('_', "").parse().map_err(|_| wrong())?;
        let nanos: u64 = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "" | "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" | "min" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(nanos).map(Self::from_nanos).ok_or_else(wrong)
    }

    /// In the largest unit up to hours that divides it.
    fn text(&self) -> String {
        let nanos = self.as_nanos();
        let units =
            [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)];
        match units.into_iter().find(|(_, size)| nanos >= *size && nanos.is_multiple_of(*size)) {
            Some((unit, size)) => format!("{}{unit}", nanos / size),
            None if nanos == 0 => "0ms".to_owned(),
            None => format!("{nanos}ns"),
        }
    }

    fn magnitude(&self) -> Option<u128> {
        Some(self.as_nanos())
    }
}

macro_rules! integers {
    ($($ty:ty),*) => {$(
        impl SettingValue for $ty {
            const KIND: &'static str = "whole number";
            const QUOTED: bool = false;

            fn read(text: &str) -> Result<Self, String> {
                text.replace('_', "").parse().map_err(|_| "a whole number that is not negative".to_owned())
            }

            fn text(&self) -> String {
                self.to_string()
            }

            fn magnitude(&self) -> Option<u128> {
                u128::try_from(*self).ok()
            }
        }
    )*};
}
integers!(u16, u32, u64, usize);

impl SettingValue for bool {
    const KIND: &'static str = "`true` or `false`";
    const QUOTED: bool = false;

    fn read(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("true or false".to_owned()),
        }
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for String {
    const KIND: &'static str = "text";

    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn text(&self) -> String {
        self.clone()
    }
}

impl SettingValue for PathBuf {
    const KIND: &'static str = "path";

    fn read(text: &str) -> Result<Self, String> {
        Ok(Self::from(text))
    }

    fn text(&self) -> String {
        self.display().to_string()
    }
}

/// An optional value: empty text is none.
impl<T: SettingValue> SettingValue for Option<T> {
    const KIND: &'static str = T::KIND;
    const QUOTED: bool = T::QUOTED;

    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { T::read(text).map(Some) }
    }

    fn text(&self) -> String {
        self.as_ref().map(T::text).unwrap_or_default()
    }

    fn magnitude(&self) -> Option<u128> {
        self.as_ref().and_then(T::magnitude)
    }
}

/// Several values, separated by commas.
impl<T: SettingValue> SettingValue for Vec<T> {
    const KIND: &'static str = T::KIND;

    fn read(text: &str) -> Result<Self, String> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(T::read).collect()
    }

    fn text(&self) -> String {
        self.iter().map(T::text).collect::<Vec<_>>().join(",")
    }
}

/// Where the server listens, or where a broker does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress(pub SocketAddr);

/// `127.0.0.1:8088`, `localhost:8088`, or ksqlDB's spelling with `http://` in front.
impl SettingValue for ListenAddress {
    const KIND: &'static str = "address:port";

    fn read(text: &str) -> Result<Self, String> {
        let wrong = || "an address such as 127.0.0.1:8088 or http://0.0.0.0:8088".to_owned();
        if text.starts_with("https://") {
            return Err("an http:// address: TLS is not built yet".to_owned());
        }
        let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let bare = match bare.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => bare.to_owned(),
        };
        bare.parse().map(Self).map_err(|_| wrong())
    }

    fn text(&self) -> String {
        self.0.to_string()
    }
}

/// Declares an enum whose values are words; the first word of each is how it is written.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal $(| $alias:literal)*,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)*
        }

        impl SettingValue for $name {
            const KIND: &'static str = concat!($("`", $word, "` ",)*);

            fn read(text: &str) -> Result<Self, String> {
                match text.to_ascii_lowercase().as_str() {
                    $($word $(| $alias)* => Ok(Self::$variant),)*
                    _ => Err(format!("one of {}", [$($word),*].join(", "))),
                }
            }

            fn text(&self) -> String {
                match self { $(Self::$variant => $word,)* }.to_owned()
            }
        }
    };
}

words! {
    /// What a crash may do to results.
    ProcessingGuarantee {
        /// Output, state and offsets in one commit. ksqlDB has had three names for it.
        ExactlyOnce = "exactly_once_v2" | "exactly_once" | "exactly_once_beta",
        /// Output leaves at once; state and offsets commit together.
        AtLeastOnce = "at_least_once",
        /// Offsets first.
        AtMostOnce = "at_most_once",
    }
}

words! {
    /// Which statements are accepted.
    Compatibility {
        /// Everything this server can do.
        Extended = "extended",
        /// What ksqlDB rejects is rejected.
        Ksqldb = "ksqldb",
    }
}

words! {
    /// Where a reader without offsets begins.
    OffsetReset {
        /// At the first retained record.
        Earliest = "earliest",
        /// Behind the last record.
        Latest = "latest",
    }
}

words! {
    /// When appended records are forced to disk.
    FsyncPolicy {
        /// Before a commit is acknowledged: nothing acknowledged is lost when the machine dies.
        Commit = "commit",
        /// Every `topics.sync.interval`: nothing acknowledged is lost when the process dies.
        Interval = "interval",
        /// When the operating system likes.
        Os = "os",
    }
}

words! {
    /// How batches are packed.
    CompressionKind {
        /// As they are.
        None = "none",
        /// As lz4 blocks.
        Lz4 = "lz4",
    }
}

words! {
    /// How log lines look.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ByteSize, ListenAddress, SettingValue};

    #[test]
    fn durations_and_sizes_carry_units() {
        for (text, expected) in [
            ("5ms", Some(Duration::from_millis(5))),
            ("250", Some(Duration::from_millis(250))),
            ("10 m", Some(Duration::from_secs(600))),
            ("1s", Some(Duration::from_secs(1))),
            ("1.5s", None),
            ("-1s", None),
            ("", None),
            ("99999999999999999d", None),
        ] {
            assert_eq!(Duration::read(text).ok(), expected, "{text}");
        }
        for (text, expected) in
            [("64MiB", Some(64 << 20)), ("1_000", Some(1000)), ("2GB", Some(2_000_000_000)), ("7 parrots", None)]
        {
            assert_eq!(ByteSize::read(text).ok().map(|size| size.0), expected, "{text}");
        }
        assert_eq!(ByteSize(64 << 20).to_string(), "64MiB");
        assert_eq!(ByteSize(1500).to_string(), "1500B");
    }

    #[test]
    fn listeners_may_be_spelled_as_ksqldb_does() {
        for text in ["127.0.0.1:8088", "localhost:8088", "http://127.0.0.1:8088", "http://localhost:8088/"] {
            assert_eq!(ListenAddress::read(text).unwrap().0.to_string(), "127.0.0.1:8088");
        }
        assert!(ListenAddress::read("https://127.0.0.1:8088").is_err());
    }
}
