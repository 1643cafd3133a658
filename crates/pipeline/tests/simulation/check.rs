//! What must hold in the end, whatever happened.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use changegate_approval::{StoredChange, request_id};
use changegate_pipeline::ledger::{Stamp, Table};
use changegate_pipeline::outgoing::{Kind, Outgoing, header};
use changegate_pipeline::rows::Why;

use crate::parts::{is_moody, is_risky, spread};
use crate::rows::{Place, Row};
use crate::world::World;

impl World {
    /// What a reader of the views sees of a table.
    pub(crate) fn view(&self, table: Table) -> BTreeMap<(i32, i64, i32), Row> {
        let state = self.ledger.state.lock().unwrap();
        let mut named: BTreeMap<(Place, Stamp), Vec<Why>> = BTreeMap::new();
        for note in &state.tables[Table::Superseded as usize] {
            named
                .entry((note.place(), note.stamp))
                .or_default()
                .push(note.why());
        }
        let (mut seen, mut once) = (BTreeMap::new(), BTreeMap::new());
        let rows = state.tables[table as usize].iter();
        for row in rows.filter(|row| row.incarnation == self.lives[row.partition as usize]) {
            let key = (row.partition, row.offset, row.child);
            match named.get(&(row.place(), row.stamp)) {
                None => assert!(seen.insert(key, row.clone()).is_none(), "{key:?} is seen twice"),
                Some(whys) if whys.contains(&Why::Identical) => drop(once.insert(key, row.clone())),
                Some(_) => {}
            }
        }
        for (key, row) in once {
            assert!(seen.insert(key, row).is_none(), "{key:?} is seen twice");
        }
        seen
    }

    /// Whether a row says that it is a redelivery, of an event before it in its partition: whoever has the partition has read
    /// that one, too. Of other partitions not everybody knows.
    fn hides_behind(&self, row: &Row, all: &[Row]) -> bool {
        let is_before = |other: &&Row| {
            let same_event = (other.uid, other.content) == (row.uid, row.content);
            let same_log = (other.incarnation, other.partition) == (row.incarnation, row.partition);
            same_event && same_log && other.offset < row.offset && !other.redelivery
        };
        row.redelivery && self.learn_back > 0 && all.iter().any(|other| is_before(&other))
    }

    pub(crate) fn check(&self) {
        let (changes, rejected) = (self.view(Table::Changes), self.view(Table::Rejected));
        let records = self.view(Table::RawRecords);
        let sent = self.sent.borrow();
        let dead = |partition: i32, offset: i64, child: usize| {
            sent.iter()
                .filter(|message| message.kind == Kind::DeadLetter && message.topic == "dead letters")
                .any(|message| {
                    let of = |name: &str| {
                        let found = message.headers.iter().find(|(own, _)| own == name);
                        String::from_utf8_lossy(&found.unwrap().1).into_owned()
                    };
                    of(header::PARTITION) == partition.to_string()
                        && of(header::OFFSET) == offset.to_string()
                        && of(header::CHILD) == child.to_string()
                })
        };
        let (mut shown, mut said) = (BTreeSet::new(), BTreeSet::new());
        let state = self.ledger.state.lock().unwrap();
        let all_changes = &state.tables[Table::Changes as usize];
        let mut rows_due = 0;
        for (partition, stored) in (0..).zip(&self.broker.borrow().partitions) {
            for record in stored {
                let text = String::from_utf8(record.value.clone().unwrap_or_default()).unwrap();
                let offset = record.offset;
                let mut counts = [0; 3];
                for (child, what) in text.split_whitespace().enumerate() {
                    let at = (partition, offset, child as i32);
                    let (row, reject) = (changes.get(&at), rejected.get(&at));
                    match what.as_bytes()[0] {
                        b'c' => {
                            counts[0] += 1;
                            rows_due += 1;
                            let (uid, content) = what[1..].split_once(':').unwrap();
                            let (uid, content): (u128, u128) =
                                (uid.parse().unwrap(), content.parse().unwrap());
                            said.insert((uid, content));
                            let written = all_changes.iter().find(|row| {
                                row.incarnation == self.lives[partition as usize]
                                    && (row.partition, row.offset, row.child) == at
                            });
                            let written = written.unwrap_or_else(|| panic!("{at:?} is missing"));
                            assert_eq!(
                                (written.uid, written.content),
                                (spread(uid).0, spread(content).0),
                                "altered"
                            );
                            if let Some(row) = row {
                                assert!(
                                    !self.hides_behind(row, all_changes),
                                    "{at:?} is a redelivery and seen"
                                );
                                shown.insert((uid, content));
                            }
                            assert!(reject.is_none(), "{at:?} is written and rejected");
                        }
                        b'b' | b'r' => {
                            counts[2] += 1;
                            assert!(row.is_none(), "{at:?} is rejected and written");
                            assert!(reject.is_some(), "{at:?} is missing in rejected");
                            assert!(dead(partition, offset, child), "no dead letter of {at:?}");
                        }
                        _ => {
                            counts[1] += 1;
                            assert!(row.is_none() && reject.is_none(), "{at:?} is skipped and written");
                        }
                    }
                }
                let row = records.get(&(partition, offset, -1));
                let row = row.unwrap_or_else(|| panic!("record {partition}/{offset} is missing"));
                assert_eq!(row.counts, counts, "outcomes of {partition}/{offset}");
            }
        }
        assert!(changes.len() <= rows_due, "rows that nothing asked for");
        let hidden: Vec<_> = said.difference(&shown).collect();
        assert!(hidden.is_empty(), "no row of these events is seen: {hidden:?}");
        check_requests(&sent, &said);
        check_decisions(&sent, &said);
        // What may be shown of the others, docs/delivery.md says.
        let named = changes
            .values()
            .filter(|row| !state.unnamed.contains(&row.place()));
        let shown = named.map(|row| {
            let key = (
                row.incarnation,
                row.partition,
                row.offset,
                row.child as u32,
                row.stamp.batch.0,
            );
            &state.stored[&key]
        });
        check_shown(&sent, shown);
    }
}

/// Whatever a row that is shown says was asked and decided, it has sent itself: a row that came to nothing asks nobody.
fn check_shown<'s>(sent: &[Outgoing], shown: impl Iterator<Item = &'s StoredChange>) {
    let said: HashSet<(Kind, &[u8])> = sent
        .iter()
        .map(|message| (message.kind, message.value.as_deref().unwrap_or_default()))
        .collect();
    for row in shown {
        let at = (row.partition, row.offset, row.child);
        if let Some(request) = row.request() {
            assert!(
                said.contains(&(Kind::Request, &request.body)),
                "{at:?} asks, and nobody was asked"
            );
        }
        if let Some(decision) = row.published_decision() {
            assert!(
                said.contains(&(Kind::Decision, &decision.body)),
                "the decision on {at:?} was never told"
            );
        }
    }
}

/// Every event has its decision published, and repeats from one row are equal byte for byte.
fn check_decisions(sent: &[Outgoing], said: &BTreeSet<(u128, u128)>) {
    let member = |body: &str, name: &str, end: &str| {
        let from = body.find(name).unwrap() + name.len();
        let length = body[from..].find(end).unwrap();
        body[from..from + length].to_owned()
    };
    let (mut bodies, mut decided) = (BTreeMap::new(), BTreeSet::new());
    for message in sent.iter().filter(|message| message.kind == Kind::Decision) {
        let body = std::str::from_utf8(message.value.as_deref().unwrap()).unwrap();
        let event = member(body, "\"event_uid\":\"", "\"");
        decided.insert((event, member(body, "\"content_hash\":\"", "\"")));
        // A row is named by its place and by when it was decided: copies of a place may have been decided twice.
        let row = member(body, "\"row\":", "\"kafka_time");
        let time = member(body, "\"decision_time\":", ",");
        let first = bodies.entry((row, time)).or_insert(message);
        assert_eq!(*first, message, "a repeat from one row differs");
    }
    for (uid, content) in said {
        let event = (spread(*uid).to_string(), spread(*content).to_string());
        assert!(decided.contains(&event), "no decision on {uid}:{content}");
    }
}

/// Every risky change has its request, and repeats from one row are equal byte for byte.
fn check_requests(sent: &[Outgoing], said: &BTreeSet<(u128, u128)>) {
    let requests = || sent.iter().filter(|message| message.kind == Kind::Request);
    let keys: BTreeSet<&[u8]> = requests().filter_map(|message| message.key.as_deref()).collect();
    for (uid, content) in said.iter().filter(|(_, content)| is_risky(*content)) {
        let id = request_id("tenant", spread(uid * 1_000 + content)).to_string();
        assert!(keys.contains(id.as_bytes()), "no request of {uid}:{content}");
    }
    let mut bodies: BTreeMap<String, &Outgoing> = BTreeMap::new();
    for message in requests() {
        // A row is named by its place and by when it was decided: copies of a place may have been decided twice.
        let body = String::from_utf8(message.value.clone().unwrap()).unwrap();
        let row = format!(
            "{}{}",
            &body[body.find("\"row\":").unwrap()..],
            &body[..body.find("\"expires").unwrap()]
        );
        let first = bodies.entry(row).or_insert(message);
        assert_eq!(*first, message, "a repeat from one row differs");
    }
    let may_ask = said
        .iter()
        .filter(|(_, content)| is_risky(*content) || is_moody(*content))
        .map(|(uid, content)| request_id("tenant", spread(uid * 1_000 + content)).to_string());
    let may_ask: BTreeSet<String> = may_ask.collect();
    let nobodys = keys
        .iter()
        .find(|key| !may_ask.contains(&*String::from_utf8_lossy(key)));
    assert!(nobodys.is_none(), "a request that nothing asked for");
}
