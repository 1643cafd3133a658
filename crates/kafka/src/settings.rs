use std::time::Duration;

use rdkafka::ClientConfig;

/// How to reach the brokers, and what the group is told of us.
#[derive(Clone)]
pub struct Settings {
    /// `host:port`, separated by commas.
    pub bootstrap: String,
    /// Consumer group.
    pub group: String,
    /// After this long without a heartbeat the group takes our partitions away.
    pub session_timeout: Duration,
    /// After this long without a poll, too.
    pub max_poll_interval: Duration,
    /// Largest record that is sent or fetched, in bytes.
    pub record_bytes_max: usize,
    /// Protection and further properties, as librdkafka names them. May hold passwords.
    pub properties: Vec<(String, String)>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("bootstrap", &self.bootstrap)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

/// What the client library says, and about what.
#[derive(Debug, thiserror::Error)]
#[error("kafka at {bootstrap}: {what}: {source}")]
pub struct Error {
    /// The brokers that were to be asked.
    pub bootstrap: String,
    /// What was to be done.
    pub what: String,
    /// Why it was not.
    #[source]
    pub source: Box<rdkafka::error::KafkaError>,
}

/// Of one partition in one answer.
const FETCH_BYTES: &str = "262144";
/// What waits between broker and worker, in KiB: bounds memory however slow the ledger is.
const QUEUED_KBYTES: &str = "16384";

impl Settings {
    pub(crate) fn error(&self, what: impl Into<String>, source: rdkafka::error::KafkaError) -> Error {
        Error {
            bootstrap: self.bootstrap.clone(),
            what: what.into(),
            source: Box::new(source),
        }
    }

    fn base(&self) -> ClientConfig {
        self.base_over(ClientConfig::new())
    }

    /// Given properties go over what is set before: they are tuning. What delivery rests on is set after them.
    fn base_over(&self, mut config: ClientConfig) -> ClientConfig {
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", "changegate");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    /// A reader that joins no group: for looking at single records.
    pub(crate) fn reader(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "10")
            .set(
                "fetch.message.max.bytes",
                self.record_bytes_max.max(1 << 20).to_string(),
            );
        config
    }

    /// A member of the group under a name of its own, so that a restart finds its partitions at once.
    pub fn member(&self, instance_id: &str) -> ClientConfig {
        let mut tuned = ClientConfig::new();
        tuned
            // The default of a second leaves a queue that was drained empty for as long.
            .set("fetch.queue.backoff.ms", "2")
            .set("queued.min.messages", "20000")
            .set("queued.max.messages.kbytes", QUEUED_KBYTES)
            // A fetch is unpacked whole, to ten times its size and more, and the queue's bound is asked before it is made:
            // small ones keep that near the bound. Brokers hand over a larger batch all the same where it comes first.
            .set("fetch.message.max.bytes", FETCH_BYTES)
            .set(
                "fetch.max.bytes",
                (8 << 20).max(self.record_bytes_max).to_string(),
            )
            // A trickle over many partitions is fetched twenty times a second, not a record at a time: each fetch names
            // every partition.
            .set("fetch.min.bytes", "65536")
            .set("fetch.wait.max.ms", "50")
            // New partitions are heard of before anybody takes them for another member's.
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set("socket.keepalive.enable", "true")
            // Ends of partitions and states of connections come with these: nobody is asked while records wait.
            .set("statistics.interval.ms", "2000");
        let mut config = self.base_over(tuned);
        config
            .set("group.id", &self.group)
            .set("group.instance.id", instance_id)
            .set("partition.assignment.strategy", "range")
            .set("session.timeout.ms", self.session_timeout.as_millis().to_string())
            .set(
                "heartbeat.interval.ms",
                (self.session_timeout.as_millis() / 5).max(100).to_string(),
            )
            .set(
                "max.poll.interval.ms",
                self.max_poll_interval
                    .max(self.session_timeout)
                    .as_millis()
                    .to_string(),
            )
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // The start is always ours to say; a position that is gone is an alarm, not a jump.
            .set("auto.offset.reset", "error");
        config
    }

    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("compression.type", "zstd")
            .set("message.max.bytes", self.record_bytes_max.to_string())
            // Messages wait here for their acknowledgement; the default is 1 GiB.
            .set("queue.buffering.max.kbytes", "65536")
            .set("linger.ms", "5")
            .set("delivery.timeout.ms", "30000");
        config
    }

    /// One whose messages arrive in their order without a gap, or not at all: it never gives one up for those behind it.
    pub(crate) fn gapless_producer(&self) -> ClientConfig {
        let mut config = self.producer();
        config
            .set("enable.gapless.guarantee", "true")
            .set("delivery.timeout.ms", "0");
        config
    }

    pub(crate) fn admin(&self) -> ClientConfig {
        self.base()
    }
}
