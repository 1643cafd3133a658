use changegate_simulator::{LoadGenerator, Source, header_pairs};
use changegate_telemetry::{Clock as _, SystemClock};

use crate::{Config, PATIENCE, Site};

/// One record in so many is cut in half, so that dead letters are part of what is compared.
const DAMAGED_ONE_IN: u64 = 40;

/// Native events for the topics of a configuration, always the same ones. Topics of one source take turns.
pub struct Feed {
    load: LoadGenerator,
    /// Source, its topics.
    topics: Vec<(&'static str, Vec<String>)>,
    start_ms: i64,
    /// So far.
    pub records: u64,
    /// In them, so far.
    pub events: u64,
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
            records: 0,
            events: 0,
        }
    }

    /// Sends at least so many more events, and waits until all replicas have them.
    ///
    /// # Panics
    /// Where the broker does not take them.
    pub fn send(&mut self, site: &Site, events: u64) {
        let mut sender = site.sender();
        let until = self.events + events;
        while self.events < until {
            let time = self.start_ms + self.records as i64 * 200;
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
        }
        sender.finish(PATIENCE).expect("all are durable");
    }
}
