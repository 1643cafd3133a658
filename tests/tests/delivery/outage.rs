//! Engines that are away, or do not let the program in: it waits, says why, and goes on by itself.

use changegate_engines::{ClickHouse, ClickHouseOptions};
use changegate_tests::{Config, Served, Site, send_cloudtrail, until};

const TOPIC: (&str, &str, i32) = ("outage.raw", "aws.cloudtrail", 2);
const EACH: u64 = 4_000;

/// Waits until a component is not ready for this reason; the probe then says so as a whole.
fn wait_for(program: &mut Served, component: &str, reason: &str) {
    until(&format!("{component} is {reason}"), || {
        program.check();
        program.says(component, reason).then_some(())
    });
    assert_eq!(
        program.get("/healthz").0,
        200,
        "who waits is alive: nothing is won by a new start"
    );
}

fn wait_until_ready(program: &mut Served) {
    until("everything is ready", || {
        program.check();
        (program.get("/readyz").0 == 200).then_some(())
    });
}

fn wait_until_read(site: &Site, config: &Config, program: &mut Served) {
    let looker = site.looker(&config.group);
    until("everything is read", || {
        program.check();
        site.is_done(&looker, &config.partitions()).then_some(())
    });
}

/// Nothing is read any more, and what has come since counts as lag all the same.
fn wait_for_lag(site: &Site, config: &Config, program: &mut Served) {
    let looker = site.looker(&config.group);
    let committed = site.committed(&looker, &config.partitions());
    let behind = committed.iter().map(|committed| {
        let end = site.end_of(&looker, &committed.topic, committed.partition);
        end - committed.offset.unwrap_or(0)
    });
    let behind: i64 = behind.sum();
    assert!(behind >= EACH as i64);
    until(&format!("{behind} records are told to be left"), || {
        let (_, text) = program.get("/metrics");
        let lags = text
            .lines()
            .filter(|line| line.starts_with("changegate_lag_records{"));
        let told: f64 = lags
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum();
        (told == behind as f64 && text.contains("changegate_paused{worker=\"worker-0\"} 1")).then_some(())
    });
}

pub(crate) fn engines_that_are_away_are_waited_for(_: &Site) {
    // Engines of its own: the other tests need theirs all the time.
    let mut site = Site::start(&["outage"]);
    let config = Config::new(&site, "outage", &[TOPIC])
        .with("http.listen", "\"127.0.0.1:0\"")
        .with("batch.rows", "1000")
        .with("batch.block", "100")
        .with("clickhouse.backoff_max", "\"500ms\"")
        .with("kafka.session_timeout", "\"6s\"")
        // The library's own longest wait between two attempts is 10 s.
        .with("kafka.properties", "{ \"reconnect.backoff.max.ms\" = 500 }");
    config.create_topics(&site);
    site.database("outage");

    // Another server in its place, which does not know the program's user.
    site.clickhouse.stop().expect("it ends");
    let stranger = ClickHouse::start(&ClickHouseOptions {
        http_port: Some(site.clickhouse.http_port()),
        ..ClickHouseOptions::default()
    });
    let mut seed = 0;
    let mut send = |site: &Site| {
        seed += 1;
        send_cloudtrail(site, TOPIC.0, seed, EACH);
        EACH
    };
    let mut sent = send(&site);
    let mut program = config.serve(&site);
    wait_for(&mut program, "worker-0/clickhouse", "access");
    let lines_while_refused = program.log().lines().count();
    drop(stranger);
    wait_for(&mut program, "worker-0/clickhouse", "down");
    site.clickhouse.restart().expect("it comes back");
    wait_until_ready(&mut program);

    // Down under load, and more load while it is down.
    sent += send(&site);
    site.clickhouse.stop().expect("it ends");
    sent += send(&site);
    wait_for(&mut program, "worker-0/clickhouse", "down");
    sent += send(&site);
    wait_for_lag(&site, &config, &mut program);
    site.clickhouse.restart().expect("it comes back");
    wait_until_ready(&mut program);
    wait_until_read(&site, &config, &mut program);

    // Kafka goes and comes.
    site.kafka.stop().expect("it ends");
    wait_for(&mut program, "worker-0/kafka", "down");
    site.kafka.restart().expect("it comes back");
    wait_until_ready(&mut program);
    sent += send(&site);
    wait_until_read(&site, &config, &mut program);

    let memory = program.memory_mib_max();
    let log = program.log();
    assert!(program.terminate().0.success(), "{log}");
    let ledger = site.database("outage");
    let [records, missing, doubled] = site.numbers(
        &ledger,
        "SELECT (SELECT count() FROM outage.v_raw_records), (SELECT sum(abs(missing)) FROM outage.v_conservation), \
         (SELECT count() FROM (SELECT 1 FROM outage.v_changes GROUP BY topic, partition, offset, child HAVING count() > 1))",
    );
    let lines = log.lines().count();
    println!(
        "  {sent} records, {missing} missing, {doubled} doubled, {lines} log lines, {memory} MiB at most"
    );
    assert_eq!([records, missing, doubled], [sent, 0, 0]);
    // Some hundred retries, and a line only where something has changed.
    assert!(lines_while_refused < 25, "{log}");
    assert!(lines < 80, "{log}");
    assert!(memory <= 512, "{memory} MiB");
    let [starts, stops] = site.numbers(
        &ledger,
        "SELECT countIf(kind = 'start' AND details['model_hash'] != ''), countIf(kind = 'stop' AND why = 'SIGTERM') FROM outage.v_operations",
    );
    assert_eq!(
        [starts, stops],
        [1, 1],
        "noted, though ClickHouse came after the program"
    );
}
