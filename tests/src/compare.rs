//! What readers see after faults, against what they must see.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use changegate_clickhouse::LedgerClient;
use changegate_pipeline::outgoing::header;

use crate::{Config, Served, Site, until};

/// Which change a request is about.
///
/// # Panics
/// Where the body is not that of a request.
pub fn change_of(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).expect("JSON");
    body["change"]["change_uid"]
        .as_str()
        .expect("a request names its change")
        .to_owned()
}

impl Site {
    /// Waits until everything is read, written and committed. As long as it goes on it may take its time.
    #[track_caller]
    pub fn read_to_the_end(&self, config: &Config, program: &mut Served) {
        let (looker, partitions) = (self.looker(&config.group), config.partitions());
        let mut is_done = false;
        while !is_done {
            let before = self.committed(&looker, &partitions);
            is_done = until("it reads on", || {
                program.check();
                let is_done = self.is_done(&looker, &partitions);
                (is_done || self.committed(&looker, &partitions) != before).then_some(is_done)
            });
        }
    }

    /// How many records below the committed positions the ledger does not have.
    #[track_caller]
    pub fn unsaved(&self, ledger: &LedgerClient, config: &Config) -> u64 {
        let looker = self.looker(&config.group);
        let committed = self.committed(&looker, &config.partitions());
        let counts = committed.iter().map(|committed| {
            let due = committed.offset.unwrap_or(0) as u64;
            let [saved] = self.numbers(
                ledger,
                &format!(
                    "SELECT count() FROM {}.v_raw_records WHERE topic = '{}' AND partition = {} AND offset < {due}",
                    config.database, committed.topic, committed.partition
                ),
            );
            due - saved
        });
        counts.sum()
    }

    /// Reads all of it once more, undisturbed, by a group and into a database of its own.
    #[track_caller]
    pub fn reference(&self, config: &Config) {
        self.database(&config.database);
        self.create_topics(&[(&config.approval_topic, 1)]);
        let mut program = config.serve(self);
        self.read_to_the_end(config, &mut program);
        let (status, took) = program.terminate();
        assert!(status.success(), "SIGTERM: {status}");
        assert!(took < Duration::from_secs(10), "SIGTERM took {took:?}");
    }

    /// Nothing is missing, doubled, altered or too many in the views, compared with the reference run by position and
    /// content over the topics that the reference has read, and what was read adds up. Prints what was found.
    ///
    /// # Panics
    /// Where something is.
    #[track_caller]
    pub fn assert_same_rows(&self, ledger: &LedgerClient, database: &str, reference: &str) {
        let child = "topic, incarnation, partition, offset, child";
        let record = "topic, incarnation, partition, offset";
        for (view, key, content) in [
            ("v_changes", child, "content_hash"),
            ("v_rejected", child, "(raw_hash, code)"),
            (
                "v_raw_records",
                record,
                "(raw_hash, stored_hash, written, skipped, dead_lettered)",
            ),
        ] {
            let rows = |database: &str, side: u8| {
                format!(
                    "SELECT {key}, toString({content}) AS content, {side} AS side FROM {database}.{view} \
                     WHERE topic IN (SELECT topic FROM {reference}.raw_records)"
                )
            };
            let sql = format!(
                "SELECT countIf(known = 0 AND due > 0), countIf(known > 1 OR due > 1), \
                 countIf(known > 0 AND due > 0 AND length(contents) > 1), countIf(known > 0 AND due = 0), sum(due) FROM \
                 (SELECT {key}, countIf(side = 1) AS known, countIf(side = 0) AS due, groupUniqArray(content) AS contents \
                  FROM ({} UNION ALL {}) GROUP BY {key})",
                rows(reference, 0),
                rows(database, 1)
            );
            let [missing, doubled, altered, extra, due] = self.numbers(ledger, &sql);
            println!(
                "  {view}: of {due}: {missing} missing, {doubled} doubled, {altered} altered, {extra} too many"
            );
            assert_eq!([missing, doubled, altered, extra], [0; 4], "{view}");
        }
        let [unbalanced, holes] = self.numbers(
            ledger,
            &format!(
                "SELECT (SELECT sum(abs(missing)) FROM {database}.v_conservation), \
                 (SELECT count() FROM {database}.v_holes WHERE NOT on_record)"
            ),
        );
        assert_eq!(
            [unbalanced, holes],
            [0, 0],
            "read = written + skipped + dead-lettered"
        );
    }

    /// Each change that asks has its request, and nothing else has one; the same for dead letters. To be called when
    /// copies are settled, since one that landed late may ask what nobody was asked, and before a reference run, which
    /// sends to the same dead-letter topics.
    ///
    /// # Panics
    /// Where it is not so.
    #[track_caller]
    pub fn assert_sent(&self, ledger: &LedgerClient, config: &Config) {
        let database = &config.database;
        let asked: BTreeSet<String> = self
            .rows(
                ledger,
                &format!(
                    "SELECT DISTINCT change_uid FROM {database}.v_changes WHERE approval IN ('asked', 'grouped')"
                ),
            )
            .into_iter()
            .flatten()
            .collect();
        let messages = self.messages(&config.approval_topic);
        let mut first: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut other_bodies = 0;
        for message in &messages {
            match first.get(&message.key) {
                Some(body) => other_bodies += usize::from(*body != message.value),
                None => drop(first.insert(message.key.clone(), message.value.clone())),
            }
        }
        let requested: BTreeSet<String> = first.values().map(|body| change_of(body)).collect();
        println!(
            "  requests: {} of {} changes that ask, {} sent again, {other_bodies} of them from another row",
            requested.len(),
            asked.len(),
            messages.len() - first.len()
        );
        assert!(!requested.is_empty(), "no request, no proof");
        let only = |ones: &BTreeSet<String>, others: &BTreeSet<String>| -> Vec<String> {
            ones.difference(others).cloned().collect()
        };
        let (unasked, unwanted) = (only(&asked, &requested), only(&requested, &asked));
        assert!(
            unasked.is_empty() && unwanted.is_empty(),
            "changes that ask, and nobody was asked: {unasked:?}; the other way round: {unwanted:?}"
        );
        for (topic, ..) in &config.topics {
            let rejected: BTreeSet<(String, String, String)> = self
                .rows(
                    ledger,
                    &format!(
                        "SELECT toString(partition), toString(offset), toString(child) FROM {database}.v_rejected \
                         WHERE topic = '{topic}'"
                    ),
                )
                .into_iter()
                .filter_map(|row| <[String; 3]>::try_from(row).ok())
                .map(|[partition, offset, child]| (partition, offset, child))
                .collect();
            let sent = self.messages(&format!("{topic}.dlq"));
            let places: BTreeSet<(String, String, String)> = sent
                .iter()
                .map(|message| {
                    let of = |name: &str| message.header(name).to_owned();
                    (of(header::PARTITION), of(header::OFFSET), of(header::CHILD))
                })
                .collect();
            println!(
                "  dead letters of {topic}: {} children, {} sent again",
                places.len(),
                sent.len() - places.len()
            );
            assert_eq!(places, rejected, "dead letters of {topic}");
        }
    }
}
