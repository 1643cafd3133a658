//! Which of several rows of one position is shown.

use changegate_approval::Ask;
use changegate_pipeline::Ledger as _;
use changegate_pipeline::ledger::{BatchId, Copies};

use crate::rows::{ALL, Block, context, event};
use crate::server::Server;

/// Which of the rows of a position is shown, by offset.
const SHOWN: &str = "SELECT offset, batch_id, approval FROM v_changes ORDER BY offset, batch_id";

pub(crate) fn copies_are_shown_once(server: &Server) {
    let ledger = server.ledger("copies");
    // Three writes of offset 1: the largest stamp twice (identical), and an earlier one that lands between them.
    for (batch, stamp) in [(1, 6), (2, 5), (3, 6)] {
        let mut block = Block::default();
        block.whole(&context(1, stamp, 0), &event(), Some(1.0));
        block.send(&ledger, batch, 0);
    }
    let admin = server.admin("copies");
    let counts = "SELECT (SELECT count() FROM changes), (SELECT count() FROM v_changes), (SELECT any(batch_id) FROM v_changes), \
         (SELECT count() FROM v_raw_records), (SELECT any(batch_id) FROM v_raw_records), (SELECT read FROM v_conservation)";
    let found = ledger.settle_copies(Some(&ALL)).expect("checked");
    assert_eq!(
        found,
        Copies {
            late_inserts: 2,
            identical: 2
        }
    );
    assert_eq!(server.ask(&admin, counts).expect("asked"), "3\t1\t6\t1\t6\t1\n");
    assert_eq!(ledger.settle_copies(None).expect("checked"), Copies::default());
    let named = "SELECT DISTINCT offset, child FROM superseded ORDER BY child";
    assert_eq!(server.ask(&admin, named).expect("asked"), "1\t-1\n1\t0\n");
    assert_eq!(
        ledger.known_superseded(&ALL).expect("asked"),
        [],
        "none of them is a redelivery"
    );
    // One more lands after the check.
    let mut late = Block::default();
    late.whole(&context(1, 4, 0), &event(), Some(1.0));
    late.send(&ledger, 4, 0);
    assert_eq!(ledger.settle_copies(None).expect("checked").late_inserts, 2);
    assert_eq!(server.ask(&admin, counts).expect("asked"), "4\t1\t6\t1\t6\t1\n");
}

/// A batch that died asks where its successor does not, and the other way round: the successor's requests are out.
pub(crate) fn a_late_insert_asks_nobody(server: &Server) {
    let ledger = server.ledger("late");
    let mut successor = Block::default();
    successor.whole(&context(1, 6, 0), &event(), Some(2.0));
    successor.whole(&context(2, 6, 0), &event(), Some(90.0));
    successor.reject(&context(3, 6, 0), 0);
    successor.send(&ledger, 6, 0);
    let mut late = Block::default();
    late.change(&context(1, 5, 0), 0, &event(), Some(90.0));
    late.change(&context(2, 5, 0), 0, &event(), Some(2.0));
    late.reject(&context(3, 5, 0), 0);
    late.send(&ledger, 5, 0);
    // Recovery takes the row that stays for the one that is there, also before the check.
    let known = ledger.known_changes(&ALL).expect("asked");
    let rows: Vec<_> = known
        .iter()
        .map(|row| (row.offset, row.stamp.batch.0, row.ask))
        .collect();
    assert_eq!(rows, [(1, 6, Ask::None), (2, 6, Ask::Asked)]);
    let rejects = ledger.known_rejects(&ALL).expect("asked");
    assert_eq!(rejects[0].stamp.batch, BatchId(6));
    let records = ledger.known_records(&ALL).expect("asked");
    assert!(records.iter().all(|record| record.stamp.batch == BatchId(6)));
    let asked = |decisions| {
        let rows = ledger.requests(&ALL, decisions).expect("asked");
        rows.into_iter()
            .map(|(_, row)| (row.offset, row.risk))
            .collect::<Vec<_>>()
    };
    assert_eq!(asked(false), [(2, Some(90.0))]);
    assert_eq!(asked(true), [(1, Some(2.0)), (2, Some(90.0))]);
    let found = ledger.settle_copies(Some(&ALL)).expect("checked");
    assert_eq!((found.late_inserts, found.identical), (3, 0));
    let admin = server.admin("late");
    assert_eq!(
        server.ask(&admin, SHOWN).expect("asked"),
        "1\t6\tnone\n2\t6\tasked\n"
    );
    let rejected = "SELECT offset, batch_id FROM v_rejected";
    assert_eq!(server.ask(&admin, rejected).expect("asked"), "3\t6\n");
}

/// Earlier versions kept the smallest. What they set aside stays so, and where both rows of a position are set aside one
/// is shown again.
pub(crate) fn no_position_loses_all_its_rows(server: &Server) {
    let ledger = server.ledger("versions");
    for batch in [5, 6] {
        let mut block = Block::default();
        for offset in [1, 2] {
            block.change(&context(offset, batch, 0), 0, &event(), Some(1.0));
        }
        block.send(&ledger, batch, 0);
    }
    let mut before = Block::default();
    for (offset, batch, of) in [(1, 6, 5), (2, 6, 5), (2, 5, 6)] {
        before.late(&context(offset, batch, 0), &context(offset, of, 0));
    }
    before.send(&ledger, 7, 0);
    let admin = server.admin("versions");
    assert_eq!(server.ask(&admin, SHOWN).expect("asked"), "1\t5\tnone\n");
    let found = ledger.settle_copies(None).expect("checked");
    assert_eq!((found.late_inserts, found.identical), (0, 1));
    assert_eq!(
        server.ask(&admin, SHOWN).expect("asked"),
        "1\t5\tnone\n2\t6\tnone\n"
    );
    assert_eq!(ledger.settle_copies(None).expect("checked"), Copies::default());
    // What is shown again makes way for nothing.
    let mut late = Block::default();
    for offset in [1, 2] {
        late.change(&context(offset, 4, 0), 0, &event(), Some(1.0));
    }
    late.send(&ledger, 4, 0);
    assert_eq!(ledger.settle_copies(None).expect("checked").late_inserts, 2);
    assert_eq!(
        server.ask(&admin, SHOWN).expect("asked"),
        "1\t5\tnone\n2\t6\tnone\n"
    );
}

/// Rows that differ from a copy in one thing only are no copies of it, whichever thing that is.
pub(crate) fn a_copy_hides_only_itself(server: &Server) {
    server.migrate("keys");
    let admin = server.admin("keys");
    let columns = "topic, incarnation, partition, offset, child, batch_id, attempt";
    let rows = [
        "('a', 1, 2, 3, 4, 5, 6)",
        "('b', 1, 2, 3, 4, 5, 6)",
        "('a', 0, 2, 3, 4, 5, 6)",
        "('a', 1, 0, 3, 4, 5, 6)",
        "('a', 1, 2, 4, 4, 5, 6)",
        "('a', 1, 2, 3, 5, 5, 6)",
        "('a', 1, 2, 3, 4, 18446744073709551615, 6)",
        "('a', 1, 2, 3, 4, 5, 255)",
    ];
    for statement in [
        format!("INSERT INTO keys.changes ({columns}) VALUES {}", rows.join(", ")),
        format!("INSERT INTO keys.superseded ({columns}, why) VALUES ('a', 1, 2, 3, 4, 5, 6, 'late_insert')"),
    ] {
        server.wait(admin.execute(&statement)).expect("inserted");
    }
    let shown = format!(
        "SELECT count(), countIf(({columns}) = {}) FROM v_changes",
        rows[0]
    );
    assert_eq!(server.ask(&admin, &shown).expect("asked"), "7\t0\n");
}

/// A batch that died wrote a redelivery's row after its successor had written and named its own.
pub(crate) fn every_row_of_a_redelivery_is_set_aside(server: &Server) {
    let ledger = server.ledger("redeliveries");
    let mut of_batch = Block::default();
    of_batch.whole(&context(1, 4, 0), &event(), Some(1.0));
    of_batch.send(&ledger, 4, 0);
    let mut of_batch = Block::default();
    of_batch.whole(&context(2, 6, 0), &event(), Some(1.0));
    of_batch.copy(&context(2, 6, 0), &context(1, 4, 0));
    of_batch.send(&ledger, 6, 0);
    // Two that name each other, each in the order in which its process read them: one of them must stay, and of the
    // first pair each has a row that says nothing.
    for (batch, named) in [(6, [(3, 4), (6, 5)]), (7, [(4, 3), (5, 6)])] {
        let mut of_batch = Block::default();
        for (own, other) in named {
            of_batch.change(&context(own, batch, 0), 0, &event(), Some(1.0));
            of_batch.copy(&context(own, batch, 0), &context(other, batch, 0));
        }
        let first = if batch == 6 { 4 } else { 3 };
        of_batch.change(&context(first, batch, 0), 0, &event(), Some(1.0));
        of_batch.send(&ledger, batch + 2, 0);
    }
    let mut late = Block::default();
    late.change(&context(2, 5, 0), 0, &event(), Some(1.0));
    late.send(&ledger, 5, 0);
    let admin = server.admin("redeliveries");
    let shown = "SELECT offset, batch_id FROM v_changes ORDER BY offset, batch_id";
    assert_eq!(
        server.ask(&admin, shown).expect("asked"),
        "1\t4\n2\t5\n3\t7\n4\t6\n"
    );
    let found = ledger.settle_copies(Some(&ALL)).expect("checked");
    assert_eq!(
        found,
        Copies {
            late_inserts: 2,
            identical: 1
        }
    );
    // Batch 7 called 4 a copy of 3, and 5 one of 6, of which nothing else is there.
    assert_eq!(server.ask(&admin, shown).expect("asked"), "1\t4\n3\t7\n6\t6\n");
    let named = "SELECT offset, batch_id, why, of_offset FROM superseded ORDER BY offset, batch_id, why";
    let rows = [
        "2\t5\tredelivery\t1",
        "2\t6\tredelivery\t1",
        "3\t6\tredelivery\t4",
        "4\t6\tredelivery\t3",
        "4\t7\tredelivery\t3",
        "5\t7\tredelivery\t6",
        "6\t6\tidentical\t6",
        "6\t6\tredelivery\t5",
    ];
    let mut notes: Vec<String> = server
        .ask(&admin, named)
        .expect("asked")
        .lines()
        .map(str::to_owned)
        .collect();
    notes.sort();
    assert_eq!(notes, rows);
    let known = ledger.known_superseded(&ALL).expect("asked");
    assert_eq!(known, [2, 3, 4, 5, 6].map(|offset| (offset, 0)));
    assert_eq!(ledger.settle_copies(None).expect("checked"), Copies::default());
}
