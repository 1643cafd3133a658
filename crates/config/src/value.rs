//! What one key may hold: reading it from TOML with a message that helps, and showing it again.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use toml::Value as Toml;

use crate::{error::Problems, schema::Shape};

/// A type that a key can have.
pub(crate) trait Value: Sized {
    /// Of which kind the TOML value is; decides how a variable's text is read.
    const SHAPE: Shape;
    /// Takes the value at `key`; a fault is noted and gives `None`.
    fn read(value: Toml, key: &str, problems: &mut Problems) -> Option<Self>;
    /// The value for people, secrets as `***`; `None` where there is none.
    fn show(&self) -> Option<Toml>;
}

/// A password, key or token. Prints as `***`; [`Secret::reveal`] is the only way to its text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself. Never for a log, a row or a message.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A number of bytes, written `"512MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    const UNITS: [(&'static str, u64); 7] = [
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("KB", 1_000),
        ("B", 1),
    ];

    /// Megabytes of 1,048,576 bytes.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    fn parse(text: &str) -> Option<Self> {
        let (digits, unit) = number_and_unit(text)?;
        let (_, factor) = Self::UNITS
            .iter()
            .find(|(name, _)| unit.eq_ignore_ascii_case(name))?;
        digits.checked_mul(*factor).map(Self)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = Self::UNITS[..3]
            .iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        match binary {
            Some((name, factor)) => write!(f, "{}{name}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

const TIME_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

fn parse_duration(text: &str) -> Option<Duration> {
    let (digits, unit) = number_and_unit(text)?;
    let (_, factor) = TIME_UNITS.iter().find(|(name, _)| unit == *name)?;
    digits.checked_mul(*factor).map(Duration::from_millis)
}

fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let exact = TIME_UNITS
        .iter()
        .find(|(_, factor)| millis >= *factor && millis.is_multiple_of(*factor));
    match exact {
        Some((unit, factor)) => format!("{}{unit}", millis / factor),
        None => "0s".to_owned(),
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(end);
    Some((digits.parse().ok()?, unit.trim_start()))
}

/// What stands there, for a message.
fn found(value: &Toml) -> String {
    match value {
        Toml::String(text) => format!("the text {text:?}"),
        Toml::Integer(number) => format!("the number {number}"),
        Toml::Float(number) => format!("the number {number}"),
        Toml::Boolean(yes) => format!("{yes}"),
        Toml::Datetime(_) => "a date".to_owned(),
        Toml::Array(_) => "a list".to_owned(),
        Toml::Table(_) => "a table".to_owned(),
    }
}

pub(crate) fn refuse<T>(expected: &str, value: &Toml, key: &str, problems: &mut Problems) -> Option<T> {
    problems.add(key, format!("expected {expected}, found {}", found(value)));
    None
}

const DURATION: &str = "a duration in quotes with its unit (ms, s, m, h, d), such as \"5s\" or \"15m\"";
const BYTES: &str = "a size in quotes with its unit (B, KiB, MiB, GiB), such as \"512MiB\"";

impl Value for Duration {
    const SHAPE: Shape = Shape::Text;
    fn read(value: Toml, key: &str, problems: &mut Problems) -> Option<Self> {
        match value.as_str().and_then(parse_duration) {
            Some(duration) => Some(duration),
            None => refuse(DURATION, &value, key, problems),
        }
    }
    fn show(&self) -> Option<Toml> {
        Some(Toml::String(show_duration(*self)))
    }
}

impl Value for ByteSize {
    const SHAPE: Shape = Shape::Text;
    fn read(value: Toml, key: &str, problems: &mut Problems) -> Option<Self> {
        match value.as_str().and_then(Self::parse) {
            Some(size) => Some(size),
            None => refuse(BYTES, &value, key, problems),
        }
    }
    fn show(&self) -> Option<Toml> {
        Some(Toml::String(self.to_string()))
    }
}

impl Value for Secret {
    const SHAPE: Shape = Shape::Secret;
    fn read(value: Toml, key: &str, problems: &mut Problems) -> Option<Self> {
        match value {
            Toml::String(text) => Some(Self(text)),
            // What was found may be the secret without its quotes.
            _ => {
                problems.add(key, "expected a text in quotes");
                None
            }
        }
    }
    fn show(&self) -> Option<Toml> {
        Some(Toml::String("***".to_owned()))
    }
}

impl Value for String {
    const SHAPE: Shape = Shape::Text;
    fn read(value: Toml, key: &str, problems: &mut Problems) -> Option<Self> {
        match value {
            Toml::String(text) => Some(text),
            other => refuse("a text in quotes", &other, key, problems),
        }
    }
    fn show(&self) -> Option<Toml> {
        Some(Toml::String(self.clone()))
    }
}

impl Value for PathBuf {
    const SHAPE: Shape = Shape::Text;
    fn read(value: Toml, key: &str, problems: &mut Problems) -> Option<Self> {
        match value {
            Toml::String(text) if !text.is_empty() => Some(Self::from(text)),
            other => refuse("a path in quotes", &other, key, problems),
        }
    }
    fn show(&self) -> Option<Toml> {
        Some(Toml::String(self.display().to_string()))
    }
}

impl Value for bool {
    const SHAPE: Shape = Shape::Boolean;
    fn read(value: Toml, key: &str, problems: &mut Problems) -> Option<Self> {
        match value {
            Toml::Boolean(yes) => Some(yes),
            other => refuse("true or false", &other, key, problems),
        }
    }
    fn show(&self) -> Option<Toml> {
        Some(Toml::Boolean(*self))
    }
}

impl Value for f32 {
    const SHAPE: Shape = Shape::Number;
    fn read(value: Toml, key: &str, problems: &mut Problems) -> Option<Self> {
        match value {
            Toml::Integer(number) => Some(number as Self),
            Toml::Float(number) => Some(number as Self),
            other => refuse("a number", &other, key, problems),
        }
    }
    fn show(&self) -> Option<Toml> {
        // Through its shortest spelling: 0.2 stays 0.2 and does not become 0.20000000298.
        Some(Toml::Float(self.to_string().parse().unwrap_or(f64::from(*self))))
    }
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {$(
        impl Value for $type {
            const SHAPE: Shape = Shape::Integer;
            fn read(value: Toml, key: &str, problems: &mut Problems) -> Option<Self> {
                match value.as_integer().map(Self::try_from) {
                    Some(Ok(number)) => Some(number),
                    _ => {
                        let expected = format!("a whole number from {} to {}", Self::MIN, i64::try_from(Self::MAX).unwrap_or(i64::MAX));
                        refuse(&expected, &value, key, problems)
                    }
                }
            }
            fn show(&self) -> Option<Toml> {
                Some(Toml::Integer(i64::try_from(*self).unwrap_or(i64::MAX)))
            }
        }
    )*};
}
whole_numbers!(u16, u32, u64, i16);

impl<T: Value> Value for Option<T> {
    const SHAPE: Shape = T::SHAPE;
    fn read(value: Toml, key: &str, problems: &mut Problems) -> Option<Self> {
        T::read(value, key, problems).map(Some)
    }
    fn show(&self) -> Option<Toml> {
        self.as_ref().and_then(T::show)
    }
}

impl<T: Value> Value for Vec<T> {
    const SHAPE: Shape = match T::SHAPE {
        Shape::Section(keys) => Shape::Sections(keys),
        _ => Shape::List,
    };
    fn read(value: Toml, key: &str, problems: &mut Problems) -> Option<Self> {
        let Toml::Array(values) = value else {
            return refuse("a list in brackets", &value, key, problems);
        };
        let read = values
            .into_iter()
            .enumerate()
            .filter_map(|(i, value)| T::read(value, &format!("{key}[{i}]"), problems));
        Some(read.collect())
    }
    fn show(&self) -> Option<Toml> {
        Some(Toml::Array(self.iter().filter_map(T::show).collect()))
    }
}

/// Settings that are passed through: names and texts. Values whose name sounds like a secret print as `***`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// All of them, by name, as they are.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// All of them, by name, fit to be printed.
    fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        const HIDDEN: [&str; 5] = ["password", "secret", "token", "pem", "key"];
        self.iter().map(|(name, text)| {
            let hidden = HIDDEN.iter().any(|part| name.contains(part));
            (name, if hidden { "***" } else { text })
        })
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown()).finish()
    }
}

/// Text, number or boolean, kept as text.
impl Value for Properties {
    const SHAPE: Shape = Shape::Table;
    fn read(value: Toml, key: &str, problems: &mut Problems) -> Option<Self> {
        let Toml::Table(table) = value else {
            return refuse("a table of names and values", &value, key, problems);
        };
        let mut read = BTreeMap::new();
        for (name, value) in table {
            let text = match value {
                Toml::String(text) => text,
                Toml::Integer(number) => number.to_string(),
                Toml::Float(number) => number.to_string(),
                Toml::Boolean(yes) => yes.to_string(),
                // A dotted name without quotes makes tables inside tables.
                other => {
                    let at = format!("{key}.{name}");
                    let expected = "a text, a number, true or false; names with dots need quotes, such as \"fetch.min.bytes\"";
                    refuse::<()>(expected, &other, &at, problems);
                    continue;
                }
            };
            read.insert(name, text);
        }
        Some(Self(read))
    }
    fn show(&self) -> Option<Toml> {
        let shown = self
            .shown()
            .map(|(name, text)| (name.to_owned(), Toml::String(text.to_owned())));
        Some(Toml::Table(shown.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("5s", 5_000),
            ("15m", 900_000),
            ("7d", 604_800_000),
            ("250ms", 250),
            ("24 h", 86_400_000),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Some(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "1.5h",
            "5 seconds",
            "5S",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        for text in ["7d", "15m", "5s", "250ms", "36h", "0s"] {
            assert_eq!(show_duration(parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("512MiB", 512 << 20),
            ("1mib", 1 << 20),
            ("64KiB", 65_536),
            ("2GB", 2_000_000_000),
            ("17B", 17),
        ] {
            assert_eq!(ByteSize::parse(text), Some(ByteSize(bytes)), "{text}");
        }
        for text in ["", "512", "MiB", "-1MiB", "1M", "1TiB", "18446744073709551615GiB"] {
            assert_eq!(ByteSize::parse(text), None, "{text}");
        }
        assert_eq!(ByteSize(1_114_112).to_string(), "1088KiB");
        assert_eq!(ByteSize(17).to_string(), "17B");
    }

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "*** *** Some(***)"
        );
        let mut problems = Problems::default();
        assert_eq!(
            Secret::read(Toml::Integer(123_456), "clickhouse.password", &mut problems),
            None
        );
        let error = problems.finish(|_| "f".to_owned()).unwrap_err();
        assert!(!error.to_string().contains("123456"));
    }
}
