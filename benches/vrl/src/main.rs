//! A consumer in the shape of a Vector pipeline (a Kafka source, a remap, a JSON codec), without Vector's own channels,
//! buffers, acknowledgements and metrics.
//!
//! `consume BOOTSTRAP TOPIC PARTITIONS RECORDS` reads so many records and drops what it encoded; `map` maps the lines of
//! standard input to standard output.

use std::io::{BufRead as _, Write as _};

use anyhow::{Context as _, bail, ensure};
use futures_util::StreamExt as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::{Offset, TopicPartitionList};
use vrl::compiler::{Program, TargetValue, TimeZone, runtime::Runtime};
use vrl::value::{ObjectMap, Secrets, Value};

/// The program, as it would stand in a `remap` transform.
const REMAP: &str = include_str!("remap.vrl");

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["consume", bootstrap, topic, partitions, records] => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()?;
            runtime.block_on(consume(bootstrap, topic, partitions.parse()?, records.parse()?))
        }
        ["map"] => map(),
        _ => bail!("consume BOOTSTRAP TOPIC PARTITIONS RECORDS | map"),
    }
}

/// Ends the process.
async fn consume(bootstrap: &str, topic: &str, partitions: i32, records: u64) -> anyhow::Result<()> {
    // What Vector sets, but for the time that a member may be silent: valgrind slows it down fifty times.
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bench-vrl")
        .set("client.id", "vector")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "false")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "5000")
        .set("enable.auto.offset.store", "false")
        .set("fetch.wait.max.ms", "100")
        .set("socket.timeout.ms", "60000")
        .set("session.timeout.ms", "300000")
        .set("max.poll.interval.ms", "1800000")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let mut remap = Remap::new()?;
    let mut line = Vec::new();
    let (mut read, mut bytes) = (0, 0);
    let mut messages = consumer.stream();
    while read < records {
        let message = messages.next().await.context("the stream ended")??.detach();
        let event = remap.event(received(message))?;
        line.clear();
        serde_json::to_writer(&mut line, &event)?;
        bytes += line.len();
        read += 1;
    }
    ensure!(bytes > 0, "nothing was encoded");
    // Leaving in order would be counted, and the other side is not asked for it.
    std::process::exit(0)
}

/// The event that a Kafka source makes of a message.
fn received(message: OwnedMessage) -> Value {
    let payload = message.payload().unwrap_or_default();
    let mut event = ObjectMap::new();
    event.insert("message".into(), Value::from(payload));
    event.insert("topic".into(), Value::from(message.topic()));
    event.insert("partition".into(), Value::from(i64::from(message.partition())));
    event.insert("offset".into(), Value::from(message.offset()));
    event.insert("source_type".into(), Value::from("kafka"));
    if let Some(key) = message.key() {
        event.insert("message_key".into(), Value::from(key));
    }
    let millis = message.timestamp().to_millis().unwrap_or_default();
    if let Some(time) = chrono::DateTime::from_timestamp_millis(millis) {
        event.insert("timestamp".into(), Value::from(time));
    }
    Value::Object(event)
}

fn map() -> anyhow::Result<()> {
    let mut remap = Remap::new()?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let event = ObjectMap::from([("message".into(), Value::from(line?))]);
        serde_json::to_writer(&mut out, &remap.event(Value::Object(event))?)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

struct Remap {
    program: Program,
    runtime: Runtime,
}

impl Remap {
    fn new() -> anyhow::Result<Self> {
        let compiled = vrl::compiler::compile(REMAP, &vrl::stdlib::all());
        let compiled = compiled
            .map_err(|faults| anyhow::anyhow!(vrl::diagnostic::Formatter::new(REMAP, faults).to_string()))?;
        Ok(Self {
            program: compiled.program,
            runtime: Runtime::default(),
        })
    }

    fn event(&mut self, event: Value) -> anyhow::Result<Value> {
        let mut target = TargetValue {
            value: event,
            metadata: Value::Object(ObjectMap::new()),
            secrets: Secrets::default(),
        };
        let done = self
            .runtime
            .resolve(&mut target, &self.program, &TimeZone::default());
        self.runtime.clear();
        done?;
        Ok(target.value)
    }
}
