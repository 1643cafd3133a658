//! The questions of `docs/questions.md` over a ledger of years: how long people wait for answers.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use changegate_clickhouse::questions::{self, Question};
use changegate_clickhouse::{LedgerClient, Options};
use changegate_simulator::Config;
use changegate_types::TimeMicros;
use tokio::runtime::Runtime;

use crate::engines::{self, Engines, Topic};
use crate::machine::{median, quantile};

/// How often each question is asked, each time with other names in it.
const ROUNDS: usize = 5;
/// The made-up period that is repeated backwards in time: whole weeks, so that working days stay working days.
const PERIOD_DAYS: u32 = 28;
/// Changes of such a period at the organisation's ordinary rate, about.
const PERIOD_CHANGES: u64 = 330_000;
const DAY_MICROS: i64 = 86_400 * 1_000_000;
/// Statements that fill tables take as long as they take.
const PATIENCE: Duration = Duration::from_secs(1_800);
const DATABASE: &str = "bench_questions";
/// How many are told of.
const SLOWEST: usize = 5;

/// Seconds until the last byte of an answer.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Changes in the ledger.
    pub changes: u64,
    /// The middle one of all runs of all questions.
    pub half: f64,
    /// 95 in 100 take no longer.
    pub most: f64,
    /// Headings of the slowest, and the middle one of their runs.
    pub slowest: Vec<(String, f64)>,
}

/// Fills a ledger with so many changes and asks everything.
///
/// # Errors
/// What is missing on this machine; a question that the server refuses; names on the page that are not known here.
pub fn figures(changes: u64) -> anyhow::Result<Figures> {
    let engines = Engines::start()?;
    let ledger = Ledger::fill(&engines, changes)?;
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/questions.md");
    let page = std::fs::read_to_string(&page).with_context(|| format!("reading {}", page.display()))?;
    let mut asked: Vec<(Question, Vec<f64>, u64)> = questions::in_page(&page)?
        .into_iter()
        .map(|question| (question, Vec::new(), 0))
        .collect();
    for names in ledger.names()? {
        names.check(&page)?;
        for (question, took, bytes) in &mut asked {
            let sql = names.put_into(&question.at(&ledger.moment));
            let started = Instant::now();
            let answered = ledger.ask(&sql);
            *bytes = answered.with_context(|| question.heading.clone())?;
            took.push(started.elapsed().as_secs_f64());
        }
    }
    let mut each = Vec::new();
    for (question, took, bytes) in &asked {
        let middle = median(took)?;
        let longest = quantile(took, 1.0)?;
        eprintln!(
            "{middle:>8.3} s, at most {longest:>7.3}, {bytes:>10} bytes: {}",
            question.heading
        );
        each.push((question.heading.clone(), middle));
    }
    let all: Vec<f64> = asked.iter().flat_map(|(_, took, _)| took.clone()).collect();
    each.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    each.truncate(SLOWEST);
    Ok(Figures {
        changes: ledger.changes,
        half: median(&all)?,
        most: quantile(&all, 0.95)?,
        slowest: each,
    })
}

/// A ledger of so many changes, as its administrator asks it.
struct Ledger {
    client: LedgerClient,
    runtime: Runtime,
    /// When the questions are asked.
    moment: String,
    changes: u64,
}

/// Rows of a copy: the same at other positions, at other times, under other ids.
const REPLACED: [(&str, &str); 4] = [
    (
        "changes",
        "{at} AS offset, {kafka_time} AS kafka_time, {ingest_time} AS ingest_time, {event_time} AS event_time, \
         {logged_time} AS logged_time, {decision_time} AS decision_time, \
         sipHash128(event_uid, {copy}) AS event_uid, sipHash128(change_uid, {copy}) AS change_uid, \
         sipHash128(content_hash, {copy}) AS content_hash, {raw_hash} AS raw_hash, \
         {native_uid} AS native_uid, {is_amendment_of} AS is_amendment_of, {request_uid} AS request_uid, \
         {correlation_uid} AS correlation_uid, {cicd_run_id} AS cicd_run_id, \
         arrayMap(ticket -> concat(ticket, '{copy}'), ticket_uids) AS ticket_uids, \
         if(cityHash64(actor_uid) % 4 = 0 AND actor_uid != '', concat(actor_uid, '.{year}'), actor_uid) AS actor_uid, \
         if(cityHash64(actor_uid) % 4 = 0 AND actor_name != '', concat(actor_name, '.{year}'), actor_name) AS actor_name, \
         arrayMap(uid -> if(cityHash64(uid) % 2 = 0, concat(uid, '.{copy}'), uid), resource_uids) AS resource_uids",
    ),
    (
        "raw_records",
        "{at} AS offset, {kafka_time} AS kafka_time, {ingest_time} AS ingest_time, {raw_hash} AS raw_hash, \
         {stored_hash} AS stored_hash",
    ),
    (
        "rejected",
        "{at} AS offset, {kafka_time} AS kafka_time, {ingest_time} AS ingest_time, {raw_hash} AS raw_hash",
    ),
    (
        "superseded",
        "{at} AS offset, {of_at} AS of_offset, {kafka_time} AS kafka_time, {noted_time} AS noted_time",
    ),
];

/// The columns of a copy: its number, the offsets that a copy takes, and its year.
fn replaced(columns: &str, copy: u64, offsets: u64) -> String {
    let days = copy * u64::from(PERIOD_DAYS);
    let year = days / 365;
    let mut text = columns
        .replace("{at}", &format!("offset + {}", copy * offsets))
        .replace("{of_at}", &format!("of_offset + {}", copy * offsets))
        .replace("{copy}", &copy.to_string())
        .replace("{year}", &year.to_string());
    // The pipeline was not late by months: it wrote within a second, as it does with what it reads live.
    for (time, micros) in [("ingest_time", 400_000), ("decision_time", 401_000)] {
        let later = format!("addMicroseconds(subtractDays(kafka_time, {days}), {micros})");
        text = text.replace(&format!("{{{time}}}"), &later);
    }
    for time in ["kafka_time", "event_time", "logged_time", "noted_time"] {
        text = text.replace(&format!("{{{time}}}"), &format!("subtractDays({time}, {days})"));
    }
    for hash in ["raw_hash", "stored_hash"] {
        let both = format!("concat(sipHash128({hash}, {copy}), sipHash128({copy}, {hash}))");
        text = text.replace(&format!("{{{hash}}}"), &format!("toFixedString({both}, 32)"));
    }
    for uid in [
        "native_uid",
        "is_amendment_of",
        "request_uid",
        "correlation_uid",
        "cicd_run_id",
    ] {
        let other = format!("if({uid} = '', '', concat({uid}, '.{copy}'))");
        text = text.replace(&format!("{{{uid}}}"), &other);
    }
    text
}

impl Ledger {
    /// The pipeline writes four weeks of the made-up organisation, the server repeats them backwards in time: most actors and
    /// half of the resources stay, the others are those of their year and of their period.
    fn fill(engines: &Engines, changes: u64) -> anyhow::Result<Self> {
        let end = last_quarter_end(TimeMicros::from_millis(engines::now_ms()));
        let topics = Topic::of_all_sources();
        let list: Vec<Topic> = topics.values().cloned().collect();
        let more = format!(
            "[decision]\napproval_max_age = \"3650d\"\nbudget_per_hour = 100000\n{}",
            environments(engines)?
        );
        let config = engines.prepare(DATABASE, &list, &more)?;
        let simulated = Config {
            rate: (changes as f64 / PERIOD_CHANGES as f64).min(1.0),
            ..Config::days(2026, PERIOD_DAYS, end.millis())
        };
        let sent = engines.simulate(&topics, simulated, |_| Ok(()))?;
        let running = engines.run(engines::changegate(&config)?, DATABASE, sent)?;
        engines::stop(running)?;

        let server = engines.server();
        let url = format!("http://{}:{}", server.host, server.port);
        let mut options = Options::new(url, DATABASE).with_user(server.user, server.password);
        options.read_timeout = PATIENCE;
        let mut ledger = Self {
            client: LedgerClient::new(options)?,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            moment: engines
                .query(&format!("SELECT toDateTime({}, 'UTC')", end.seconds()))?
                .trim()
                .to_owned(),
            changes: engines.number(&format!("SELECT count() FROM {DATABASE}.changes"))?,
        };
        ledger.repeat(engines, changes)?;
        Ok(ledger)
    }

    fn repeat(&mut self, engines: &Engines, changes: u64) -> anyhow::Result<()> {
        let started = Instant::now();
        ensure!(self.changes > 0, "nothing to repeat");
        let copies = changes.div_ceil(self.changes);
        let offsets: u64 = engines.number(&format!("SELECT max(offset) + 1 FROM {DATABASE}.raw_records"))?;
        for (table, _) in REPLACED {
            self.execute(&format!(
                "CREATE TABLE {DATABASE}.base_{table} ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM {DATABASE}.{table}"
            ))?;
            self.execute(&format!("TRUNCATE TABLE {DATABASE}.{table}"))?;
        }
        for copy in 0..copies {
            for (table, columns) in REPLACED {
                let columns = replaced(columns, copy, offsets);
                self.execute(&format!(
                    "INSERT INTO {DATABASE}.{table} SELECT * REPLACE ({columns}) FROM {DATABASE}.base_{table} \
                     SETTINGS max_insert_threads = 2, prefer_column_name_to_alias = 1"
                ))?;
            }
        }
        for (table, _) in REPLACED {
            self.execute(&format!("DROP TABLE {DATABASE}.base_{table} SYNC"))?;
        }
        engines.quiet()?;
        self.changes = engines.number(&format!("SELECT count() FROM {DATABASE}.v_changes"))?;
        eprintln!(
            "{} changes of {copies} times {PERIOD_DAYS} days up to {}, {} copies set aside, {:.1} GB on disk in {} parts, after {:.0} s",
            self.changes,
            self.moment,
            engines.number::<u64>(&format!("SELECT count() FROM {DATABASE}.superseded"))?,
            engines.bytes_on_disk(DATABASE)? as f64 / 1e9,
            engines.number::<u64>(&format!(
                "SELECT count() FROM system.parts WHERE active AND database = '{DATABASE}'"
            ))?,
            started.elapsed().as_secs_f64()
        );
        Ok(())
    }

    fn execute(&self, statement: &str) -> anyhow::Result<()> {
        let done = self.runtime.block_on(self.client.execute(statement));
        done.with_context(|| format!("asking: {statement}"))
    }

    /// How many bytes the answer has.
    fn ask(&self, sql: &str) -> anyhow::Result<u64> {
        let mut counted = Counted(0);
        self.runtime
            .block_on(self.client.copy(sql, "TSV", &mut counted))?;
        Ok(counted.0)
    }

    /// Names for each round: those of changes of the last period, drawn by chance.
    fn names(&self) -> anyhow::Result<Vec<Names>> {
        let mut answer = Vec::new();
        let drawn = format!(
            "SELECT resource_uids[1], actor_uid, actor_name, topic, incarnation, partition, offset, child FROM v_changes \
             WHERE resource_uids[1] != '' AND actor_uid != '' AND actor_name != '' \
             AND event_time >= toDateTime('{}', 'UTC') - INTERVAL {PERIOD_DAYS} DAY \
             ORDER BY cityHash64(event_uid) LIMIT 1000",
            self.moment
        );
        self.runtime
            .block_on(self.client.copy(&drawn, "TSV", &mut answer))?;
        let names: Vec<Names> = String::from_utf8(answer)?
            .lines()
            .filter_map(Names::of_line)
            .take(ROUNDS)
            .collect();
        ensure!(names.len() == ROUNDS, "{} changes with names", names.len());
        Ok(names)
    }
}

/// What is put in the place of the names on the page.
struct Names([(&'static str, String); 4]);

impl Names {
    /// `None` where a name would have to be quoted.
    fn of_line(line: &str) -> Option<Self> {
        if line.contains(['\'', '\\']) {
            return None;
        }
        let cells: Vec<&str> = line.split('\t').collect();
        let &[
            resource,
            actor,
            name,
            topic,
            incarnation,
            partition,
            offset,
            child,
        ] = &cells[..]
        else {
            return None;
        };
        Some(Self([
            ("'arn:aws:s3:::payroll'", format!("'{resource}'")),
            ("'arn:aws:iam::111122223333:role/admin'", format!("'{actor}'")),
            ("'anna'", format!("'{name}'")),
            (
                "topic = 'changegate.raw.aws.cloudtrail.v1' AND incarnation = 0 AND partition = 3 AND offset = 1 AND child = 0",
                format!(
                    "topic = '{topic}' AND incarnation = {incarnation} AND partition = {partition} AND offset = {offset} AND child = {child}"
                ),
            ),
        ]))
    }

    /// A page that names others would be asked for what is not there, and that is quick.
    fn check(&self, page: &str) -> anyhow::Result<()> {
        let missing = self.0.iter().find(|(name, _)| !page.contains(name));
        ensure!(missing.is_none(), "not on the page: {missing:?}");
        Ok(())
    }

    fn put_into(&self, sql: &str) -> String {
        let Self(names) = self;
        names
            .iter()
            .fold(sql.to_owned(), |sql, (name, other)| sql.replace(name, other))
    }
}

/// Which places of the made-up organisation are production, as the program itself writes it: without, all of them would be.
fn environments(engines: &Engines) -> anyhow::Result<String> {
    let folder = engines.folder().join("organisation");
    let output = engines::program_alone()?
        .args(["simulate", "--days", "1", "--to"])
        .arg(&folder)
        .output()?;
    ensure!(
        output.status.success(),
        "changegate simulate: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let file = folder.join("changegate.toml");
    std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
}

/// 17:00 of the last working day of the quarter before: a whole quarter lies behind it.
fn last_quarter_end(now: TimeMicros) -> TimeMicros {
    let quarter = |time: TimeMicros| {
        let (year, month, ..) = time.civil();
        (year, (month - 1) / 3)
    };
    let mut end = TimeMicros(now.0 - now.0.rem_euclid(DAY_MICROS) + 17 * DAY_MICROS / 24);
    while quarter(end) == quarter(now) || end.hour_of_week() >= 5 * 24 {
        end.0 -= DAY_MICROS;
    }
    end
}

struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_quarter_lies_behind() {
        // 2026-11-30 05:00 UTC; 30 September is a Wednesday.
        let end = last_quarter_end(TimeMicros(1_795_928_400_000_000));
        assert_eq!(end.civil().0, 2026);
        assert_eq!((end.civil().1, end.civil().2, end.civil().3), (9, 30, 17));
        // 2026-07-02; 30 June is a Tuesday.
        let end = last_quarter_end(TimeMicros(1_782_950_400_000_000));
        assert_eq!((end.civil().1, end.civil().2, end.civil().3), (6, 30, 17));
    }

    #[test]
    fn a_copy_has_everything_in_its_place() {
        for (table, columns) in REPLACED {
            let text = replaced(columns, 14, 1_000);
            assert!(!text.contains(['{', '}']), "{table}: {text}");
            assert!(text.starts_with("offset + 14000 AS offset,"), "{table}: {text}");
            assert!(
                text.contains("subtractDays(kafka_time, 392) AS kafka_time"),
                "{table}: {text}"
            );
        }
        assert!(replaced(REPLACED[0].1, 14, 1).contains("concat(actor_uid, '.1')"));
    }

    #[test]
    fn the_page_names_what_is_replaced() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/questions.md");
        let page = std::fs::read_to_string(page).unwrap();
        let names = Names::of_line("r\ta\tn\tt\t1\t2\t3\t4").unwrap();
        names.check(&page).unwrap();
        assert!(names.put_into(&page).contains("topic = 't' AND incarnation = 1"));
        assert!(Names::of_line("it's\ta\tn\tt\t1\t2\t3\t4").is_none());
    }
}
