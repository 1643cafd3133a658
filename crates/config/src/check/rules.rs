//! Rules that several keys share.

use std::time::Duration;

use regex::Regex;

use crate::{ByteSize, error::Problems, suggest::nearest};

pub(super) const HOUR: Duration = Duration::from_secs(3_600);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const YEAR: Duration = Duration::from_secs(366 * 86_400);

pub(super) fn not_blank(text: &str, key: &str, problems: &mut Problems) {
    if text.trim().is_empty() {
        problems.add(key, "is required and must not be empty");
    }
}

pub(super) fn at_least_one(count: u32, key: &str, problems: &mut Problems) {
    if count == 0 {
        problems.add(key, "expected 1 or more, found 0");
    }
}

/// Kafka's rule for names.
pub(super) fn topic_name(name: &str, key: &str, problems: &mut Problems) {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 249 || !name.chars().all(legal) {
        problems.add(
            key,
            format!("expected 1 to 249 of the characters a-z A-Z 0-9 . _ -, found {name:?}"),
        );
    }
}

/// A name that stands in SQL without quotes.
pub(super) fn identifier(name: &str, key: &str, problems: &mut Problems) {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(legal) {
        problems.add(
            key,
            format!("expected a name of a-z A-Z 0-9 _ that starts with no digit, found {name:?}"),
        );
    }
}

pub(super) fn known_source(source: &str, key: &str, known_sources: &[&str], problems: &mut Problems) {
    if known_sources.contains(&source) {
        return;
    }
    let known = known_sources.join(", ");
    problems.add(
        key,
        match nearest(source, known_sources.iter().copied()) {
            Some(near) => format!("unknown source {source:?}; did you mean \"{near}\"? Known are {known}"),
            None => format!("unknown source {source:?}; known are {known}"),
        },
    );
}

pub(super) fn within(duration: Duration, min: Duration, max: Duration, key: &str, problems: &mut Problems) {
    if duration < min || duration > max {
        problems.add(key, format!("expected {min:?} to {max:?}, found {duration:?}"));
    }
}

pub(super) fn whole_hours(duration: Duration, key: &str, problems: &mut Problems) -> u32 {
    if !duration.as_secs().is_multiple_of(HOUR.as_secs()) {
        problems.add(key, "expected whole hours, such as \"24h\"");
    }
    u32::try_from(duration.as_secs() / HOUR.as_secs()).unwrap_or(u32::MAX)
}

pub(super) fn bytes(size: ByteSize, min: u64, max: u64, key: &str, problems: &mut Problems) -> usize {
    if size.0 < min || size.0 > max {
        problems.add(
            key,
            format!("expected {} to {}, found {size}", ByteSize(min), ByteSize(max)),
        );
    }
    usize::try_from(size.0.min(max)).unwrap_or(usize::MAX)
}

pub(super) fn regexes(patterns: &[String], key: &str, problems: &mut Problems) -> Vec<Regex> {
    let mut compiled = Vec::new();
    for (i, pattern) in patterns.iter().enumerate() {
        match Regex::new(pattern) {
            // It would find itself everywhere: every text a ticket, every text masked.
            Ok(regex) if regex.is_match("") => {
                problems.add(
                    format!("{key}[{i}]"),
                    format!("the pattern {pattern:?} matches the empty text"),
                );
            }
            Ok(regex) => compiled.push(regex),
            Err(error) => problems.add(
                format!("{key}[{i}]"),
                format!("not a regular expression: {error}"),
            ),
        }
    }
    compiled
}
