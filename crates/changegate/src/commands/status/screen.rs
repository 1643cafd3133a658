//! The picture for eyes: at most 80 columns, and one screen where nothing is wrong.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::{Kafka, Ledger, Part, Picture, Told};

const WIDTH: usize = 80;
const WEEK: f64 = 604_800.0;
/// Topics that are behind, named one by one.
const TOPICS_MAX: usize = 5;

pub(super) fn show(picture: &Picture) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    if picture.processes.is_empty() {
        lines.push("no process was asked: http.listen is empty; give addresses with --at".to_owned());
    }
    for process in &picture.processes {
        match &process.says {
            Part::Unknown { error } => unknown(&mut lines, &format!("process {}", process.address), error),
            Part::Known(told) => self::process(&mut lines, &process.address, told),
        }
    }
    lines.push(String::new());
    match &picture.kafka {
        Part::Unknown { error } => unknown(&mut lines, "kafka", error),
        Part::Known(known) => kafka(&mut lines, known),
    }
    lines.push(String::new());
    match &picture.ledger {
        Part::Unknown { error } => unknown(&mut lines, "ledger", error),
        Part::Known(known) => ledger(&mut lines, known),
    }
    say!("{}", lines.join("\n"));
    Ok(())
}

fn unknown(lines: &mut Vec<String>, what: &str, error: &str) {
    lines.push(format!("{what}: not known"));
    lines.extend(wrapped(error));
}

fn process(lines: &mut Vec<String>, address: &str, told: &Told) {
    let state = if told.ready { "ready" } else { "NOT READY" };
    lines.push(format!(
        "process {address}  {state}, changegate {}, counts since its start",
        told.version
    ));
    let ready = told.components - told.not_ready.len().min(told.components);
    line(
        lines,
        "components",
        &format!("{ready} of {} ready", told.components),
    );
    let not_ready = told.not_ready.iter().flat_map(|one| {
        let head = format!("    {} {} since {}", one.component, one.reason, one.since);
        std::iter::once(head).chain(wrapped(&one.detail))
    });
    let not_ready: Vec<String> = not_ready.collect();
    lines.extend(not_ready);
    line(lines, "model", &told.model);
    line(
        lines,
        "memory",
        &format!(
            "{} MiB, newest snapshot {} old",
            told.resident_bytes >> 20,
            seconds(Some(told.snapshot_age_seconds))
        ),
    );
    line(
        lines,
        "behind",
        &format!(
            "{} records, oldest unsaved {}",
            grouped(told.lag_records),
            seconds(Some(told.oldest_unsaved_seconds))
        ),
    );
    line(
        lines,
        "end to end",
        &format!(
            "p50 {}, p99 {}, from Kafka's time to rows in ClickHouse",
            seconds(told.end_to_end_p50_seconds),
            seconds(told.end_to_end_p99_seconds)
        ),
    );
    line(
        lines,
        "events",
        &sums(told.read, told.written, told.skipped, told.dead_lettered),
    );
    many(lines, "rejects", &told.rejects);
    many(lines, "inserts", &told.inserts);
    line(
        lines,
        "repeats",
        &format!(
            "{} sends again, {} read-backs, {} kills ({} late inserts caught)",
            grouped(told.insert_retries),
            grouped(told.read_backs),
            grouped(told.kills),
            grouped(told.late_inserts_killed)
        ),
    );
    line(
        lines,
        "rows",
        &format!(
            "{} second copies, {} ids in conflict, {} missed, {} unscored",
            grouped(told.second_copies),
            grouped(told.uid_conflicts),
            grouped(told.missing_rows + told.hollow_inserts),
            grouped(told.unscored)
        ),
    );
    let rebalances = |kind: &str| grouped(told.rebalances.get(kind).copied().unwrap_or(0));
    line(
        lines,
        "group",
        &format!(
            "{} assigned, {} revoked, {} lost, {} fenced; {} pauses{}",
            rebalances("assigned"),
            rebalances("revoked"),
            rebalances("lost"),
            grouped(told.fenced),
            grouped(told.pauses),
            if told.paused > 0 { " (paused now)" } else { "" }
        ),
    );
}

fn line(lines: &mut Vec<String>, name: &str, text: &str) {
    lines.push(format!("  {name:<12}{text}"));
}

fn kafka(lines: &mut Vec<String>, kafka: &Kafka) {
    lines.push(format!(
        "kafka, group {}: {} records to do",
        kafka.group,
        grouped(kafka.lag_records)
    ));
    let mut behind: Vec<_> = kafka
        .topics
        .iter()
        .filter(|topic| topic.lag_records != Some(0))
        .collect();
    behind.sort_by_key(|topic| std::cmp::Reverse(topic.lag_records.unwrap_or(i64::MAX)));
    for topic in behind.iter().take(TOPICS_MAX) {
        lines.push(match topic.lag_records {
            Some(lag) => format!("  {:>12}  {}", grouped(lag), topic.topic),
            None => format!(
                "  {:>12}  {} (changegate topics makes it)",
                "MISSING", topic.topic
            ),
        });
    }
    let (read, more) = (
        kafka.topics.len() - behind.len(),
        behind.len().saturating_sub(TOPICS_MAX),
    );
    lines.push(format!(
        "  {read} of {} topics are read to the end{}",
        kafka.topics.len(),
        if more > 0 {
            format!(", {more} more are behind")
        } else {
            String::new()
        }
    ));
}

fn ledger(lines: &mut Vec<String>, ledger: &Ledger) {
    lines.push(format!(
        "ledger {}, records of the last 24 hours",
        ledger.database
    ));
    line(
        lines,
        "events",
        &sums(ledger.read, ledger.written, ledger.skipped, ledger.dead_lettered),
    );
    let verdict = if ledger.missing == 0 {
        "0, as it must be".to_owned()
    } else {
        format!("{}: see v_conservation", grouped(ledger.missing))
    };
    line(lines, "missing", &verdict);
    many(lines, "rejects", &ledger.rejects);
    line(lines, "asks", &format!("{} for approval", grouped(ledger.asks)));
    for operation in &ledger.operations {
        let text = format!(
            "  {}  {} by {}: {}",
            operation.time, operation.kind, operation.who, operation.why
        );
        lines.push(text.chars().take(WIDTH).collect());
    }
}

fn sums<N: Display>(read: N, written: N, skipped: N, dead_lettered: N) -> String {
    format!(
        "{} read = {} written + {} skipped + {} dead-lettered",
        grouped(read),
        grouped(written),
        grouped(skipped),
        grouped(dead_lettered)
    )
}

/// Counts by name, the largest first; no line where there are none.
fn many<N: Display + Copy + Ord>(lines: &mut Vec<String>, name: &str, counts: &BTreeMap<String, N>) {
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let texts: Vec<String> = sorted
        .iter()
        .map(|(name, count)| format!("{name} {}", grouped(count)))
        .collect();
    if texts.is_empty() {
        return;
    }
    let mut text = String::new();
    for (index, one) in texts.iter().enumerate() {
        if text.chars().count() + one.chars().count() > WIDTH - 30 {
            text.push_str(&format!(", and {} more", texts.len() - index));
            break;
        }
        if index > 0 {
            text.push_str(", ");
        }
        text.push_str(one);
    }
    line(lines, name, &text);
}

/// A whole number with commas.
fn grouped(number: impl Display) -> String {
    let text = number.to_string();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    let mut out = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn seconds(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 99.5 => format!("{seconds:.1} s"),
        Some(seconds) if seconds < 2.0 * 3_600.0 => format!("{:.0} min", seconds / 60.0),
        Some(seconds) if seconds < WEEK => format!("{:.0} h", seconds / 3_600.0),
        // The last bound of the histogram.
        Some(_) => "over 7 d".to_owned(),
    }
}

/// In lines of at most the width, indented.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("    {word}")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_for_eyes() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (-1_234_567, "-1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
        for (given, text) in [
            (None, "-"),
            (Some(0.04), "0.0 s"),
            (Some(99.4), "99.4 s"),
            (Some(600.0), "10 min"),
            (Some(86_400.0), "24 h"),
            (Some(604_800.0), "over 7 d"),
        ] {
            assert_eq!(seconds(given), text);
        }
    }

    #[test]
    fn long_text_stays_within_the_screen() {
        let long = "word ".repeat(60);
        assert!(wrapped(&long).iter().all(|line| line.chars().count() <= WIDTH));
        assert_eq!(wrapped(&long).join(" ").split_whitespace().count(), 60);
        let counts: BTreeMap<String, u32> = (0..40).map(|n| (format!("code_number_{n}"), n)).collect();
        let mut lines = Vec::new();
        many(&mut lines, "rejects", &counts);
        assert!(lines[0].chars().count() <= WIDTH, "{}", lines[0]);
        assert!(
            lines[0].contains("code_number_39 39") && lines[0].ends_with("more"),
            "{}",
            lines[0]
        );
    }
}
