//! Files of native events to their raw topic.

use std::borrow::Cow;
use std::io::{BufWriter, Write, stderr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use base64::Engine as _;
use bumpalo::Bump;
use changegate_config::{Settings, Topic};
use changegate_json::{Indexer, Kind, Limits, Value};
use changegate_kafka::{Admin, Sender};
use changegate_normalize::{JsonLine, Normalizer};
use changegate_types::{RawRecord, TimeMicros};

use super::Answer;
use crate::args::Ingest;
use crate::output;
use crate::{connect, input, setup, stream};

/// Records later than this ahead of now are refused by raw topics.
const AHEAD_MICROS: i64 = 3_600_000_000;
/// An event that says it is older than ten years has no clock, or a broken one.
const BEHIND_MICROS: i64 = 3_660 * 24 * 3_600_000_000;
/// How long the last acknowledgements may take: above the producer's own `delivery.timeout.ms`.
const ACKS_WITHIN: Duration = Duration::from_secs(45);

pub(crate) fn run(config: Option<&Path>, asked: &Ingest) -> Answer {
    input::some(&asked.input.files)?;
    let source = setup::source(&asked.input.source)?;
    let settings = setup::connected(config)?;
    let topic = topic(&settings, source, asked.topic.as_deref())?;
    let kafka = connect::kafka(&settings);
    if Admin::new(&kafka)?.look(&topic.name)?.is_none() {
        bail!(
            "there is no topic {} at {}: `changegate topics` creates it",
            topic.name,
            kafka.bootstrap
        );
    }
    let started = Instant::now();
    let mut sending = Sending {
        topic,
        limit: settings.kafka.raw_record_bytes_max,
        normalizer: setup::file_normalizer(&settings, source, &asked.input.cluster)?,
        cluster: asked.input.cluster.clone(),
        webhook: splits_http(source),
        received: stream::now(),
        last: stream::now(),
        sender: Sender::new(&kafka)?,
        faults: BufWriter::new(stderr()),
        files: Vec::new(),
        counts: Counts::default(),
    };
    for file in &asked.input.files {
        sending.file(file)?;
    }
    sending.sender.flush(ACKS_WITHIN)?;
    sending.told()?;
    sending.faults.flush()?;
    let counts = sending.counts;
    let unsent = counts.too_large + counts.refused;
    let mut line = JsonLine::new();
    line.text("topic", &topic.name)
        .number("files", asked.input.files.len())
        .number("records", counts.queued - counts.refused)
        .number("bytes", counts.bytes)
        .number("not_sent", unsent)
        .number("seconds", format!("{:.1}", started.elapsed().as_secs_f32()));
    if let Some((oldest, newest)) = counts.times {
        line.text("oldest", &oldest.to_string())
            .text("newest", &newest.to_string());
    }
    // Their record time is that of the record before; the event keeps what it states, marked.
    line.number("times_clipped", counts.times_clipped);
    output::sheet(asked.printed.output, &line.finish())?;
    let kept_from = TimeMicros(stream::now().0 - settings.kafka.retention.as_micros() as i64);
    if counts.times.is_some_and(|(oldest, _)| oldest < kept_from) {
        eprintln!(
            "changegate: some events are older than the topic's retention ({} days): the brokers may drop them before \
             they are read; raise retention.ms of {} for a backfill",
            settings.kafka.retention.as_secs() / 86_400,
            topic.name
        );
    }
    if counts.queued > 0 && counts.refused == counts.queued {
        bail!("the brokers took no record");
    }
    Ok(unsent == 0)
}

/// The topic that carries the source; which of several is for the caller to say.
fn topic<'s>(settings: &'s Settings, source: &str, asked: Option<&str>) -> anyhow::Result<&'s Topic> {
    let carries: Vec<&Topic> = settings
        .topics
        .iter()
        .filter(|topic| topic.source == source)
        .collect();
    let names = || setup::list(carries.iter().map(|topic| topic.name.as_str()));
    match (asked, carries.as_slice()) {
        (_, []) => bail!("no [[topics]] entry of the settings carries {source}"),
        (None, [one]) => Ok(one),
        (None, _) => bail!(
            "several topics carry {source}, give one with --topic: {}",
            names()
        ),
        (Some(name), _) => match carries.iter().find(|topic| topic.name == name) {
            Some(found) => Ok(found),
            None => bail!("topic {name:?} does not carry {source}: {} would", names()),
        },
    }
}

/// Whether records of the source are HTTP deliveries: their headers go into Kafka's.
fn splits_http(source: &str) -> bool {
    source.ends_with(".webhook") || matches!(source, "cdevents" | "gitlab.audit")
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    queued: u64,
    bytes: u64,
    too_large: u64,
    refused: u64,
    /// Records whose event states a time that cannot be.
    times_clipped: u64,
    times: Option<(TimeMicros, TimeMicros)>,
}

struct Sending<'s> {
    topic: &'s Topic,
    limit: usize,
    normalizer: Normalizer,
    cluster: String,
    webhook: bool,
    received: TimeMicros,
    last: TimeMicros,
    sender: Sender,
    faults: BufWriter<std::io::Stderr>,
    files: Vec<String>,
    counts: Counts,
}

/// Which file and line a record came from, as the sender's tag.
const LINE_BITS: u32 = 40;

impl Sending<'_> {
    fn file(&mut self, path: &Path) -> anyhow::Result<()> {
        let bytes = input::read(path)?;
        self.files.push(path.display().to_string());
        let progress = output::progress(bytes.len() as u64, &path.display().to_string());
        let mut arena = Bump::new();
        for (line, record) in input::records(&bytes) {
            arena.reset();
            self.record(&arena, line, record)?;
            progress.inc(record.len() as u64 + 1);
            self.told()?;
        }
        progress.finish_and_clear();
        Ok(())
    }

    fn record(&mut self, arena: &Bump, line: i64, record: &[u8]) -> anyhow::Result<()> {
        let (mut headers, value) = match self.webhook {
            true => http(arena, record).unwrap_or_else(|| (Vec::new(), Cow::Borrowed(record))),
            false => (Vec::new(), Cow::Borrowed(record)),
        };
        if value.len() > self.limit {
            self.counts.too_large += 1;
            let reason = format!(
                "{} bytes, the topic takes {}: compress the file, or raise kafka.raw_record_bytes_max and the topic's max.message.bytes",
                value.len(),
                self.limit
            );
            return self.fault(self.files.len() - 1, line, "too_large", &reason);
        }
        if !self.cluster.is_empty() {
            headers.push(("cluster".to_owned(), self.cluster.clone()));
        }
        headers.push(("changegate.source".to_owned(), self.topic.source.clone()));
        headers.push(("changegate.received_time".to_owned(), self.received.to_string()));
        let headers: Vec<(&str, &[u8])> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let time = self.time(arena, &headers, &value);
        let tag = ((self.files.len() as u64 - 1) << LINE_BITS) | line.unsigned_abs();
        self.sender
            .queue(tag, &self.topic.name, None, &headers, &value, time.millis())?;
        self.counts.queued += 1;
        self.counts.bytes += value.len() as u64;
        let (oldest, newest) = self.counts.times.unwrap_or((time, time));
        self.counts.times = Some((oldest.min(time), newest.max(time)));
        Ok(())
    }

    /// Record time: the event's, or that of the record before where it states none, or one that cannot be.
    fn time(&mut self, arena: &Bump, headers: &[(&str, &[u8])], value: &[u8]) -> TimeMicros {
        let record = RawRecord {
            headers,
            ..RawRecord::of_no_topic(value, self.last)
        };
        let normalized = self.normalizer.record(arena, &record);
        let stated = normalized.stated_time();
        let believed = self.received.0 - BEHIND_MICROS..=self.received.0 + AHEAD_MICROS;
        let clipped = stated.is_some_and(|time| !believed.contains(&time.0));
        self.counts.times_clipped += u64::from(clipped);
        let stated = stated.filter(|time| believed.contains(&time.0));
        self.last = stated.unwrap_or(self.last);
        self.last
    }

    /// Says what the brokers refused meanwhile.
    fn told(&mut self) -> anyhow::Result<()> {
        for (tag, reason) in self.sender.refused() {
            self.counts.refused += 1;
            let line = (tag & ((1 << LINE_BITS) - 1)) as i64;
            self.fault((tag >> LINE_BITS) as usize, line, "refused", &reason)?;
        }
        Ok(())
    }

    fn fault(&mut self, file: usize, line: i64, code: &str, reason: &str) -> anyhow::Result<()> {
        let mut object = input::place(self.files.get(file).map_or("", String::as_str), line);
        object
            .text("outcome", "not_sent")
            .text("code", code)
            .text("reason", reason);
        writeln!(self.faults, "{}", object.finish()).context("writing to standard error")
    }
}

/// Names and values of HTTP headers.
type HttpHeaders = Vec<(String, String)>;

/// The parts of `{"headers":…,"body":…}`; `None` where the record is none.
fn http<'r>(arena: &Bump, record: &'r [u8]) -> Option<(HttpHeaders, Cow<'r, [u8]>)> {
    let document = Indexer::default().index(arena, record, &Limits::default()).ok()?;
    let root = document.root();
    let (headers, body) = (root.get("headers"), root.get("body"));
    if headers.kind() != Kind::Object || body.is_none() {
        return None;
    }
    let value = match body.kind() {
        Kind::Object | Kind::Array => Cow::Borrowed(record.get(body.span())?),
        Kind::String if root.get("isBase64Encoded").bool() == Some(true) => {
            let decoded = base64::engine::general_purpose::STANDARD.decode(body.str()?);
            Cow::Owned(decoded.ok()?)
        }
        Kind::String => Cow::Owned(body.str()?.as_bytes().to_vec()),
        Kind::Missing | Kind::Null | Kind::Bool | Kind::Number => return None,
    };
    let text = |value: Value<'_>| {
        // Some bridges keep a list of values for each name.
        let first = value.items().next().unwrap_or(value);
        first.text().to_owned()
    };
    let headers = headers
        .members()
        .map(|(name, value)| (name.to_owned(), text(value)));
    Some((headers.collect(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(record: &str, expected: Option<(&[(&str, &str)], &str)>) {
        let arena = Bump::new();
        let found = http(&arena, record.as_bytes());
        let found = found.map(|(headers, body)| (headers, String::from_utf8(body.into_owned()).unwrap()));
        let expected = expected.map(|(headers, body)| {
            let headers = headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            (headers.collect(), body.to_owned())
        });
        assert_eq!(found, expected, "{record}");
    }

    #[test]
    fn an_http_envelope_becomes_headers_and_body() {
        check(
            r#"{"headers":{"X-GitHub-Event":"push","Accept":["a","b"]},"body":{"ref": "x"}}"#,
            Some((&[("X-GitHub-Event", "push"), ("Accept", "a")], r#"{"ref": "x"}"#)),
        );
        check(
            r#"{"headers":{},"body":"{\"ref\":1}"}"#,
            Some((&[], r#"{"ref":1}"#)),
        );
        check(
            r#"{"headers":{},"isBase64Encoded":true,"body":"eyJyZWYiOjF9"}"#,
            Some((&[], r#"{"ref":1}"#)),
        );
        check(r#"{"ref":"x"}"#, None);
        check(r#"{"headers":{},"isBase64Encoded":true,"body":"*"}"#, None);
        check("{broken", None);
    }
}
