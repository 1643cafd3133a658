use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use changegate_clickhouse::{RowBinary, Trouble, migrate};
use changegate_pipeline::ledger::{
    BatchId, Class, Furthest, Insert, Operation, Range, Span, Stamp, Table, Tail,
};
use changegate_pipeline::rows::{Outcomes, SupersededRow, Why};
use changegate_pipeline::{Encoder as _, Ledger as _};
use changegate_types::{Digest, Position, RejectCode, SkipReason, TimeMicros};

use crate::rows::{ALL, Block, CHILD, RAW, TIME, TOPIC, context, event, insert};
use crate::server::Server;

pub(crate) fn migrations_run_twice_and_fit_the_rows(server: &Server) {
    assert_eq!(
        server.migrate("migrations").applied.len(),
        migrate::MIGRATIONS.len()
    );
    let second = server.migrate("migrations");
    assert_eq!(
        (second.applied.len(), second.present),
        (0, migrate::MIGRATIONS.len())
    );
    let admin = server.admin("migrations");
    for table in changegate_clickhouse::Table::ALL {
        let sql = format!(
            "SELECT name, type FROM system.columns WHERE database = 'migrations' AND table = '{}' ORDER BY position",
            table.name()
        );
        let columns = table.columns().iter();
        let columns: String = columns.map(|(name, ty)| format!("{name}\t{ty}\n")).collect();
        let found = server.ask(&admin, &sql).expect("asked").replace("\\'", "'");
        assert_eq!(found, columns, "{}", table.name());
        let sql = format!(
            "SELECT sorting_key FROM system.tables WHERE database = 'migrations' AND name = '{}'",
            table.name()
        );
        let found = server.ask(&admin, &sql).expect("asked");
        let keys: Vec<String> = table.sorted_by().iter().map(|key| key.expression()).collect();
        assert!(found.starts_with(&keys.join(", ")), "{found}");
    }
    let hour = changegate_clickhouse::SortKey::HourOf("time").expression();
    let sql = format!(
        "SELECT {hour} FROM (SELECT arrayJoin([-7200, -3601, -3599, -1, 0, 3599, 3600]) AS second, \
         fromUnixTimestamp64Micro(second * 1000000, 'UTC') AS time) ORDER BY second"
    );
    let hours = server.ask(&admin, &sql).expect("asked");
    assert_eq!(
        hours, "-2\n-1\n0\n0\n0\n0\n1\n",
        "towards zero, as rows are sorted"
    );
    assert_eq!(
        server
            .ask(&admin, "SELECT kind, who FROM v_operations")
            .expect("asked"),
        "migration\ttest\n"
    );
}

/// One file, looked through where a merged part has an index.
pub(crate) fn a_fresh_part_is_small(server: &Server) {
    let ledger = server.ledger("parts");
    let admin = server.admin("parts");
    // As at every start on a partition.
    ledger.tail("raw", 0).expect("asked");
    for batch in [1, 2] {
        let (mut rows, mut ends) = (Vec::new(), Vec::new());
        for offset in [3, 1, 2, 0] {
            let mut block = Block::default();
            block.change(&context(offset, batch, 1), 0, &event(), Some(5.0));
            rows.extend_from_slice(&block.changes);
            ends.push(rows.len() as u32);
        }
        let sent = Insert {
            ends: &ends,
            count: 4,
            ..insert(Table::Changes, &rows, batch, 0)
        };
        ledger.insert(&sent).expect("the block is taken");
    }
    let parts = "SELECT part_type, count(), sum(rows) FROM system.parts \
        WHERE active AND database = 'parts' AND table = 'changes' GROUP BY part_type";
    assert_eq!(server.ask(&admin, parts).expect("asked"), "Compact\t2\t8\n");
    let indexes = "SELECT countIf(data_compressed_bytes > 0) FROM system.data_skipping_indices \
        WHERE database = 'parts' AND table = 'changes' AND type = 'bloom_filter'";
    assert_eq!(server.ask(&admin, indexes).expect("asked"), "0\n");
    let merge = "OPTIMIZE TABLE parts.changes FINAL";
    server.wait(admin.execute(merge)).expect("merged");
    assert_eq!(server.ask(&admin, indexes).expect("asked"), "4\n");
}

pub(crate) fn an_edited_migration_is_refused(server: &Server) {
    server.migrate("edited");
    let admin = server.admin("edited");
    let edit = "ALTER TABLE edited.schema_migrations UPDATE sha256 = 'other' WHERE version = 1 SETTINGS mutations_sync = 1";
    server.wait(admin.execute(edit)).expect("edited");
    let again = server.wait(migrate::run(
        &admin,
        &migrate::Form::Single,
        TimeMicros(0),
        "test",
    ));
    let error = again.expect_err("history changed");
    assert!(error.to_string().contains("history must not change"), "{error}");
}

pub(crate) fn every_column_comes_back_as_it_was_written(server: &Server) {
    let ledger = server.ledger("columns");
    let mut block = Block::default();
    block.whole(&context(5, 9, 0), &event(), Some(75.5));
    block.whole(&context(6, 9, 0), &event(), None);
    block.send(&ledger, 9, 0);
    let admin = server.admin("columns");
    let row = server
        .ask(&admin, "SELECT * FROM v_changes WHERE offset = 5 FORMAT Vertical")
        .expect("asked");
    let fields: std::collections::BTreeMap<&str, &str> = row
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(k, v)| (k.trim(), v.trim()))
        .collect();
    for (name, value) in [
        ("topic", TOPIC),
        ("partition", "3"),
        ("batch_id", "9"),
        ("kafka_time", "2026-08-15 14:00:00.000000"),
        ("event_uid", "00000000000000000000000000000001"),
        ("logged_time", "2026-08-15 14:00:00.000005"),
        ("type_uid", "600304"),
        ("category_uid", "6"),
        ("actor_is_mfa", "false"),
        ("actor_delegated_from", "['anna@example.com','root']"),
        ("src_ip", "::ffff:203.0.113.9"),
        ("resource_types", "['AWS::CloudTrail::Trail']"),
        ("action_verb", "delete"),
        ("privilege_class", "logging"),
        ("split_total", "2"),
        ("marks", "['secret_masked']"),
        ("risk", "75.5"),
        ("risk_level", "High"),
        ("score_raw", "1.5"),
        ("features", "[1,2,1023]"),
        ("reasons", "[('novelty','first time: 0 of 12',0.75)]"),
        ("decision", "require_approval"),
        ("rules", "['risk>=60']"),
        ("approval", "asked"),
        ("model_hash", &"01".repeat(32)),
        ("program_version", "0.1.0"),
    ] {
        assert_eq!(fields.get(name), Some(&value), "{name} in {row}");
    }
    let unscored = "SELECT risk, risk_level, decision FROM v_changes WHERE offset = 6";
    assert_eq!(
        server.ask(&admin, unscored).expect("asked"),
        "\\N\tUnscored\trequire_approval\n"
    );
    let raw = "SELECT key, headers, raw, raw_size, written FROM raw_records WHERE offset = 5";
    let kept = format!(
        "key\t[('trace','x')]\t{}\t{}\t1\n",
        String::from_utf8_lossy(RAW),
        RAW.len()
    );
    assert_eq!(server.ask(&admin, raw).expect("asked"), kept);
}

/// Rows go as columns; read back as rows they are, byte for byte, what was encoded.
pub(crate) fn rows_come_back_as_the_bytes_that_were_encoded(server: &Server) {
    const ROWS: i64 = 70_000;
    let ledger = server.ledger("encoded");
    let mut block = Block::default();
    let long = "é".repeat(300);
    let names: Vec<String> = (0..ROWS).map(|row| format!("name-{row}")).collect();
    let many: Vec<&str> = names.iter().take(200).map(String::as_str).collect();
    for row in 0..ROWS {
        let name = names[row as usize].as_str();
        let mut event = event();
        // More keys than 8 and than 16 bits count, in a dictionary of values and in one of arrays.
        event.account_uid = if row % 3 == 0 { "" } else { name };
        let tags = [name, "sox", name];
        event.scope_tags = &tags[..row as usize % 4];
        if row % 1000 == 0 {
            event.scope_tags = &many;
            event.ticket_uids = &[];
            event.resources = &[];
            event.actor_name = &long;
        }
        if row % 7 == 0 {
            event.src_ip = None;
            event.logged_time = None;
            event.actor_is_mfa = None;
        }
        let context = context(row, 9, 0);
        let points = (row % 2 == 0).then_some(row as f32 / 1000.0);
        block.whole(&context, &event, points);
        if row % 5 == 0 {
            block.reject(&context, 1);
        }
    }
    block.send(&ledger, 9, 0);
    let admin = server.admin("encoded");
    for (table, encoded) in [
        (changegate_clickhouse::Table::Changes, &block.changes),
        (changegate_clickhouse::Table::Rejected, &block.rejected),
        (changegate_clickhouse::Table::RawRecords, &block.raw_records),
    ] {
        let columns: Vec<String> = table
            .columns()
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        let sql = format!(
            "SELECT {} FROM {} ORDER BY offset",
            columns.join(", "),
            table.name()
        );
        let mut stored = Vec::new();
        server
            .wait(admin.copy(&sql, "RowBinary", &mut stored))
            .expect("asked");
        let differs = stored
            .iter()
            .zip(encoded)
            .position(|(stored, encoded)| stored != encoded);
        assert_eq!((differs, stored.len()), (None, encoded.len()), "{}", table.name());
    }
    let parts =
        "SELECT count() FROM system.parts WHERE database = 'encoded' AND active AND table = 'changes'";
    assert_eq!(
        server.ask(&admin, parts).expect("asked"),
        "1\n",
        "one block is one part"
    );
}

pub(crate) fn a_resend_adds_nothing(server: &Server) {
    let ledger = server.ledger("resend");
    let mut block = Block::default();
    block.whole(&context(1, 4, 0), &event(), Some(1.0));
    block.send(&ledger, 4, 0);
    block.send(&ledger, 4, 1);
    let count = "SELECT (SELECT count() FROM changes), (SELECT count() FROM raw_records)";
    assert_eq!(
        server.ask(&server.admin("resend"), count).expect("asked"),
        "1\t1\n"
    );
}

pub(crate) fn recovery_is_told_what_is_there(server: &Server) {
    let ledger = server.ledger("recovery");
    assert_eq!(ledger.tail(TOPIC, 3).expect("asked"), None);
    let mut block = Block::default();
    block.whole(&context(10, 7, 0), &event(), Some(90.0));
    block.whole(&context(11, 7, 0), &event(), Some(3.0));
    // The record of offset 12 has children but no row of its own: its batch died in between.
    block.change(&context(12, 8, 0), 0, &event(), Some(4.0));
    block.reject(&context(12, 8, 0), 1);
    block.send(&ledger, 7, 0);
    let tail = Tail {
        incarnation: 0,
        max_offset: 12,
        max_record: Some(11),
        batch: BatchId(8),
    };
    assert_eq!(ledger.tail(TOPIC, 3).expect("asked"), Some(tail));
    let records = ledger.known_records(&ALL).expect("asked");
    assert_eq!(
        records.iter().map(|known| known.offset).collect::<Vec<_>>(),
        [10, 11]
    );
    assert_eq!(
        (records[0].raw_hash, records[0].stored_hash),
        (Digest([7; 32]), Digest([8; 32]))
    );
    let newest = ledger.newest_records(&ALL, 1).expect("asked");
    assert_eq!(newest.iter().map(|known| known.offset).collect::<Vec<_>>(), [11]);
    let changes = ledger.known_changes(&Span { from: 12, ..ALL }).expect("asked");
    assert_eq!(
        (changes.len(), changes[0].offset, changes[0].stamp.batch),
        (1, 12, BatchId(8))
    );
    let rejects = ledger.known_rejects(&ALL).expect("asked");
    assert_eq!(
        (rejects[0].child, rejects[0].code, rejects[0].at_byte),
        (1, Some(RejectCode::NotJson), 9)
    );
    let requests = ledger.requests(&ALL, false).expect("asked");
    assert_eq!(requests.len(), 1);
    let (read_at, asked) = &requests[0];
    assert_eq!(*read_at, asked.offset);
    assert_eq!(
        (asked.offset, asked.risk, asked.event_time),
        (10, Some(90.0), TIME)
    );
    assert_eq!(
        (asked.reasons[0].text.as_str(), asked.model_hash),
        ("first time: 0 of 12", Digest([1; 32]))
    );
    assert_eq!(ledger.running().expect("asked"), []);
}

pub(crate) fn rows_from_the_hop_are_found_by_its_positions(server: &Server) {
    const HOP: &str = "changegate.change.v1";
    let (plain, ledger) = (server.ledger("hop"), server.ledger_over("hop", HOP));
    let hop = |offset: i64| Position {
        topic: HOP,
        incarnation: 1,
        partition: 5,
        offset,
    };
    let span = |from: i64, to: i64| Span {
        topic: HOP,
        incarnation: 1,
        partition: 5,
        from,
        to,
    };
    // Two children of the raw record 10, and one of 11 that asks; of that a second copy.
    let mut block = Block::default();
    for (offset, raw, child, points) in [(100, 10, 4, 1.0), (101, 10, 6, 1.0), (102, 11, 0, 90.0)] {
        block.hop = Some(hop(offset));
        block.change(&context(raw, 7, 0), child, &event(), Some(points));
    }
    block.send(&ledger, 7, 0);
    let mut late = Block {
        hop: Some(hop(102)),
        ..Block::default()
    };
    late.change(&context(11, 5, 0), 0, &event(), Some(2.0));
    late.send(&ledger, 5, 0);

    let tail = Tail {
        incarnation: 1,
        max_offset: 102,
        max_record: None,
        batch: BatchId(7),
    };
    assert_eq!(ledger.tail(HOP, 5).expect("asked"), Some(tail));
    assert_eq!(
        plain.tail(HOP, 5).expect("asked"),
        None,
        "no raw record stands there"
    );
    let known = ledger.known_changes(&span(0, 200)).expect("asked");
    let places: Vec<_> = known
        .iter()
        .map(|row| (row.offset, row.child, row.stamp.batch.0))
        .collect();
    assert_eq!(places, [(100, 0, 7), (101, 0, 7), (102, 0, 7)]);
    let requests = ledger.requests(&span(0, 200), false).expect("asked");
    let places: Vec<_> = requests
        .iter()
        .map(|(read_at, row)| (*read_at, row.topic.as_str(), row.offset, row.child))
        .collect();
    assert_eq!(places, [(102, TOPIC, 11, 0)], "its request names the raw record");
    let furthest = |from, to| ledger.furthest(&span(from, to)).expect("asked");
    assert_eq!(furthest(0, 100), []);
    let one = Furthest {
        topic: TOPIC.to_owned(),
        partition: 3,
        incarnation: 0,
        offset: 10,
        child: 6,
    };
    assert_eq!(furthest(0, 102), [one]);
    assert_eq!(ledger.known_superseded(&span(0, 200)).expect("asked"), []);
    // The copy is found at the raw position.
    let copies = ledger.settle_copies(Some(&span(0, 200))).expect("asked");
    assert_eq!((copies.late_inserts, copies.identical), (1, 0));
    assert_eq!(ledger.known_superseded(&span(0, 200)).expect("asked"), []);
    let shown = "SELECT offset, child, hop_topic, hop_incarnation, hop_partition, hop_offset FROM v_changes ORDER BY hop_offset";
    let expected: String = [(10, 4, 100), (10, 6, 101), (11, 0, 102)]
        .map(|(raw, child, offset)| format!("{raw}\t{child}\t{HOP}\t1\t5\t{offset}\n"))
        .concat();
    let reader = server.client_as("hop", "reader", "reader");
    assert_eq!(server.ask(&reader, shown).expect("asked"), expected);
    // A redelivery is noted at the raw position, and known by that of the hop.
    let record = context(10, 7, 0);
    let mut noted = Vec::new();
    let row = SupersededRow {
        position: record.position,
        child: 6,
        stamp: record.stamp,
        why: Why::Redelivery,
        of: context(3, 1, 0).position,
        of_child: 0,
        of_stamp: Stamp::default(),
        kafka_time: TIME,
        noted_time: TIME,
    };
    RowBinary.superseded(&row, &mut noted);
    ledger
        .insert(&insert(Table::Superseded, &noted, 7, 1))
        .expect("the block is taken");
    assert_eq!(ledger.known_superseded(&span(0, 200)).expect("asked"), [(101, 0)]);
}

pub(crate) fn gaps_and_recorded_holes(server: &Server) {
    let ledger = server.ledger("gaps");
    let mut outcomes = Outcomes::default();
    outcomes.skip(SkipReason::Tombstone);
    let mut block = Block::default();
    for offset in [3, 4, 7] {
        block.record(&context(offset, 1, 0), &outcomes);
    }
    block.send(&ledger, 1, 0);
    let gaps = ledger.gaps(&Span { from: 1, ..ALL }, 10).expect("asked");
    assert_eq!(gaps, [Range { from: 1, to: 3 }, Range { from: 5, to: 7 }]);
    let hole = Operation {
        time: TIME,
        kind: "hole".to_owned(),
        topic: TOPIC.to_owned(),
        partition: 3,
        offset_from: 5,
        offset_to: 7,
        details: vec![("why".to_owned(), "transaction marker".to_owned())],
        ..Operation::default()
    };
    ledger.operations(&[hole]).expect("recorded");
    assert_eq!(ledger.holes(&ALL).expect("asked"), [Range { from: 5, to: 7 }]);
    let admin = server.admin("gaps");
    let holes = "SELECT offset_from, offset_to, on_record FROM v_holes";
    assert_eq!(server.ask(&admin, holes).expect("asked"), "5\t7\t1\n");
    let sums = "SELECT records, read, written, skipped, dead_lettered, missing FROM v_conservation";
    assert_eq!(server.ask(&admin, sums).expect("asked"), "3\t3\t0\t3\t0\t0\n");
}

pub(crate) fn errors_say_what_to_do(server: &Server) {
    let ledger = server.ledger("errors");
    server
        .wait(
            server
                .admin("errors")
                .execute("ALTER TABLE errors.changes ADD CONSTRAINT no_thirteen CHECK offset != 13"),
        )
        .expect("altered");
    let mut thirteen = Block::default();
    thirteen.change(&context(13, 1, 0), 0, &event(), Some(1.0));
    let refused = ledger
        .insert(&insert(Table::Changes, &thirteen.changes, 1, 0))
        .expect_err("the constraint holds");
    assert_eq!(refused.class, Class::Refused, "{refused}");
    let wrong = server.client_as("errors", "writer", "wrong");
    let denied = server.wait(wrong.running()).expect_err("wrong password");
    assert_eq!(
        (denied.trouble(), denied.trouble().class()),
        (Trouble::Access, Class::Denied)
    );
    let nobody = changegate_clickhouse::LedgerClient::new(changegate_clickhouse::Options::new(
        "http://127.0.0.1:1",
        "errors",
    ));
    let down = server
        .wait(nobody.expect("settings").running())
        .expect_err("nobody listens");
    assert_eq!(
        (down.trouble(), down.trouble().class()),
        (Trouble::Down, Class::Unavailable)
    );
    server
        .wait(server.admin("errors").execute("DROP TABLE errors.rejected SYNC"))
        .expect("dropped");
    let mut block = Block::default();
    block.reject(&context(1, 1, 0), 0);
    let gone = ledger
        .insert(&insert(Table::Rejected, &block.rejected, 1, 0))
        .expect_err("no table");
    assert_eq!((gone.class, gone.trouble), (Class::Schema, "schema"), "{gone}");
}

/// A sender that stops in the middle of its block: the kill ends it and no row is left.
pub(crate) fn a_kill_ends_what_runs(server: &Server) {
    let ledger = server.ledger("resend");
    let mut block = Block::default();
    for offset in 50..5_050 {
        block.change(&context(offset, 77, 0), 0, &event(), Some(1.0));
    }
    // The server starts a statement only when it holds the first 256 KiB of it, rows included.
    let sent = 512 << 10;
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    let hanging = server.ledger_at(&address, "resend");
    let sender = std::thread::spawn(move || hanging.insert(&insert(Table::Changes, &block.changes, 77, 0)));
    let (incoming, _) = listener.accept().expect("the client connects");
    let mut server_side =
        TcpStream::connect(("127.0.0.1", server.clickhouse.http_port())).expect("connected");
    let passed = std::io::copy(&mut (&incoming).take(sent), &mut server_side).expect("sent");
    assert_eq!(passed, sent);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !ledger.running().expect("asked").contains(&BatchId(77)) {
        assert!(std::time::Instant::now() < deadline, "the insert never showed");
        std::thread::yield_now();
    }
    assert_eq!(ledger.kill(BatchId(77)).expect("killed").queries, 1);
    assert_eq!(ledger.running().expect("asked"), []);
    assert_eq!(
        ledger.known_changes(&Span { from: 50, ..ALL }).expect("asked"),
        []
    );
    drop(incoming);
    let result = sender.join().expect("the sender ends");
    result.expect_err("its connection is gone");
}

pub(crate) fn roles_see_what_they_may(server: &Server) {
    let ledger = server.ledger("roles");
    let mut block = Block::default();
    block.whole(&context(1, 1, 0), &event(), Some(80.0));
    block.reject(&context(2, 1, 0), 0);
    block.send(&ledger, 1, 0);
    let refused = |user: &str, sql: &str| {
        let error = server
            .ask(&server.client_as("roles", user, user), sql)
            .expect_err(sql);
        assert_eq!(error.trouble(), Trouble::Access, "{user}: {sql}: {error}");
    };
    let reader = server.client_as("roles", "reader", "reader");
    for view in [
        "v_changes",
        "v_rejected",
        "v_raw_records",
        "v_conservation",
        "v_approval_requests",
    ] {
        let rows = server.ask(&reader, &format!("SELECT * FROM {view}")).expect(view);
        assert!(!rows.is_empty(), "{view}");
    }
    server.ask(&reader, "SELECT * FROM v_holes").expect("v_holes");
    for sql in [
        "SELECT raw FROM raw_records",
        "SELECT headers FROM raw_records",
        "SELECT key FROM raw_records",
        "SELECT bytes FROM rejected",
        "SELECT child_bytes FROM changes",
        "SELECT bytes FROM raw_changes",
        "INSERT INTO changes (topic) VALUES ('x')",
    ] {
        refused("reader", sql);
    }
    for sql in [
        "SELECT raw FROM raw_records",
        "SELECT key FROM raw_records",
        "SELECT bytes FROM rejected",
        "SELECT child_bytes FROM changes",
        "SELECT * FROM changes",
        "TRUNCATE TABLE changes",
        "ALTER TABLE changes DELETE WHERE 1",
        "DROP TABLE changes",
    ] {
        refused("writer", sql);
    }
    let auditor = server.client_as("roles", "auditor", "auditor");
    let one = format!(
        "SELECT bytes, request_json FROM raw_changes WHERE topic = '{TOPIC}' AND incarnation = 0 AND partition = 3 AND offset = 1"
    );
    let bytes = String::from_utf8_lossy(&RAW[CHILD]);
    assert_eq!(
        server.ask(&auditor, &one).expect("asked"),
        format!("{bytes}\t{{\"name\":\"org\"}}\n")
    );
    refused("auditor", "INSERT INTO changes (topic) VALUES ('x')");
}
