//! What the ledger makes good: an open batch of another version, a ClickHouse that does not answer.

use std::time::Duration;

use changegate_kafka::Consumer;
use changegate_pipeline::log::{CommitOffset, Log, Rebalance};
use changegate_tests::{Config, Moment, Proxy, Rule, Site, counts, send_cloudtrail as send, small, until};

fn config(site: &Site, name: &str) -> Config {
    small(site, name)
        .with("batch.rows", "400")
        .with("batch.block", "100")
}

pub(crate) fn a_new_version_finishes_what_the_old_one_left_open(site: &Site) {
    let proxy = Proxy::start(site.clickhouse.http_port());
    let mut old = config(site, "versions");
    old.clickhouse = proxy.url();
    old.create_topics(site);
    site.database("versions");
    send(site, "versions.raw", 1, 1_000);
    proxy.arm(Rule {
        table: "raw_records",
        moment: Moment::BeforeSend,
        nth: 2,
    });
    let mut program = old.serve(site);
    until("the second batch has its changes and no completion", || {
        program.check();
        proxy.reached().then_some(())
    });
    program.kill();
    proxy.cut();

    // Its fence, as a version would have written it that has more to say.
    let topics = old.partitions();
    let looker = site.looker("versions");
    let open = site.committed(&looker, &topics);
    let topic = topics[0].0;
    let consumer =
        Consumer::join(&site.kafka_settings("versions"), "versions-0", &[topic]).expect("it joins");
    let assigned = until("the dead member's partitions", || {
        let _ = consumer.poll(Duration::from_millis(20));
        match consumer.take_rebalance() {
            Some(Rebalance::Assign(partitions)) => Some(partitions),
            _ => None,
        }
    });
    let starts: Vec<_> = assigned.iter().map(|partition| (partition.clone(), 0)).collect();
    consumer.assign(&starts).expect("the partitions are ours");
    let fences: Vec<CommitOffset> = open
        .iter()
        .filter(|committed| !committed.metadata.is_empty())
        .map(|committed| CommitOffset {
            partition: changegate_pipeline::log::TopicPartition {
                topic: committed.topic.clone(),
                partition: committed.partition,
            },
            offset: committed.offset.expect("a fence stands beside an offset"),
            metadata: format!("{} later=field another=one", committed.metadata),
        })
        .collect();
    assert!(!fences.is_empty(), "the batch is open: {open:?}");
    consumer.commit(&fences).expect("the member may");
    drop(consumer);

    // Another version: other rules, so another hash in its rows.
    let new = old.clone().with("decision.approve_from", "55.0");
    let mut program = new.serve(site);
    site.read_to_the_end(&new, &mut program);
    assert!(program.terminate().0.success());
    let [records, changes, doubled, missing] = counts(site, &new);
    assert_eq!([records, doubled, missing], [1_000, 0, 0]);
    let ledger = site.database("versions");
    let [versions, batches, mixed] = site.numbers(
        &ledger,
        "SELECT uniqExact(config_hash), uniqExact(batch_id), (SELECT count() FROM \
         (SELECT 1 FROM versions.changes AS c INNER JOIN versions.raw_records AS r USING (topic, incarnation, partition, offset) \
          WHERE c.batch_id < r.batch_id LIMIT 1)) FROM versions.changes",
    );
    println!("  {changes} changes by {versions} versions in {batches} batches");
    assert_eq!(versions, 2);
    assert_eq!(
        mixed, 1,
        "the old version's changes stand, completed by the new one"
    );
}

pub(crate) fn sigterm_ends_it_while_clickhouse_hangs(site: &Site) {
    let proxy = Proxy::start(site.clickhouse.http_port());
    let mut config = config(site, "hangs");
    config.clickhouse = proxy.url();
    config.create_topics(site);
    site.database("hangs");
    send(site, "hangs.raw", 6, 2_000);
    proxy.arm(Rule {
        table: "changes",
        moment: Moment::Unanswered,
        nth: 2,
    });
    let mut program = config.serve(site);
    until("an insert is under way", || {
        program.check();
        proxy.reached().then_some(())
    });
    proxy.hang(true);
    let (_, took) = program.terminate();
    println!(
        "  ended {:.1} s after SIGTERM, with an insert that has no answer",
        took.as_secs_f32()
    );
    assert!(took < Duration::from_secs(10), "{took:?}");
    proxy.cut();
    proxy.hang(false);
    let mut program = config.serve(site);
    site.read_to_the_end(&config, &mut program);
    assert!(program.terminate().0.success());
    let [records, _, doubled, missing] = counts(site, &config);
    assert_eq!([records, doubled, missing], [2_000, 0, 0]);
}

pub(crate) fn a_part_of_a_topic_is_refused(site: &Site) {
    let first = config(site, "part");
    first.create_topics(site);
    site.database("part");
    send(site, "part.raw", 8, 200);
    let mut program = first.serve(site);
    site.read_to_the_end(&first, &mut program);
    // Another process of the same group: each is given half of the topic, and the one that notices first ends.
    let second = Config {
        instance: "part_second".into(),
        ..first.clone()
    };
    let mut other = second.serve(site);
    let mut ended = until("one of the two ends", || {
        if program.has_ended() {
            return Some(true);
        }
        other.has_ended().then_some(false)
    });
    let program = if ended { &mut program } else { &mut other };
    ended = program.ended().code() == Some(2);
    let log = program.log();
    assert!(ended, "{log}");
    assert!(log.contains("this process was given 1 of 2 partitions"), "{log}");
}
