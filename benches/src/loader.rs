//! The database's own loader: ClickHouse's Kafka engine and materialized views, on the same server and the same topic as
//! the program. It fills the columns that a `JSONExtract` can, and keeps the raw bytes in a table with the settings of
//! ours; it scores nothing, masks nothing and knows no batch.

use std::time::{Duration, Instant};

use anyhow::ensure;
use changegate_clickhouse::Table;

use crate::engines::{self, Engines, Topic};
use crate::machine::{self, median};

/// Rounds; every ratio is the median of theirs.
const ROUNDS: usize = 5;

/// How the view reads a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// One `JSONExtract` into a tuple of everything: parses once.
    Tuple,
    /// One `JSONExtract…` a column, as most are written.
    Naive,
}

/// CPU time a record, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    program: f64,
    server: f64,
}

impl Cost {
    fn total(self) -> f64 {
        self.program + self.server
    }
}

/// Medians of the rounds.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Records of a run.
    pub records: u64,
    /// Of the program, microseconds a record.
    pub program: f64,
    /// Of the server under the program.
    pub server: f64,
    /// Of the server with one `JSONExtract`.
    pub tuple: f64,
    /// Of the server with one a column.
    pub naive: f64,
    /// All of ours / one `JSONExtract`.
    pub over_tuple: f64,
    /// All of ours / one a column.
    pub over_naive: f64,
    /// The server under ours / under one `JSONExtract`.
    pub server_over_tuple: f64,
    /// Bytes on disk a record, all tables of ours.
    pub disk: f64,
    /// Of the columns that both wrote.
    pub checksum: u64,
}

/// Interleaved rounds of the three.
///
/// # Errors
/// What is missing on this machine; a run that does not end; sides that did not write the same.
pub fn figures(records: u64) -> anyhow::Result<Figures> {
    let engines = Engines::start()?;
    let topic = Topic::cloudtrail("bench_loader");
    // Makes the topic.
    engines.prepare("bench_loader", std::slice::from_ref(&topic), "")?;
    engines.fill(&topic, records)?;
    let (mut ours, mut tuple, mut naive) = (Vec::new(), Vec::new(), Vec::new());
    let mut figures = None;
    for round in 0..ROUNDS {
        let own = format!("bench_ours_{round}");
        let cost = run_ours(&engines, &own, &topic, records)?;
        ours.push(cost);
        let mut wrote = Vec::new();
        for (view, costs) in [(View::Tuple, &mut tuple), (View::Naive, &mut naive)] {
            let name = format!("bench_{view:?}_{round}").to_lowercase();
            costs.push(run_loader(&engines, view, &name, &own, &topic, records)?);
            wrote.push(same(&engines, &own, &name, records)?);
            engines.query(&format!("DROP DATABASE {name} SYNC"))?;
        }
        ensure!(
            wrote.windows(2).all(|pair| pair[0] == pair[1]),
            "checksums: {wrote:?}"
        );
        figures.get_or_insert((
            engines.bytes_on_disk(&own)?,
            wrote.first().copied().unwrap_or_default(),
        ));
        engines.query(&format!("DROP DATABASE {own} SYNC"))?;
        let said = |costs: &[Cost]| costs.last().map_or(0.0, |cost| cost.total());
        eprintln!(
            "round {round}: program {:.1} + server {:.1}, one JSONExtract {:.1}, one a column {:.1} us a record",
            cost.program,
            cost.server,
            said(&tuple),
            said(&naive)
        );
    }
    let (disk, checksum) = figures.unwrap_or_default();
    let middle = |of: &dyn Fn(usize) -> f64| median(&(0..ROUNDS).map(of).collect::<Vec<_>>());
    Ok(Figures {
        records,
        program: middle(&|round| ours[round].program)?,
        server: middle(&|round| ours[round].server)?,
        tuple: middle(&|round| tuple[round].total())?,
        naive: middle(&|round| naive[round].total())?,
        over_tuple: middle(&|round| ours[round].total() / tuple[round].total())?,
        over_naive: middle(&|round| ours[round].total() / naive[round].total())?,
        server_over_tuple: middle(&|round| ours[round].server / tuple[round].server)?,
        disk: disk as f64 / records as f64,
        checksum,
    })
}

/// The program, start to last row, and all merges.
fn run_ours(engines: &Engines, name: &str, topic: &Topic, records: u64) -> anyhow::Result<Cost> {
    let config = engines.prepare(name, std::slice::from_ref(topic), "")?;
    engines.quiet()?;
    let before = engines.server_cpu()?;
    let running = engines.run(engines::changegate(&config)?, name, records)?;
    let program = machine::cpu(running.id())?;
    engines::stop(running)?;
    engines.quiet()?;
    Ok(Cost {
        program: micros(program, records),
        server: micros(engines.server_cpu()? - before, records),
    })
}

/// The views, from their making to the last row, and all merges.
fn run_loader(
    engines: &Engines,
    view: View,
    name: &str,
    ours: &str,
    topic: &Topic,
    records: u64,
) -> anyhow::Result<Cost> {
    for statement in tables(engines, name, ours)? {
        engines.query(&statement)?;
    }
    engines.quiet()?;
    let before = engines.server_cpu()?;
    // The engine looks for its views every half second: both are there when it looks again.
    for statement in [queue(engines, name, topic, ""), changes(name, view), raw(name)] {
        engines.query(&statement)?;
    }
    let started = Instant::now();
    loop {
        let counts = format!(
            "SELECT least((SELECT count() FROM {name}.changes), (SELECT count() FROM {name}.raw_records))"
        );
        if engines.number::<u64>(&counts)? >= records {
            break;
        }
        ensure!(
            started.elapsed() < Duration::from_secs(600),
            "{name} does not come to its end"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    engines.query(&format!("DROP TABLE {name}.queue SYNC"))?;
    engines.quiet()?;
    Ok(Cost {
        program: 0.0,
        server: micros(engines.server_cpu()? - before, records),
    })
}

fn micros(time: Duration, records: u64) -> f64 {
    time.as_secs_f64() * 1e6 / records as f64
}

/// Every column that both write, and what fills it: from `e`, the tuple, and by a call of its own.
const COLUMNS: [(&str, &str, &str); 22] = [
    (
        "schema_version",
        "e.eventVersion",
        "JSONExtractString(m, 'eventVersion')",
    ),
    (
        "event_time",
        "parseDateTime64BestEffort(e.eventTime, 6, 'UTC')",
        "parseDateTime64BestEffort(JSONExtractString(m, 'eventTime'), 6, 'UTC')",
    ),
    ("native_uid", "e.eventID", "JSONExtractString(m, 'eventID')"),
    ("request_uid", "e.requestID", "JSONExtractString(m, 'requestID')"),
    (
        "correlation_uid",
        "if(e.sharedEventID = '', e.requestID, e.sharedEventID)",
        "if(JSONExtractString(m, 'sharedEventID') = '', JSONExtractString(m, 'requestID'), JSONExtractString(m, 'sharedEventID'))",
    ),
    (
        "api_service",
        "e.eventSource",
        "JSONExtractString(m, 'eventSource')",
    ),
    (
        "api_operation",
        "e.eventName",
        "JSONExtractString(m, 'eventName')",
    ),
    (
        "api_version",
        "e.apiVersion",
        "JSONExtractString(m, 'apiVersion')",
    ),
    ("region", "e.awsRegion", "JSONExtractString(m, 'awsRegion')"),
    (
        "src_ip",
        "toIPv6OrNull(e.sourceIPAddress)",
        "toIPv6OrNull(JSONExtractString(m, 'sourceIPAddress'))",
    ),
    ("user_agent", "e.userAgent", "JSONExtractString(m, 'userAgent')"),
    ("status_code", "e.errorCode", "JSONExtractString(m, 'errorCode')"),
    (
        "status_detail",
        "e.errorMessage",
        "JSONExtractString(m, 'errorMessage')",
    ),
    (
        "account_uid",
        "e.recipientAccountId",
        "JSONExtractString(m, 'recipientAccountId')",
    ),
    (
        "actor_uid",
        "e.userIdentity.sessionContext.sessionIssuer.arn",
        "JSONExtractString(m, 'userIdentity', 'sessionContext', 'sessionIssuer', 'arn')",
    ),
    (
        "actor_name",
        "e.userIdentity.sessionContext.sessionIssuer.userName",
        "JSONExtractString(m, 'userIdentity', 'sessionContext', 'sessionIssuer', 'userName')",
    ),
    (
        "actor_issuer",
        "e.userIdentity.sessionContext.sessionIssuer.arn",
        "JSONExtractString(m, 'userIdentity', 'sessionContext', 'sessionIssuer', 'arn')",
    ),
    (
        "actor_session_uid",
        "e.userIdentity.principalId",
        "JSONExtractString(m, 'userIdentity', 'principalId')",
    ),
    (
        "actor_credential_uid",
        "e.userIdentity.accessKeyId",
        "JSONExtractString(m, 'userIdentity', 'accessKeyId')",
    ),
    (
        "actor_invoked_by",
        "e.userIdentity.invokedBy",
        "JSONExtractString(m, 'userIdentity', 'invokedBy')",
    ),
    (
        "actor_is_mfa",
        "e.userIdentity.sessionContext.attributes.mfaAuthenticated = 'true'",
        "JSONExtractString(m, 'userIdentity', 'sessionContext', 'attributes', 'mfaAuthenticated') = 'true'",
    ),
    (
        "is_change",
        "NOT e.readOnly",
        "NOT JSONExtractBool(m, 'readOnly')",
    ),
];

/// Where a row stands in Kafka.
const PLACE: [&str; 4] = ["topic", "partition", "offset", "kafka_time"];

const TUPLE: &str = "Tuple(eventVersion String, userIdentity Tuple(principalId String, accessKeyId String, \
    invokedBy String, sessionContext Tuple(sessionIssuer Tuple(arn String, userName String), \
    attributes Tuple(mfaAuthenticated String))), eventTime String, eventSource String, eventName String, \
    awsRegion String, sourceIPAddress String, userAgent String, errorCode String, errorMessage String, \
    requestID String, eventID String, readOnly Bool, apiVersion String, recipientAccountId String, \
    sharedEventID String)";

/// Tables with types, codecs and settings of ours, of the columns that are written.
pub(crate) fn tables(engines: &Engines, name: &str, ours: &str) -> anyhow::Result<[String; 3]> {
    let columns = |table: &str, names: &[&str]| {
        engines.query(&format!(
            "SELECT arrayStringConcat(groupArray(name || ' ' || type || ' ' || compression_codec), ', ') FROM \
             (SELECT * FROM system.columns WHERE database = '{ours}' AND table = '{table}' AND name IN ('{}') \
             ORDER BY position)",
            names.join("', '")
        ))
    };
    let settings = |table: &str| {
        engines.query(&format!(
            "SELECT extract(create_table_query, 'SETTINGS (.*)$') FROM system.tables \
             WHERE database = '{ours}' AND name = '{table}'"
        ))
    };
    let typed: Vec<&str> = PLACE.into_iter().chain(COLUMNS.map(|(name, ..)| name)).collect();
    let raw: Vec<&str> = PLACE.into_iter().chain(["raw"]).collect();
    let keys = Table::Changes.sorted_by().iter();
    let order: Vec<String> = keys
        .filter(|key| typed.contains(&key.column()))
        .map(|key| key.expression())
        .collect();
    Ok([
        format!("CREATE DATABASE {name}"),
        format!(
            "CREATE TABLE {name}.changes ({}) ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) \
             ORDER BY ({}) SETTINGS {}",
            unescaped(&columns("changes", &typed)?),
            order.join(", "),
            unescaped(&settings("changes")?)
        ),
        format!(
            "CREATE TABLE {name}.raw_records ({}) ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) \
             ORDER BY (topic, partition, offset) SETTINGS {}",
            unescaped(&columns("raw_records", &raw)?),
            unescaped(&settings("raw_records")?)
        ),
    ])
}

/// TabSeparated text as it was.
fn unescaped(text: &str) -> String {
    text.trim().replace("\\'", "'")
}

/// Two consumers with a thread each, whole messages as they are, blocks as large as ClickHouse makes them by itself; and
/// more settings.
pub(crate) fn queue(engines: &Engines, name: &str, topic: &Topic, more: &str) -> String {
    format!(
        "CREATE TABLE {name}.queue (m String) ENGINE = Kafka SETTINGS kafka_broker_list = '{}', \
         kafka_topic_list = '{}', kafka_group_name = '{name}', kafka_format = 'RawBLOB', kafka_num_consumers = 2, \
         kafka_thread_per_consumer = 1, kafka_max_block_size = 131072{more}",
        engines.kafka().bootstrap,
        topic.name
    )
}

const PLACE_OF: &str = "_topic AS topic, toInt32(_partition) AS partition, toInt64(_offset) AS offset, \
    toDateTime64(assumeNotNull(_timestamp_ms), 6, 'UTC') AS kafka_time";

/// Takes records apart.
pub(crate) fn changes(name: &str, view: View) -> String {
    let columns = COLUMNS.map(|(column, of_tuple, alone)| {
        let filled = if view == View::Tuple { of_tuple } else { alone };
        format!("{filled} AS {column}")
    });
    let with = match view {
        View::Tuple => format!("WITH JSONExtract(m, '{TUPLE}') AS e "),
        View::Naive => String::new(),
    };
    format!(
        "CREATE MATERIALIZED VIEW {name}.to_changes TO {name}.changes AS {with}SELECT {PLACE_OF}, {} FROM {name}.queue",
        columns.join(", ")
    )
}

/// Keeps the bytes.
pub(crate) fn raw(name: &str) -> String {
    format!(
        "CREATE MATERIALIZED VIEW {name}.to_raw TO {name}.raw_records AS SELECT {PLACE_OF}, m AS raw FROM {name}.queue"
    )
}

/// The checksum over what both wrote: all columns, and the raw bytes of the records in which we masked nothing.
pub(crate) fn same(engines: &Engines, ours: &str, theirs: &str, records: u64) -> anyhow::Result<u64> {
    let columns: Vec<&str> = PLACE.into_iter().chain(COLUMNS.map(|(name, ..)| name)).collect();
    // A hash of several values is NULL where one is.
    let columns: Vec<String> = columns
        .iter()
        .map(|name| match *name {
            "src_ip" | "actor_is_mfa" => format!("ifNull(toString({name}), 'none')"),
            _ => (*name).to_owned(),
        })
        .collect();
    let wrote = |database: &str| -> anyhow::Result<String> {
        engines.query(&format!(
            "SELECT count(), sum(cityHash64({})), (SELECT (count(), sum(cityHash64(partition, offset, raw))) FROM \
             {database}.raw_records WHERE (partition, offset) NOT IN (SELECT partition, offset FROM {ours}.raw_records \
             WHERE secrets_masked > 0)) FROM {database}.changes",
            columns.join(", ")
        ))
    };
    let (own, other) = (wrote(ours)?, wrote(theirs)?);
    ensure!(own == other, "{ours} wrote {own}, but {theirs} {other}");
    ensure!(
        own.starts_with(&format!("{records}\t")),
        "not every record once: {own}"
    );
    let checksum = own.split('\t').nth(1).unwrap_or_default();
    Ok(checksum.parse()?)
}
