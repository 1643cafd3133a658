//! Files as records: one a line, or one whole envelope.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bumpalo::Bump;
use changegate_json::{Indexer, Limits};
use changegate_normalize::{Child, JsonLine, Normalizer};
use changegate_types::{Mark, RawRecord, TimeMicros};

use crate::output;

/// A compressed file may grow to this; what grows further is sent as it is.
const UNPACKED_MAX: u64 = 1 << 30;

/// Reads a file, or standard input for `-`, and unpacks what is compressed line by line.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .context("reading standard input")?;
        return Ok(unpacked(bytes));
    }
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(unpacked(bytes))
}

/// A compressed file with one record a line is unpacked; one that holds a single envelope goes as it was delivered.
fn unpacked(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return bytes;
    }
    let mut plain = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(bytes.as_slice())
        .take(UNPACKED_MAX)
        .read_to_end(&mut plain);
    // What does not unpack is for the stream to refuse, with its bytes.
    if read.is_err() || plain.len() as u64 == UNPACKED_MAX || records(&plain).len() < 2 {
        return bytes;
    }
    plain
}

/// The records of a file with the number of their first line. A file that is one JSON value, or compressed, is one
/// record; any other has one a line.
pub(crate) fn records(bytes: &[u8]) -> Vec<(i64, &[u8])> {
    let compressed = bytes.starts_with(&[0x1f, 0x8b]);
    if compressed
        || Indexer::default()
            .index(&Bump::new(), bytes, &Limits::default())
            .is_ok()
    {
        return vec![(1, bytes)];
    }
    let lines = bytes.split(|byte| *byte == b'\n').zip(1..);
    let lines: Vec<(i64, &[u8])> = lines
        .filter(|(line, _)| !line.trim_ascii().is_empty())
        .map(|(line, number)| (number, line))
        .collect();
    // Several values as pretty printers leave them: the normalizer takes them apart.
    let printed = matches!(lines.last(), Some((_, line)) if matches!(line.trim_ascii(), b"}" | b"]"));
    if printed && !lines.iter().any(|(_, line)| is_object(line)) {
        return vec![(1, bytes)];
    }
    lines
}

fn is_object(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"{")
        && line.trim_ascii().len() > 2
        && Indexer::default()
            .index(&Bump::new(), line, &Limits::default())
            .is_ok()
}

/// # Errors
/// Where there is nothing to read.
pub(crate) fn some(files: &[PathBuf]) -> anyhow::Result<()> {
    if files.is_empty() {
        bail!("no file given: name one or more, or `-` for standard input");
    }
    Ok(())
}

/// Record time of what comes from files: the events' own time, moving forward at most an hour a record, so that one
/// event from the year 2099 does not drive the clock.
#[derive(Debug, Default)]
pub(crate) struct FileClock(Option<TimeMicros>);

const HOUR_MICROS: i64 = 3_600_000_000;

impl FileClock {
    fn advance(&mut self, event_time: TimeMicros) {
        let now = self.0.get_or_insert(event_time);
        *now = TimeMicros(event_time.0.clamp(now.0, now.0 + HOUR_MICROS));
    }

    fn now(&self) -> TimeMicros {
        self.0.unwrap_or_default()
    }
}

/// What names a file in messages and objects: nothing, where it is the only one.
pub(crate) fn told_name(file: &Path, of: &[PathBuf]) -> String {
    match of {
        [_] => String::new(),
        _ => file.display().to_string(),
    }
}

/// An object about a child of a line of a file.
pub(crate) fn place(file: &str, line: i64) -> JsonLine {
    let mut object = JsonLine::new();
    object.text("file", file).number("line", line);
    object
}

/// Normalizes a file record by record. `each` gets the line, the child's index, the child and the record's time; what is
/// skipped or rejected goes to `faults` as one JSON object a line. Says whether nothing was rejected.
pub(crate) fn each_child(
    normalizer: &Normalizer,
    file: &str,
    bytes: &[u8],
    clock: &mut FileClock,
    faults: &mut impl Write,
    mut each: impl FnMut(i64, usize, &Child<'_>, TimeMicros) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let mut arena = Bump::new();
    let mut good = true;
    // Answers scroll by on a terminal by themselves; a bar is for when they go elsewhere.
    let progress = output::progress_unless_shown(bytes.len() as u64, "read");
    for (line, value) in records(bytes) {
        arena.reset();
        progress.inc(value.len() as u64 + 1);
        let mut record = RawRecord::of_no_topic(value, clock.now());
        record.position.offset = line;
        if clock.0.is_none() {
            // The first time that is stated starts the clock.
            clock.0 = normalizer.record(&arena, &record).stated_time();
            record.kafka_time = clock.now();
        }
        let normalized = normalizer.record(&arena, &record);
        for (index, child) in normalized.children.iter().enumerate() {
            let mut fault = place(file, line);
            match child {
                Child::Change(event) | Child::Learn(event) => {
                    if !event.marks.has(Mark::MissingTime) {
                        clock.advance(event.event_time);
                    }
                    each(line, index, child, clock.now())?;
                    continue;
                }
                Child::Skip(reason) => fault.text("outcome", "skipped").text("code", reason.name()),
                Child::Reject(reject) => {
                    good = false;
                    fault
                        .text("outcome", "rejected")
                        .text("code", reject.code.name())
                        .text("reason", reject.reason);
                    fault.number("at_byte", reject.at_byte)
                }
            };
            writeln!(faults, "{}", fault.finish())?;
        }
    }
    progress.finish_and_clear();
    Ok(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_or_one_a_line() {
        assert_eq!(records(b"{\"a\":\n1}\n"), [(1, &b"{\"a\":\n1}\n"[..])]);
        assert_eq!(
            records(b"{\"a\":1}\n\n{broken\n"),
            [(1, &b"{\"a\":1}"[..]), (3, &b"{broken"[..])]
        );
        assert_eq!(records(b""), []);
        let printed = b"{\n  \"a\": {}\n}\n{\n  \"a\": 2\n}\n";
        assert_eq!(records(printed), [(1, &printed[..])]);
        assert_eq!(
            records(b"{\"a\":\n}\n{\"a\":1}"),
            [(1, &b"{\"a\":"[..]), (2, b"}"), (3, b"{\"a\":1}")]
        );
    }

    #[test]
    fn the_clock_is_not_driven_by_one_event() {
        let mut clock = FileClock::default();
        clock.advance(TimeMicros(5 * HOUR_MICROS));
        clock.advance(TimeMicros(2 * HOUR_MICROS));
        assert_eq!(clock.now(), TimeMicros(5 * HOUR_MICROS));
        clock.advance(TimeMicros(900 * HOUR_MICROS));
        assert_eq!(clock.now(), TimeMicros(6 * HOUR_MICROS));
    }

    #[test]
    fn compressed_lines_are_records_and_a_compressed_envelope_is_one() {
        let packed = |text: &str| {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(text.as_bytes()).unwrap();
            out.finish().unwrap()
        };
        assert_eq!(
            unpacked(packed("{\"a\":1}\n{\"a\":2}\n")),
            b"{\"a\":1}\n{\"a\":2}\n"
        );
        let envelope = packed("{\"Records\":[\n{}]}");
        assert_eq!(unpacked(envelope.clone()), envelope);
        let cut = &envelope[..12];
        assert_eq!(unpacked(cut.to_vec()), cut);
    }
}
