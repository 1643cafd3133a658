//! What one batch asks of the ledger after each answer. The simulation ends with a sweep for copies and so forgives an
//! insert that lands late; here it may not be left running at all.

use std::time::Duration;

use changegate_pipeline::WriteLimits;
use changegate_pipeline::batch::{Batch, NONE, RecordMark};
use changegate_pipeline::desk::{Answer, Ask};
use changegate_pipeline::ledger::{BatchId, Class, Error, Killed, Table};
use changegate_pipeline::log::TopicPartition;
use changegate_pipeline::part::{Part, Shard};
use changegate_pipeline::write::{Next, WriteJob};
use changegate_types::Digest;

const LATER: Duration = Duration::from_secs(3_600);

/// A job over one batch of `changes`, one row of four bytes per record, the last byte its attempt.
struct Bench {
    batch: Batch,
    parts: Vec<Part>,
    job: WriteJob,
    up: Duration,
}

impl Bench {
    fn new(rows: i64) -> Self {
        let mut batch = Batch::with_id(BatchId(7));
        let portion = batch.portion(202_611);
        for offset in 0..rows {
            batch.cover(0, offset, false);
            let portion = &mut batch.portions_mut()[portion];
            portion.records.push(RecordMark {
                part: 0,
                offset,
                raw_hash: Digest([offset as u8; 32]),
                replay: NONE,
            });
            portion
                .rows_mut(Table::Changes)
                .push(offset as u32, 0, NONE, |out| {
                    out.extend_from_slice(&[b'r', b'o', offset as u8, 1]);
                    out.len() - 1
                });
        }
        let partition = TopicPartition {
            topic: "t".into(),
            partition: 0,
        };
        let part = Part {
            next: rows,
            ..Part::new(partition, 0, Shard::forgetful())
        };
        Self {
            job: WriteJob::new(&batch, 0, WriteLimits::default()),
            batch,
            parts: vec![part],
            up: Duration::ZERO,
        }
    }

    fn next(&mut self) -> Next {
        // Past every wait.
        self.up += LATER;
        self.job.next(&mut self.batch, &self.parts, self.up)
    }

    fn answer(&mut self, answer: Answer) {
        self.job.answer(&mut self.batch, &self.parts, answer, self.up);
    }

    /// Expects an insert and answers it: `(token, query, rows sent)`.
    fn insert(&mut self, result: Result<(), Class>) -> (Digest, String, Vec<u8>) {
        let next = self.next();
        let Next::Ask(Ask::Insert(insert)) = next else {
            panic!("an insert is due, not {next:?}")
        };
        let sent = insert.bytes[insert.range.clone()].to_vec();
        self.answer(Answer::Inserted {
            bytes: insert.bytes,
            result: result.map_err(error),
        });
        (insert.token, insert.query_id.to_string(), sent)
    }

    fn kill(&mut self) {
        let next = self.next();
        assert!(
            matches!(next, Next::Ask(Ask::Kill(BatchId(7)))),
            "a kill is due, not {next:?}"
        );
        self.answer(Answer::Killed(Ok(Killed { queries: 1 })));
    }

    fn read_back(&mut self, offsets: &[i64]) {
        let next = self.next();
        let Next::Ask(Ask::ReadBack { batch, table, places }) = next else {
            panic!("a read-back is due, not {next:?}")
        };
        assert_eq!((batch, table), (BatchId(7), Table::Changes));
        assert_eq!(places.len(), 1, "all rows stand in one partition");
        let found = offsets.iter().map(|offset| (0, *offset, 0)).collect();
        self.answer(Answer::Found(Ok(found)));
    }

    fn done(&mut self) {
        let next = self.next();
        assert!(matches!(next, Next::Done), "nothing is due, not {next:?}");
    }
}

fn error(class: Class) -> Error {
    Error {
        class,
        message: "told by the test".into(),
        trouble: "no_answer",
    }
}

#[test]
fn a_lost_answer_is_cleared_up_even_when_the_second_send_is_acknowledged() {
    let mut bench = Bench::new(3);
    let first = bench.insert(Err(Class::Unknown));
    let second = bench.insert(Ok(()));
    assert_eq!(
        (first.0, &first.2),
        (second.0, &second.2),
        "a blind resend repeats token and bytes"
    );
    assert_ne!(first.1, second.1, "every send has a query id of its own");
    // The first send may still run: it is ended before anything is committed.
    bench.kill();
    bench.read_back(&[0, 1, 2]);
    bench.done();
    assert_eq!(bench.job.stats.hollow, 0);
}

#[test]
fn only_what_a_read_back_misses_is_written_again_as_a_further_attempt() {
    let mut bench = Bench::new(3);
    bench.insert(Err(Class::Unknown));
    bench.insert(Err(Class::Unknown));
    bench.kill();
    bench.read_back(&[0, 2]);
    let (_, _, sent) = bench.insert(Ok(()));
    assert_eq!(sent, [b'r', b'o', 1, 2], "row 1 alone, stamped with attempt 2");
    // Once in doubt, in doubt to the end: the second attempt is looked for as well.
    bench.kill();
    bench.read_back(&[1]);
    bench.done();
    assert_eq!(bench.job.stats.missing, 1);
}

#[test]
fn an_acknowledgement_without_rows_takes_another_token() {
    let mut bench = Bench::new(2);
    bench.insert(Err(Class::Unknown));
    let (token, ..) = bench.insert(Ok(()));
    bench.kill();
    bench.read_back(&[]);
    let (other, _, sent) = bench.insert(Ok(()));
    assert_ne!(token, other, "the server takes the old token for done");
    assert_eq!(sent.len(), 8);
    bench.kill();
    bench.read_back(&[0, 1]);
    bench.done();
    assert_eq!(bench.job.stats.hollow, 1);
}

#[test]
fn a_ledger_that_is_away_changes_nothing_of_what_is_sent() {
    let mut bench = Bench::new(2);
    let first = bench.insert(Err(Class::Unavailable));
    assert!(bench.job.trouble().is_some(), "health hears of it");
    // It certainly did nothing, so no kill is due after the acknowledgement.
    let second = bench.insert(Ok(()));
    assert_eq!((first.0, first.2), (second.0, second.2));
    bench.done();
    assert!(bench.job.trouble().is_none());
}

#[test]
fn halving_finds_the_one_refused_row() {
    let mut bench = Bench::new(4);
    let mut sends = 0;
    loop {
        let next = bench.next();
        let insert = match next {
            Next::Ask(Ask::Insert(insert)) => insert,
            Next::Done => break,
            other => panic!("neither an insert nor the end: {other:?}"),
        };
        sends += 1;
        let bad = insert.bytes[insert.range.clone()]
            .chunks_exact(4)
            .any(|row| row[2] == 2);
        bench.answer(Answer::Inserted {
            bytes: insert.bytes,
            result: if bad { Err(error(Class::Refused)) } else { Ok(()) },
        });
    }
    let refused: Vec<_> = bench
        .job
        .refused()
        .iter()
        .map(|one| (one.part, one.offset, one.child))
        .collect();
    assert_eq!(refused, [(0, 2, 0)]);
    assert_eq!(sends, 5, "4 rows, 2 and 2, 1 and 1");
}
