//! Members of an object, taken out of the tree and not copied.

use changegate_types::{Mark, TimeMicros};
use serde_json::Value;

use super::Columns;

/// The members of one object.
#[derive(Debug, Default)]
pub(super) struct Members {
    object: Value,
    wrong_type: bool,
}

impl Members {
    pub(super) fn of(object: Value) -> Self {
        Self {
            object,
            wrong_type: false,
        }
    }

    pub(super) fn value(&mut self, name: &str) -> Value {
        take(&mut self.object, name)
    }

    /// Text, or a number or word as spelled. An object or array leaves the field empty and is marked.
    pub(super) fn text(&mut self, name: &str) -> String {
        let value = self.value(name);
        self.wrong_type |= value.is_object() || value.is_array();
        owned(value)
    }

    /// A time. Marked where it is there and is none.
    pub(super) fn time(&mut self, name: &str) -> Option<TimeMicros> {
        let text = self.text(name);
        let time = parse_time(&text);
        self.wrong_type |= time.is_none() && !text.is_empty();
        time
    }

    /// Notes what was wrong.
    pub(super) fn finish(self, columns: &mut Columns) {
        if self.wrong_type {
            columns.marks.set(Mark::WrongType);
        }
    }
}

pub(super) fn take(object: &mut Value, name: &str) -> Value {
    object.get_mut(name).map(Value::take).unwrap_or_default()
}

/// Text, or a number or word as spelled.
pub(super) fn owned(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => String::new(),
    }
}

/// The text of a member, borrowed; empty where there is none.
pub(super) fn text(member: Option<&Value>) -> &str {
    member.and_then(Value::as_str).unwrap_or_default()
}

/// The first text that is not empty.
pub(super) fn first(texts: &[&str]) -> String {
    let found = texts.iter().find(|text| !text.is_empty());
    found.copied().unwrap_or_default().to_owned()
}

/// `2026-03-04T05:06:07Z`, with a fraction or without; or milliseconds since 1970.
pub(super) fn parse_time(text: &str) -> Option<TimeMicros> {
    if let Ok(millis) = text.parse() {
        return Some(TimeMicros::from_millis(millis));
    }
    let part = |from, to| text.get(from..to).and_then(|digits: &str| digits.parse().ok());
    let fraction = text.get(19..)?.strip_suffix('Z')?;
    let micros = match fraction.strip_prefix('.') {
        Some(digits) => format!("{digits:0<6.6}").parse().ok()?,
        None => 0,
    };
    let year: u32 = part(0, 4)?;
    TimeMicros::from_civil(
        year as i32,
        part(5, 7)?,
        part(8, 10)?,
        part(11, 13)?,
        part(14, 16)?,
        part(17, 19)?,
        micros,
    )
}
