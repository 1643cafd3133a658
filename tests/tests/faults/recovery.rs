//! What stood still for long, or is no longer there: deduplication has forgotten, the topic or the group was deleted, or
//! Kafka has deleted records. The ledger decides where to go on.

use changegate_tests::{Config, Moment, Proxy, Rule, Site, counts, send_cloudtrail, size, small, until};

fn config(site: &Site, name: &str) -> Config {
    let config = small(site, name)
        .with("batch.rows", "400")
        .with("batch.block", "100");
    config.create_topics(site);
    site.database(name);
    config
}

fn run_to_the_end(site: &Site, config: &Config) {
    let mut program = config.serve(site);
    site.read_to_the_end(config, &mut program);
    let (status, _) = program.terminate();
    assert!(status.success(), "{status}");
}

/// Records in the views, rows of `changes` beyond those that readers see, and records whose bytes no other record has.
#[track_caller]
fn check(site: &Site, config: &Config, records: u64, what: &str) {
    let [found, changes, doubled, missing] = counts(site, config);
    let db = &config.database;
    let [rows, different] = site.numbers(
        &site.database(db),
        &format!(
            "SELECT (SELECT count() FROM {db}.changes), (SELECT uniqExact(raw_hash) FROM {db}.v_raw_records)"
        ),
    );
    println!(
        "  {what}: {records} records sent, {found} there ({different} different), {missing} children missing, {doubled} doubled"
    );
    assert_eq!(
        [found, different, missing, doubled],
        [records, records, 0, 0],
        "{what}"
    );
    assert_eq!(
        rows, changes,
        "{what}: no row was written a second time, so none had to be hidden"
    );
}

/// Resends are recognised by the tokens of the last blocks only. An outage that outlasts them must cost nothing.
pub(crate) fn an_outage_longer_than_the_deduplication_window(site: &Site) {
    let proxy = Proxy::start(site.clickhouse.http_port());
    let mut config = config(site, "window");
    config.clickhouse = proxy.url();
    let tables = ["changes", "rejected", "superseded", "raw_records"];
    let admin = site.database("window");
    for table in tables {
        // Of 10,000 blocks; the wait for them would show nothing else.
        let sql =
            format!("ALTER TABLE window.{table} MODIFY SETTING non_replicated_deduplication_window = 3");
        site.wait(admin.execute(&sql)).expect("the setting is taken");
    }
    let outages = ["changes", "raw_records"];
    let (each, rounds) = size((1_200, 1), (5_000, 10));
    let (mut sent, mut seed) = (0, 20);
    for round in 0..rounds {
        for table in outages {
            send_cloudtrail(site, "window.raw", seed, each);
            (sent, seed) = (sent + each, seed + 1);
            let moment = Moment::Unanswered;
            proxy.arm(Rule {
                table,
                moment,
                nth: 2,
            });
            let mut program = config.serve(site);
            until("an insert is there, and the program does not know", || {
                program.check();
                proxy.reached().then_some(())
            });
            program.kill();
            proxy.cut();
            // Another stream writes on meanwhile.
            let other = format!("window.other.{round}.{table}");
            let mut others = small(site, "window_other");
            others.topics[0].0.clone_from(&other);
            others.group.clone_from(&other);
            others.database = "window".into();
            let others = others.with("batch.rows", "100").with("batch.block", "50");
            others.create_topics(site);
            send_cloudtrail(site, &other, seed, 600);
            (sent, seed) = (sent + 600, seed + 1);
            run_to_the_end(site, &others);
            let [blocks] = site.numbers(
                &admin,
                &format!("SELECT uniqExact(batch_id) FROM window.{table} WHERE topic = '{other}'"),
            );
            assert!(blocks > 3, "{blocks} blocks push no token out");
            run_to_the_end(site, &config);
        }
    }
    let what = format!("{} outages longer than the deduplication window", 2 * rounds);
    check(site, &config, sent, &what);
}

/// Offsets begin at 0 again, and rows of before must not hide the new records.
pub(crate) fn a_topic_made_anew(site: &Site) {
    for (name, records, wipes_group) in [
        ("anew_shorter", 500, false),
        ("anew_longer", 1_300, false),
        ("anew_shorter_wiped", 500, true),
        ("anew_longer_wiped", 1_300, true),
    ] {
        let (config, topic) = (config(site, name), format!("{name}.raw"));
        send_cloudtrail(site, &topic, 4, 800);
        run_to_the_end(site, &config);
        site.delete_topic(&topic);
        if wipes_group {
            site.delete_group(name);
        }
        site.create_topics(&[(&topic, 2)]);
        send_cloudtrail(site, &topic, 5, records);
        run_to_the_end(site, &config);
        let what = format!("{name}, 800 records before and {records} after");
        check(site, &config, 800 + records, &what);
        let ledger = site.database(name);
        let lives = site.rows(
            &ledger,
            &format!("SELECT incarnation, count() FROM {name}.v_raw_records GROUP BY incarnation ORDER BY incarnation"),
        );
        let records = records.to_string();
        assert_eq!(lives, [["0", "800"], ["1", records.as_str()]]);
        let [noted] = site.numbers(
            &ledger,
            &format!(
                "SELECT count() FROM {name}.v_operations WHERE kind = 'new_incarnation' AND incarnation = 1"
            ),
        );
        assert_eq!(noted, 2, "one per partition");
    }
}

/// Nothing is committed: the ledger's rows say where to go on.
pub(crate) fn a_wiped_group(site: &Site) {
    let config = config(site, "wiped");
    send_cloudtrail(site, "wiped.raw", 2, 900);
    run_to_the_end(site, &config);
    site.delete_group("wiped");
    let committed = site.committed(&site.looker("wiped"), &config.partitions());
    let is_wiped = committed.iter().all(|committed| committed.offset.is_none());
    assert!(is_wiped, "{committed:?}");
    send_cloudtrail(site, "wiped.raw", 3, 300);
    run_to_the_end(site, &config);
    check(site, &config, 1_200, "a wiped group");
}

/// Records went before they were read: that is said with exact bounds, and nothing goes on until somebody says so.
pub(crate) fn retention_passed_the_position(site: &Site) {
    let config = config(site, "retention");
    let topic = "retention.raw";
    send_cloudtrail(site, topic, 6, 600);
    run_to_the_end(site, &config);
    let looker = site.looker("retention");
    let read: Vec<i64> = [0, 1]
        .map(|partition| site.end_of(&looker, topic, partition))
        .to_vec();
    send_cloudtrail(site, topic, 7, 900);
    let ends: Vec<i64> = [0, 1]
        .map(|partition| site.end_of(&looker, topic, partition))
        .to_vec();
    let kept_from: Vec<i64> = read
        .iter()
        .zip(&ends)
        .map(|(read, end)| read + (end - read) / 3)
        .collect();
    site.delete_records(topic, &kept_from);
    let lost: Vec<String> = (0..2)
        .map(|partition| {
            format!(
                "{topic}/{partition} {}..{}",
                read[partition], kept_from[partition]
            )
        })
        .collect();

    let refused = |config: &Config| {
        let mut program = config.serve(site);
        let status = program.ended();
        assert_eq!(status.code(), Some(2), "{}", program.log_tail());
        program.log()
    };
    let log = refused(&config);
    let told = format!("kafka.accept_retention_gap = [\"{}\", \"{}\"]", lost[0], lost[1]);
    assert!(log.contains(&told), "{told} in {log}");
    // Who accepts one loss has not accepted another.
    let one = config
        .clone()
        .with("kafka.accept_retention_gap", format!("[{:?}]", lost[0]));
    let before = log.len();
    let log = refused(&one).split_off(before);
    let told = format!("kafka.accept_retention_gap = [\"{}\"]", lost[1]);
    assert!(log.contains(&told), "{told} in {log}");
    let ledger = site.database("retention");
    let noted = |kind: &str| {
        let sql = format!(
            "SELECT DISTINCT concat(topic, '/', toString(partition), ' ', toString(offset_from), '..', toString(offset_to)) AS gap \
             FROM retention.v_operations WHERE kind = '{kind}' ORDER BY gap"
        );
        site.rows(&ledger, &sql).concat()
    };
    assert_eq!(noted("retention_gap"), lost);
    assert_eq!(noted("gap_skipped"), [""; 0]);
    let [records] = site.numbers(&ledger, "SELECT count() FROM retention.v_raw_records");
    assert_eq!(records, 600, "nothing went on");

    let all = config.with("kafka.accept_retention_gap", format!("{lost:?}"));
    run_to_the_end(site, &all);
    assert_eq!(noted("gap_skipped"), lost);
    let kept: i64 = ends.iter().zip(&kept_from).map(|(end, from)| end - from).sum();
    check(
        site,
        &all,
        600 + kept as u64,
        &format!("retention passed, lost {}", lost.join(" and ")),
    );
    let [holes, unexplained] = site.numbers(
        &ledger,
        "SELECT count(), countIf(NOT on_record) FROM retention.v_holes",
    );
    assert_eq!([holes, unexplained], [2, 0], "each gap is a hole on record");
    // A setting that stays after its use skips nothing more.
    send_cloudtrail(site, topic, 8, 100);
    run_to_the_end(site, &all);
    check(site, &all, 700 + kept as u64, "the setting left in place");
    assert_eq!(noted("gap_skipped"), lost);
}
