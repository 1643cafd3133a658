//! A scorer that counts: a change's score is the number of events that were learned before it, so whatever is learned
//! twice, or from a batch that came to nothing, shows.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use bumpalo::Bump;
use changegate_pipeline::log::TopicPartition;
use changegate_pipeline::part::Shard;
use changegate_pipeline::{ReadTo, Scorer};
use changegate_types::{ChangeEvent, RiskScore, Score, TimeMicros};

use crate::broker::Broker;
use crate::parts::{is_moody, is_risky};

/// Incarnation and next offset, by partition.
type Positions = BTreeMap<i32, (u32, i64)>;

/// What one process has learned.
#[derive(Debug, Default)]
pub(crate) struct Mind {
    events: u32,
    read: Positions,
    /// Where it began to read what no snapshot tells of.
    began: Positions,
    saved: (u32, Positions),
    /// It has learned from a batch that was dropped.
    pub(crate) spoilt: bool,
}

impl Mind {
    /// Takes a snapshot; all workers stand still.
    pub(crate) fn save(&mut self) {
        self.saved = (self.events, self.read.clone());
    }

    /// Back to the snapshot.
    pub(crate) fn go_back(&mut self) {
        (self.events, self.read) = self.saved.clone();
        for (partition, began) in &self.began {
            let read = self.read.entry(*partition).or_insert(*began);
            if read.0 < began.0 {
                *read = *began;
            }
        }
        self.spoilt = false;
    }
}

#[derive(Debug)]
pub(crate) struct FakeScorer {
    pub(crate) broker: Rc<RefCell<Broker>>,
    pub(crate) mind: Rc<RefCell<Mind>>,
    /// How often it was told that all of a partition is durable.
    pub(crate) durable: Rc<Cell<u32>>,
    /// What sets this process apart from others.
    pub(crate) temper: u64,
    pub(crate) shard: Shard,
}

impl Scorer for FakeScorer {
    fn score<'a>(
        &mut self,
        _: usize,
        _: &'a Bump,
        events: &[(&'a ChangeEvent<'a>, TimeMicros)],
        out: &mut Vec<Option<Score<'a>>>,
    ) {
        let mut mind = self.mind.borrow_mut();
        out.extend(events.iter().map(|(event, _)| {
            let content = u128::from(event.raw_len);
            let before = mind.events;
            let mood = (u64::from(before) + self.temper).is_multiple_of(2);
            let is_risky = is_risky(content) || is_moody(content) && mood;
            mind.events += 1;
            Some(Score {
                risk: RiskScore::new(if is_risky { 90.0 } else { 10.0 }),
                extrapolated: false,
                raw: before as f32,
                stratum: "all",
                learning: false,
                features: &[],
                reasons: &[],
            })
        }));
    }

    fn learn(&mut self, _: usize, _: &Bump, events: &[(&ChangeEvent<'_>, TimeMicros)]) {
        self.mind.borrow_mut().events += events.len() as u32;
    }

    fn shard(&mut self, _: &TopicPartition) -> Shard {
        self.shard.clone()
    }

    fn learn_from(&mut self, place: ReadTo<'_>) -> i64 {
        let mut mind = self.mind.borrow_mut();
        match mind.read.get(&place.partition) {
            Some((incarnation, next)) if *incarnation == place.incarnation => *next,
            _ => {
                let begin = (place.incarnation, place.next);
                mind.read.insert(place.partition, begin);
                mind.began.insert(place.partition, begin);
                place.next
            }
        }
    }

    /// What a snapshot may hold is committed.
    fn read_to(&mut self, place: ReadTo<'_>, durable: bool) {
        let mut mind = self.mind.borrow_mut();
        let read = mind
            .read
            .get_mut(&place.partition)
            .expect("it was asked where to begin");
        assert_eq!(read.0, place.incarnation, "of the life that is read");
        read.1 = read.1.max(place.next);
        mind.spoilt |= !durable;
        if !durable {
            return;
        }
        let broker = self.broker.borrow();
        // Of a group that was wiped the ledger alone knows how far it had come.
        let Some(committed) = broker.committed.get(&place.partition) else {
            return;
        };
        let committed = committed.offset;
        let open = broker.partitions[place.partition as usize]
            .iter()
            .find(|record| (committed..place.next).contains(&record.offset));
        assert!(
            open.is_none(),
            "{open:?} counts as durable and is not committed: {committed} is"
        );
        self.durable.set(self.durable.get() + 1);
    }
}
