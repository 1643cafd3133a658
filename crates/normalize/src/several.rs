//! Several documents in one record: one a line, or one behind the other as Firehose and pretty printers leave them.

use std::ops::Range;

use bumpalo::Bump;
use changegate_json::{Document, Indexer, Limits};
use changegate_types::Reject;

use crate::context::List;
use crate::reject;

/// One document of a record, and where it begins.
pub(crate) struct Part<'a> {
    pub(crate) document: &'a Document<'a>,
    pub(crate) start: usize,
}

type Parts<'a> = List<'a, Result<Part<'a>, Reject<'a>>>;

/// The documents of bytes that are not one document. What does not parse costs the others nothing; where nothing
/// parses, the bytes were never several.
pub(crate) fn split<'a>(
    arena: &'a Bump,
    indexer: &mut Indexer,
    bytes: &'a [u8],
    limits: &Limits,
) -> Option<Parts<'a>> {
    let mut start = 0;
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
        start += line.len();
        start - line.len()..start
    });
    let by_line = read(arena, indexer, bytes, limits, lines);
    if !by_line.is_empty() && by_line.iter().all(Result::is_ok) {
        return Some(by_line);
    }
    let by_value = read(arena, indexer, bytes, limits, values(bytes));
    if by_value.iter().all(Result::is_ok) && by_value.len() > 1 {
        return Some(by_value);
    }
    by_line.iter().any(Result::is_ok).then_some(by_line)
}

fn read<'a>(
    arena: &'a Bump,
    indexer: &mut Indexer,
    bytes: &'a [u8],
    limits: &Limits,
    ranges: impl Iterator<Item = Range<usize>>,
) -> Parts<'a> {
    let mut parts = List::new_in(arena);
    for range in ranges {
        let start = range.start;
        let piece = bytes.get(range).unwrap_or_default();
        if piece.trim_ascii().is_empty() {
            continue;
        }
        let part = indexer.index(arena, piece, limits);
        parts.push(match part {
            Ok(document) => Ok(Part { document, start }),
            Err(fault) => {
                let reject = reject::fault(fault);
                let at_byte = reject.at_byte + start as u32;
                Err(Reject { at_byte, ..reject })
            }
        });
    }
    parts
}

/// Where values that follow one another stand, told by their brackets; commas between them are left out.
fn values(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..)?;
        let between = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
        let start = at + rest.iter().take_while(|byte| between(byte)).count();
        let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
        let rest = bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let end = rest.iter().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    return depth == 0;
                }
                _ => {}
            }
            false
        });
        at = end.map_or(bytes.len(), |end| start + end + 1);
        Some(start..at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{changes, outcomes};

    #[test]
    fn values_end_with_their_brackets() {
        let table: [(&str, &[&str]); 6] = [
            ("", &[]),
            ("{}{}", &["{}", "{}"]),
            (" {\"a\":\"}{\"},\n[1, {}] ", &["{\"a\":\"}{\"}", "[1, {}]"]),
            ("{\"a\":\"\\\"}\"}{}", &["{\"a\":\"\\\"}\"}", "{}"]),
            ("{}{", &["{}", "{"]),
            ("}{}", &["}", "{}"]),
        ];
        for (text, expected) in table {
            let found: Vec<&str> = values(text.as_bytes()).map(|range| &text[range]).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn one_behind_the_other_is_as_one_a_line() {
        let (one, two) = (
            r#"{"eventName":"CreateUser","eventID":"1"}"#,
            r#"{"eventName":"PutUserPolicy","eventID":"2","requestParameters":{"password":"hunter2"}}"#,
        );
        let pretty = two.replace(',', ",\n").replace('{', "{\r\n  ");
        for text in [
            format!("{one}\n{two}\n"),
            format!("{one}{two}"),
            format!("{one},{two},"),
            format!("{one} {pretty}\n"),
            format!("{pretty}{one}"),
        ] {
            let events = changes("aws.cloudtrail", &[], text.as_bytes());
            let names: Vec<&str> = events.iter().map(|event| event.text("native_uid")).collect();
            assert!(names == ["1", "2"] || names == ["2", "1"], "{names:?} of {text}");
            for event in events {
                let bytes: serde_json::Value = serde_json::from_str(event.bytes()).unwrap();
                assert_eq!(bytes["eventID"], event.text("native_uid"), "{text}");
                assert!(!event.bytes().contains("hunter2"), "{text}");
            }
        }
    }

    #[test]
    fn what_is_broken_among_them_is_told_by_line() {
        let text = "{\"eventName\":\"A\"}\n{\"eventName\":\"B\",\n{\"eventName\":\"C\"}\n";
        assert_eq!(
            outcomes("aws.cloudtrail", text.as_bytes()),
            ["change", "reject truncated_json at 36", "change"]
        );
        assert_eq!(
            outcomes("aws.cloudtrail", b"{\"eventName\":\"A\"}}"),
            ["reject trailing_bytes at 17"]
        );
    }

    #[test]
    fn a_schema_registry_puts_five_bytes_before() {
        let events = changes(
            "aws.cloudtrail",
            &[],
            b"\0\0\0\0\x07{\"eventName\":\"CreateUser\"}",
        );
        assert_eq!(events[0].text("api_operation"), "CreateUser");
        assert_eq!(events[0].bytes(), "{\"eventName\":\"CreateUser\"}");
    }
}
