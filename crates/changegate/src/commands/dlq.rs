//! Dead letters: what they are, and sending their records again.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use changegate_clickhouse::LedgerClient;
use changegate_config::{Settings, Stages};
use changegate_kafka::{Admin, DeadLetter, DeadLetters, Replayed, Sender};
use changegate_normalize::{COMMITMENT, JsonLine};
use changegate_pipeline::ledger::Operation;
use changegate_pipeline::outgoing::header;
use changegate_types::{RejectCode, TimeMicros};
use serde::Deserialize;

use super::Answer;
use crate::args::{Dlq, DlqCommand, Format, Letters, Printed};
use crate::output::{self, Printer};
use crate::{connect, setup, stream};

const COLUMNS: &[&str] = &["position=position|time|state again", "why=code where|reason"];
const ACKS_WITHIN: Duration = Duration::from_secs(45);
/// Bytes shown before and after the place of the fault.
const AROUND: usize = 200;

/// Topic, incarnation, partition and offset of the first delivery: what a record is known by.
type Place = (String, u32, i32, i64);

/// The newest dead letter of one child of one record, and what is known of it.
struct Found {
    letter: DeadLetter,
    /// Topic that it lies in.
    topic: String,
    place: Place,
    /// How many letters there are: one for each time that it was read and refused.
    times: u32,
}

impl Found {
    /// `topic/partition/offset`, as people ask for it.
    fn position(&self) -> String {
        let (topic, _, partition, offset) = &self.place;
        format!("{topic}/{partition}/{offset}")
    }

    fn text(&self, name: &str) -> &str {
        self.letter.header(name).unwrap_or_default()
    }
}

pub(crate) fn run(config: Option<&Path>, asked: &Dlq) -> Answer {
    let settings = setup::connected(config)?;
    match &asked.what {
        DlqCommand::List {
            letters,
            limit,
            printed,
        } => list(&settings, letters, *limit, printed),
        DlqCommand::Show {
            position,
            raw,
            printed,
        } => show(&settings, position, *raw, printed),
        DlqCommand::Replay {
            positions,
            letters,
            all,
            reason,
            dry_run,
            printed,
        } => {
            let narrowed = letters.source.is_some()
                || letters.topic.is_some()
                || letters.code.is_some()
                || letters.since.is_some();
            if positions.is_empty() && !narrowed && !all {
                bail!("say which: positions, --code, --source, --topic, --since, or --all");
            }
            if !positions.is_empty() && (narrowed || *all) {
                bail!("give either positions or a filter, not both");
            }
            let reason = (!dry_run).then(|| reason.clone().unwrap_or_default());
            replay(&settings, positions, letters, reason.as_deref(), printed)
        }
    }
}

/// The dead letters that are asked for, newest first.
fn read(settings: &Settings, letters: &Letters, keep: impl Fn(&Found) -> bool) -> anyhow::Result<Vec<Found>> {
    if let Some(code) = &letters.code
        && !RejectCode::ALL.iter().any(|known| known.name() == code)
    {
        let known = RejectCode::ALL.map(RejectCode::name);
        let near = changegate_config::nearest(code, known);
        return Err(setup::unknown("code", code, near, known.into_iter()));
    }
    let source = letters.source.as_deref().map(setup::source).transpose()?;
    let since = letters.since.map(|since| since.time(stream::now()).millis());
    let kafka = connect::kafka(settings);
    let (admin, reader) = (Admin::new(&kafka)?, DeadLetters::new(&kafka)?);
    let mut found = Vec::new();
    let is_asked = |name: &str| letters.topic.as_ref().is_none_or(|asked| asked == name);
    let topics = settings
        .topics
        .iter()
        .filter(|topic| source.is_none_or(|source| topic.source == source) && is_asked(&topic.name));
    let hop = hop(settings).filter(|hop| source.is_none() && is_asked(hop));
    let mut any = false;
    for topic in topics.map(|topic| topic.name.as_str()).chain(hop) {
        any = true;
        let name = settings.dead_letter_topic(topic);
        if admin.look(&name)?.is_none_or(|topic| topic.records() == 0) {
            continue;
        }
        reader.each(&name, |letter| {
            // Whoever may write to the topic can put other records there.
            let Some((place, offset, incarnation)) = letter.identity() else {
                return true;
            };
            let one = Found {
                place: (place.topic, incarnation, place.partition, offset),
                letter,
                topic: name.clone(),
                times: 1,
            };
            let wanted = since.is_none_or(|since| one.letter.time_ms >= since)
                && letters
                    .code
                    .as_ref()
                    .is_none_or(|code| one.text(header::CODE) == code)
                && keep(&one);
            if wanted {
                found.push(one);
            }
            true
        })?;
    }
    if !any {
        let names = setup::list(settings.topics.iter().map(|topic| topic.name.as_str()));
        bail!("no topic of the settings is asked for; they are: {names}");
    }
    Ok(newest(found))
}

/// The topic between those who normalize and those who score, where there is one: it has dead letters of its own.
fn hop(settings: &Settings) -> Option<&str> {
    (settings.stages.run != Stages::Whole).then_some(settings.stages.hop_topic.as_str())
}

/// The newest letter of each child, newest first. A replay that fails leaves another one.
fn newest(mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by_key(|one| std::cmp::Reverse((one.letter.time_ms, one.letter.offset)));
    let mut first: HashMap<(Place, u32), usize> = HashMap::new();
    let mut kept: Vec<Found> = Vec::new();
    for one in found {
        match first.entry((one.place.clone(), one.letter.child())) {
            Entry::Occupied(at) => kept[*at.get()].times += 1,
            Entry::Vacant(free) => {
                free.insert(kept.len());
                kept.push(one);
            }
        }
    }
    kept
}

/// Children that were dead-lettered once and have a row by now.
struct Settled(HashSet<(Place, u32)>);

impl Settled {
    fn read(settings: &Settings) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Row {
            topic: String,
            incarnation: u32,
            partition: i32,
            offset: i64,
            child: i32,
        }
        let reader: LedgerClient = connect::clickhouse(settings, &settings.clickhouse.reader)?;
        let sql = "SELECT topic, incarnation, partition, offset, child FROM v_changes \
             WHERE (topic, incarnation, partition, offset) IN (SELECT topic, incarnation, partition, offset FROM v_rejected)";
        let mut answer = Vec::new();
        let numbers = [("output_format_json_quote_64bit_integers", "0")];
        setup::runtime()?.block_on(reader.copy_with(sql, "JSONEachRow", &numbers, &mut answer))?;
        let mut settled = HashSet::new();
        for line in answer
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let row: Row = serde_json::from_slice(line).context("reading positions from ClickHouse")?;
            let place = (row.topic, row.incarnation, row.partition, row.offset);
            settled.insert((place, row.child.unsigned_abs()));
        }
        Ok(Self(settled))
    }

    fn state(&self, one: &Found) -> &'static str {
        if self.0.contains(&(one.place.clone(), one.letter.child())) {
            "replayed"
        } else {
            "open"
        }
    }
}

fn list(settings: &Settings, letters: &Letters, limit: usize, printed: &Printed) -> Answer {
    let found = read(settings, letters, |_| true)?;
    let settled = Settled::read(settings)?;
    let mut printer = Printer::stdout(printed.output, COLUMNS);
    for one in found.iter().take(limit) {
        let mut line = summary(one, settled.state(one));
        if printed.output == Format::Table {
            line.text("where", &place(one)).text("again", &again(one.times));
        }
        printer.line(line)?;
    }
    printer.finish()?;
    let note = match found.len() {
        0 => "No dead letters.".to_owned(),
        all if all > limit => {
            format!("{limit} of {all}: narrow it with --since or --code, or raise --limit.")
        }
        _ => "The bytes of one: changegate dlq show POSITION".to_owned(),
    };
    output::note(printed.output, &note);
    Ok(true)
}

/// Where in its record a child broke, in words: the first child and the first byte go without saying.
fn place(one: &Found) -> String {
    let child = match one.letter.child() {
        0 => String::new(),
        child => format!("in child {child} "),
    };
    let at_byte = one.letter.number::<u32>(header::AT_BYTE);
    let byte = at_byte.filter(|at| *at > 0).map(|at| format!("at byte {at}"));
    (child + &byte.unwrap_or_default()).trim_end().to_owned()
}

fn again(times: u32) -> String {
    match times {
        1 => String::new(),
        more => format!("({more} times)"),
    }
}

fn summary(one: &Found, state: &str) -> JsonLine {
    let mut line = JsonLine::new();
    line.text("time", &TimeMicros::from_millis(one.letter.time_ms).to_string())
        .text("position", &one.position())
        .number("child", one.letter.child())
        .text("code", one.text(header::CODE));
    if let Some(at_byte) = one.letter.number::<u32>(header::AT_BYTE) {
        line.number("at_byte", at_byte);
    }
    line.text("reason", one.text(header::MESSAGE))
        .text("state", state)
        .number("times", one.times)
        .text("stage", one.text(header::STAGE));
    let (topic, incarnation, partition, offset) = &one.place;
    line.text("topic", topic)
        .number("incarnation", incarnation)
        .number("partition", partition)
        .number("offset", offset);
    line.number("attempt", one.letter.number::<u32>(header::ATTEMPT).unwrap_or(1))
        .number("bytes", one.letter.value.as_ref().map_or(0, Vec::len))
        .text(
            "letter",
            &format!("{}/{}/{}", one.topic, one.letter.partition, one.letter.offset),
        );
    line
}

/// `topic/partition/offset`.
fn position(text: &str) -> anyhow::Result<(String, i32, i64)> {
    let mut parts = text.rsplitn(3, '/');
    let (offset, partition, topic) = (parts.next(), parts.next(), parts.next());
    let parsed = topic
        .zip(partition)
        .zip(offset)
        .and_then(|((topic, partition), offset)| {
            Some((topic.to_owned(), partition.parse().ok()?, offset.parse().ok()?))
        });
    parsed.with_context(|| {
        format!("{text:?} is no position: topic/partition/offset, as `changegate dlq list` prints them")
    })
}

fn stands_at(one: &Found, wanted: &(String, i32, i64)) -> bool {
    let (topic, _, partition, offset) = &one.place;
    (topic, partition, offset) == (&wanted.0, &wanted.1, &wanted.2)
}

/// Reads the dead letters of these positions; their topics must be in the settings.
fn read_at(settings: &Settings, wanted: &[(String, i32, i64)]) -> anyhow::Result<Vec<Found>> {
    for (topic, ..) in wanted {
        if settings.topic(topic).is_none() && hop(settings) != Some(topic.as_str()) {
            let names = setup::list(settings.topics.iter().map(|topic| topic.name.as_str()));
            bail!("the settings name no topic {topic}; they are: {names}");
        }
    }
    let one_topic = wanted.iter().all(|(topic, ..)| *topic == wanted[0].0);
    let letters = Letters {
        source: None,
        topic: one_topic.then(|| wanted[0].0.clone()),
        code: None,
        since: None,
    };
    read(settings, &letters, |one| {
        wanted.iter().any(|place| stands_at(one, place))
    })
}

fn show(settings: &Settings, text: &str, raw: bool, printed: &Printed) -> Answer {
    let wanted = position(text)?;
    let found = read_at(settings, std::slice::from_ref(&wanted))?;
    let Some(newest) = found.first() else {
        eprintln!("changegate: no dead letter of {text}; `changegate dlq list` shows those that there are");
        return Ok(false);
    };
    if raw {
        let bytes = newest.letter.value.as_deref().unwrap_or_default();
        std::io::stdout().write_all(bytes)?;
        return Ok(true);
    }
    let settled = Settled::read(settings)?;
    let mut printer = Printer::stdout(printed.output, &[]);
    for one in &found {
        let mut line = summary(one, settled.state(one));
        let value = one.letter.value.as_deref().unwrap_or_default();
        if let Some(key) = &one.letter.key {
            line.text("key", &String::from_utf8_lossy(key));
        }
        let theirs = one.letter.headers.iter().filter(|(name, _)| !is_ours(name));
        let theirs = theirs.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)));
        let theirs: Vec<String> = theirs.collect();
        line.texts("headers", theirs.iter().map(String::as_str));
        if printed.output == Format::Table {
            output::sheet(Format::Table, &line.finish())?;
            let at = match one.text(header::CODE) == RejectCode::TruncatedJson.name() {
                true => value.len(),
                false => one.letter.number(header::AT_BYTE).unwrap_or(0),
            };
            say!(
                "bytes as kept, secrets masked:\n{}",
                marked(value, at, around(output::screen_width()))
            );
            if String::from_utf8_lossy(value).contains(COMMITMENT) {
                say!("(at_byte counts in the bytes as received; masking has changed their number)");
            }
            say!("");
            continue;
        }
        match std::str::from_utf8(value) {
            Ok(text) => line.text("value", text),
            Err(_) => {
                use base64::Engine as _;
                line.text(
                    "value_base64",
                    &base64::engine::general_purpose::STANDARD.encode(value),
                )
            }
        };
        printer.line(line)?;
    }
    if printed.output != Format::Table {
        printer.finish()?;
    }
    Ok(true)
}

fn is_ours(name: &str) -> bool {
    name.starts_with("__connect.errors.")
        || name.starts_with("changegate.error.")
        || name.starts_with("changegate.replay.")
}

/// How many bytes before and after the place fit the screen in one line: in two, the mark would point elsewhere.
fn around(screen: Option<u16>) -> usize {
    screen.map_or(AROUND, |width| {
        (usize::from(width).saturating_sub(2) / 2).min(AROUND)
    })
}

/// The bytes around the fault in one line, and a mark below the place. What does not print is a dot, so that a byte is a
/// column.
fn marked(value: &[u8], at: usize, around: usize) -> String {
    let at = at.min(value.len());
    let (from, to) = (
        at.saturating_sub(around),
        at.saturating_add(around).min(value.len()),
    );
    let shown: String = value
        .get(from..to)
        .unwrap_or_default()
        .iter()
        .map(|byte| {
            if (0x20..0x7f).contains(byte) {
                char::from(*byte)
            } else {
                '.'
            }
        })
        .collect();
    let (before, after) = (
        if from > 0 { "…" } else { "" },
        if to < value.len() { "…" } else { "" },
    );
    let column = at - from + before.chars().count();
    let what = value
        .get(at)
        .map_or("the end".to_owned(), |byte| format!("byte {at}, 0x{byte:02x}"));
    format!(
        "{before}{shown}{after}\n{:>width$} {what}",
        '^',
        width = column + 1
    )
}

/// Sends again what is asked for; without a reason it only says what it would send.
fn replay(
    settings: &Settings,
    positions: &[String],
    letters: &Letters,
    reason: Option<&str>,
    printed: &Printed,
) -> Answer {
    let wanted = positions
        .iter()
        .map(|text| position(text))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let found = if wanted.is_empty() {
        read(settings, letters, |_| true)?
    } else {
        read_at(settings, &wanted)?
    };
    let mut good = true;
    for (place, text) in wanted.iter().zip(positions) {
        if !found.iter().any(|one| stands_at(one, place)) {
            good = false;
            eprintln!("changegate: no dead letter of {text}");
        }
    }
    let settled = Settled::read(settings)?;
    // A record goes once, however many of its children were refused and however often: by its newest letter.
    let mut records: BTreeMap<Place, &Found> = BTreeMap::new();
    let mut done = 0;
    for one in found.iter().rev() {
        if settled.state(one) == "open" {
            records.insert(one.place.clone(), one);
        } else {
            done += 1;
        }
    }
    let kafka = connect::kafka(settings);
    let (reader, mut sender) = (DeadLetters::new(&kafka)?, Sender::new(&kafka)?);
    let mut printer = Printer::stdout(printed.output, &["position", "code", "sent", "bytes", "reason"]);
    let mut operations = Vec::new();
    for one in records.values() {
        let answer = match reason {
            Some(_) => reader.replay(&one.letter, &mut sender),
            None => reader.bytes(&one.letter).map(|(which, _)| which),
        };
        let which = match &answer {
            Ok(Replayed::Original) => "original",
            Ok(Replayed::MaskedCopy) => "masked_copy",
            Err(_) => "",
        };
        let mut line = JsonLine::new();
        line.text("position", &one.position())
            .text("code", one.text(header::CODE))
            .text(
                "sent",
                if which.is_empty() || reason.is_none() {
                    "no"
                } else {
                    "yes"
                },
            )
            .text("bytes", which);
        if let Err(error) = &answer {
            good = false;
            line.text("reason", &error.to_string());
        } else if reason.is_none() {
            line.text("reason", "dry run");
        } else {
            operations.push(operation(one, which, reason.unwrap_or_default()));
        }
        printer.line(line)?;
    }
    sender.finish(ACKS_WITHIN)?;
    if !operations.is_empty() {
        let writer = connect::clickhouse(settings, &settings.clickhouse.writer)?;
        setup::runtime()?
            .block_on(writer.record(&operations))
            .context("the records were sent, but could not be noted in operations")?;
    }
    printer.finish()?;
    let verb = if reason.is_some() {
        "sent again"
    } else {
        "would be sent again"
    };
    output::note(
        printed.output,
        &format!(
            "{} records {verb}, {done} letters have their rows already",
            records.len()
        ),
    );
    Ok(good)
}

fn operation(one: &Found, which: &str, reason: &str) -> Operation {
    let (topic, incarnation, partition, offset) = one.place.clone();
    Operation {
        time: stream::now(),
        kind: "replay".to_owned(),
        who: crate::operations::who(),
        why: reason.to_owned(),
        topic,
        incarnation,
        partition,
        offset_from: offset,
        offset_to: offset.saturating_add(1),
        details: vec![
            ("code".to_owned(), one.text(header::CODE).to_owned()),
            ("bytes".to_owned(), which.to_owned()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_what_list_prints() {
        let parsed = position("changegate.raw.aws.cloudtrail.v1/3/42").unwrap();
        assert_eq!(parsed, ("changegate.raw.aws.cloudtrail.v1".to_owned(), 3, 42));
        for text in ["", "topic", "topic/1", "topic/x/1", "topic/1/"] {
            assert!(
                position(text)
                    .unwrap_err()
                    .to_string()
                    .contains("topic/partition/offset"),
                "{text}"
            );
        }
    }

    #[test]
    fn the_mark_stands_below_the_byte() {
        assert_eq!(marked(b"{broken", 1, AROUND), "{broken\n ^ byte 1, 0x62");
        assert_eq!(marked(b"{\n\xffx", 4, AROUND), "{..x\n    ^ the end");
        let long = [b'a'; 1_000];
        for screen in [None, Some(80), Some(61), Some(1_000)] {
            let text = marked(&long, 500, around(screen));
            let (bytes, mark) = text.split_once('\n').unwrap();
            assert!(bytes.starts_with('…') && bytes.ends_with('…'), "{text}");
            assert_eq!(mark.find('^'), Some(around(screen) + 1), "{text}");
            let width = screen.map_or(2 * AROUND + 2, usize::from);
            assert!(bytes.chars().count() <= width, "{text}");
        }
        assert_eq!(marked(b"", 9, AROUND), "\n^ the end");
    }
}
