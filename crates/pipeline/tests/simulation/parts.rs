//! The other ends of a worker: reader, outbox, desk, clock.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use bumpalo::Bump;
use changegate_normalize::{Child, NormalizedRecord};
use changegate_pipeline::desk::{Answer, Ask, Desk, InsertAsk, execute};
use changegate_pipeline::outgoing::{Outbox, Outgoing, SendError};
use changegate_pipeline::time_order::InTimeOrder;
use changegate_pipeline::{Blind, Clock, Normalize, Now, Ports};
use changegate_types::{ChangeEvent, Digest, Keyed128, RawRecord, Reject, RejectCode, SkipReason};

use crate::broker::FakeLog;
use crate::ledger::{FakeEncoder, FakeLedger};
use crate::mind::FakeScorer;
use crate::random::Random;

/// A record's value is a list of children: `c<uid>:<content>` a change, `b…` one that the ledger refuses, `l…` one to
/// learn from, `s` a skip, `r` a reject.
#[derive(Debug)]
pub(crate) struct FakeReader;

pub(crate) fn digest(value: &[u8]) -> Digest {
    use sha2::Digest as _;
    Digest(sha2::Sha256::digest(value).into())
}

pub(crate) fn spread(id: u128) -> Keyed128 {
    Keyed128((id + 1).wrapping_mul(0xd134_2543_de82_ef95_9e37_79b9_7f4a_7c15))
}

/// A change with this content is risky.
pub(crate) fn is_risky(content: u128) -> bool {
    content.is_multiple_of(4)
}

/// A change with this content is risky or not by what was learned before it, and in one process not as in another.
pub(crate) fn is_moody(content: u128) -> bool {
    content % 4 == 1
}

impl Normalize for FakeReader {
    fn record<'a>(&self, arena: &'a Bump, record: &RawRecord<'a>) -> NormalizedRecord<'a> {
        let value = record.value.unwrap_or_default();
        let text = std::str::from_utf8(value).unwrap();
        let children = text.split_whitespace().map(|child| match child.as_bytes()[0] {
            b's' => Child::Skip(SkipReason::NotAudit),
            b'r' => Child::Reject(Reject {
                code: RejectCode::NotJson,
                reason: "bad",
                at_byte: 0,
            }),
            kind => {
                let (uid, content) = child[1..].split_once(':').unwrap();
                let content: u128 = content.parse().unwrap();
                let event = arena.alloc(ChangeEvent {
                    event_uid: spread(uid.parse().unwrap()),
                    native_uid: if kind == b'b' { "bad" } else { "good" },
                    content_hash: spread(content),
                    change_uid: spread(uid.parse::<u128>().unwrap() * 1_000 + content),
                    tenant_uid: "tenant",
                    source: "test",
                    event_time: record.kafka_time,
                    is_change: true,
                    severity: Default::default(),
                    raw_len: content as u32,
                    ..ChangeEvent::default()
                });
                if kind == b'l' {
                    Child::Learn(event)
                } else {
                    Child::Change(event)
                }
            }
        });
        let children: Vec<Child<'a>> = children.collect();
        NormalizedRecord {
            raw_hash: digest(value),
            stored: value,
            stored_hash: digest(value),
            stored_encoding: "",
            secrets_masked: 0,
            children: arena.alloc_slice_fill_iter(children),
            origin: None,
        }
    }
}

/// Acknowledges some time; now and then fails, with or without having sent.
#[derive(Debug)]
pub(crate) struct FakeOutbox {
    pub(crate) sent: Rc<RefCell<Vec<Outgoing>>>,
    answers: VecDeque<(u64, Result<(), SendError>)>,
    random: Random,
}

impl FakeOutbox {
    pub(crate) fn new(sent: &Rc<RefCell<Vec<Outgoing>>>, random: Random) -> Self {
        Self {
            sent: Rc::clone(sent),
            answers: VecDeque::new(),
            random,
        }
    }
}

impl Outbox for FakeOutbox {
    fn send(&mut self, message: &Outgoing, tag: u64) -> Result<bool, SendError> {
        let dice = self.random.below(100);
        if dice < 5 {
            return Ok(false);
        }
        if dice < 10 {
            self.answers
                .push_back((tag, Err(SendError::Again("not sent".into()))));
            return Ok(true);
        }
        self.sent.borrow_mut().push(message.clone());
        let result = if dice < 13 {
            Err(SendError::Again("no answer".into()))
        } else {
            Ok(())
        };
        self.answers.push_back((tag, result));
        Ok(true)
    }

    fn answer(&mut self) -> Option<(u64, Result<(), SendError>)> {
        if self.random.chance(30) {
            None
        } else {
            self.answers.pop_front()
        }
    }
}

/// Asks the ledger at once or later.
#[derive(Debug)]
pub(crate) struct FakeDesk {
    ledger: FakeLedger,
    ask: Option<Ask>,
    answer: Option<Answer>,
    random: Random,
    clock: FakeClock,
    fenced_at: Rc<Cell<Duration>>,
}

/// The group's session timeout.
pub(crate) const SESSION: Duration = Duration::from_secs(6);

impl FakeDesk {
    pub(crate) fn new(ledger: &FakeLedger, log: &FakeLog, clock: &FakeClock, random: Random) -> Self {
        Self {
            clock: clock.clone(),
            fenced_at: Rc::clone(&log.fenced_at),
            ledger: ledger.clone(),
            ask: None,
            answer: None,
            random,
        }
    }

    pub(crate) fn is_inserting(&self) -> bool {
        matches!(self.ask, Some(Ask::Insert(_)))
    }

    /// The insert that was under way when the process died, if one was.
    pub(crate) fn take_insert(&mut self) -> Option<InsertAsk> {
        match self.ask.take()? {
            Ask::Insert(insert) => Some(insert),
            _ => None,
        }
    }
}

impl Desk for FakeDesk {
    fn submit(&mut self, ask: Ask) {
        assert!(!self.busy(), "one question at a time");
        if matches!(ask, Ask::Insert(_)) {
            // An older fence may be a dead one's. The rows would be found to be second copies, so nothing would be wrong
            // in the end, but for the time until the next check readers would see them twice.
            let age = self.clock.now().up.saturating_sub(self.fenced_at.get());
            assert!(age < SESSION / 2, "rows are sent under a fence of {age:?} ago");
        }
        self.ask = Some(ask);
    }

    fn answer(&mut self) -> Option<Answer> {
        if self.random.chance(40) {
            return None;
        }
        if let Some(ask) = self.ask.take() {
            self.answer = Some(execute(&self.ledger, ask));
            if self.random.chance(50) {
                return None;
            }
        }
        self.answer.take()
    }

    fn busy(&self) -> bool {
        self.ask.is_some() || self.answer.is_some()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct FakeClock(pub(crate) Rc<RefCell<Now>>);

impl FakeClock {
    pub(crate) fn pass(&self, time: Duration) {
        let mut now = self.0.borrow_mut();
        now.up += time;
        now.wall.0 += time.as_micros() as i64;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Now {
        *self.0.borrow()
    }
}

/// A worker of fakes.
#[derive(Debug)]
pub(crate) enum Fakes {}

impl Ports for Fakes {
    type Log = InTimeOrder<FakeLog, FakeClock>;
    type Ledger = FakeLedger;
    type Desk = SharedDesk;
    type Outbox = FakeOutbox;
    type Clock = FakeClock;
    type Observer = Blind;
    type Normalizer = FakeReader;
    type Scorer = FakeScorer;
    type Encoder = FakeEncoder;
}

/// The desk, also in the hands of the scheduler, which looks into it when it kills the worker.
#[derive(Clone, Debug)]
pub(crate) struct SharedDesk(pub(crate) Rc<RefCell<FakeDesk>>);

impl Desk for SharedDesk {
    fn submit(&mut self, ask: Ask) {
        self.0.borrow_mut().submit(ask);
    }
    fn answer(&mut self) -> Option<Answer> {
        self.0.borrow_mut().answer()
    }
    fn busy(&self) -> bool {
        self.0.borrow().busy()
    }
}
