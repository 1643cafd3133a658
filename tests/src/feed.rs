use std::collections::BTreeMap;

use changegate_kafka::Sender;
use changegate_simulator::{LoadGenerator, Source, header_pairs};
use changegate_telemetry::{Clock as _, SystemClock};

use crate::{Config, Dice, PATIENCE, Site};

/// One record in so many is cut in half, so that dead letters are part of what is compared.
const DAMAGED_ONE_IN: u64 = 40;

/// Native events for the topics of a configuration, always the same ones. Topics of one source take turns.
pub struct Feed {
    load: LoadGenerator,
    /// Source, its topics.
    topics: Vec<(&'static str, Vec<String>)>,
    start_ms: i64,
    step_ms: i64,
    again: Option<Again>,
    /// So far.
    pub records: u64,
    /// In them, so far.
    pub events: u64,
    /// Of these, so many were sent before.
    pub sent_again: u64,
}

/// Records that are delivered once more.
struct Again {
    one_in: u64,
    within: u64,
    dice: Dice,
    /// By the number of records after which it is due; a second number keeps two of them apart.
    due: BTreeMap<(u64, u64), Copied>,
}

struct Copied {
    topic: String,
    key: Vec<u8>,
    headers: Vec<(&'static str, Vec<u8>)>,
    value: Vec<u8>,
    children: u32,
}

impl Feed {
    /// Its record time begins four days ago and passes five records a second: the broker takes none from the future.
    ///
    /// # Panics
    /// On a source that nobody simulates.
    pub fn new(seed: u64, config: &Config) -> Self {
        let mut topics: Vec<(&'static str, Vec<String>)> = Vec::new();
        for (topic, source, _) in &config.topics {
            match topics.iter_mut().find(|(known, _)| known == source) {
                Some((_, of_source)) => of_source.push(topic.clone()),
                None => topics.push((source, vec![topic.clone()])),
            }
        }
        let source_of = |name: &str| Source::ALL.into_iter().find(|source| source.name() == name);
        let sources: Vec<Source> = topics
            .iter()
            .map(|(name, _)| source_of(name).expect("a simulated source"))
            .collect();
        Self {
            load: LoadGenerator::of(seed, 2_000, &sources),
            topics,
            start_ms: SystemClock.now().millis() - 4 * 86_400_000,
            step_ms: 200,
            again: None,
            records: 0,
            events: 0,
            sent_again: 0,
        }
    }

    /// Record time begins so many hours ago, and goes on by so many milliseconds from one record to the next.
    #[must_use]
    pub fn since(mut self, hours_ago: i64, step_ms: i64) -> Self {
        (self.start_ms, self.step_ms) = (SystemClock.now().millis() - hours_ago * 3_600_000, step_ms);
        self
    }

    /// One record in so many is sent again, at most so many records later: to the same partition, at another offset.
    #[must_use]
    pub fn sending_again(mut self, one_in: u64, within: u64) -> Self {
        self.again = Some(Again {
            one_in,
            within,
            dice: Dice(one_in),
            due: BTreeMap::new(),
        });
        self
    }

    /// Sends at least so many more events, and waits until all replicas have them.
    ///
    /// # Panics
    /// Where the broker does not take them.
    pub fn send(&mut self, site: &Site, events: u64) {
        let mut sender = site.sender();
        let until = self.events + events;
        while self.events < until {
            let time = self.start_ms + self.records as i64 * self.step_ms;
            let record = self.load.next(time);
            let found = self.topics.iter().find(|(source, _)| *source == record.source);
            let (_, topics) = found.expect("only these sources are asked for");
            let topic = &topics[self.records as usize % topics.len()];
            let is_damaged = self.records % DAMAGED_ONE_IN == 7;
            let value = if is_damaged {
                &record.value[..record.value.len() / 2]
            } else {
                record.value
            };
            self.events += if is_damaged { 1 } else { u64::from(record.children) };
            self.records += 1;
            sender
                .send(
                    topic,
                    Some(record.key),
                    &header_pairs(record.headers),
                    value,
                    time,
                )
                .expect("the broker takes it");
            if let Some(again) = self.again.as_mut().filter(|_| !is_damaged)
                && again.dice.below(again.one_in) == 0
            {
                let copied = Copied {
                    topic: topic.clone(),
                    key: record.key.to_vec(),
                    headers: record.headers.to_vec(),
                    value: record.value.to_vec(),
                    children: record.children,
                };
                let due = self.records + 1 + again.dice.below(again.within);
                again.due.insert((due, self.records), copied);
            }
            self.send_again(&mut sender, time);
        }
        sender.finish(PATIENCE).expect("all are durable");
    }

    fn send_again(&mut self, sender: &mut Sender, time: i64) {
        let Some(again) = &mut self.again else { return };
        while let Some(next) = again
            .due
            .first_entry()
            .filter(|next| next.key().0 <= self.records)
        {
            let copied = next.remove();
            let headers = header_pairs(&copied.headers);
            sender
                .send(&copied.topic, Some(&copied.key), &headers, &copied.value, time)
                .expect("the broker takes it");
            self.records += 1;
            self.events += u64::from(copied.children);
            self.sent_again += u64::from(copied.children);
        }
    }
}
