//! One, two and three processes share the work over the hop and are killed at it; readers see what one process that does
//! all of it has written.

use changegate_clickhouse::LedgerClient;
use changegate_pipeline::Ledger as _;
use changegate_tests::{Config, Dice, Feed, Served, Site, size, until};

const SEED: u64 = 0x5eed_0005;
const SHARDS: i32 = 6;
const TOPICS: [(&str, &str, i32); 3] = [
    ("scale.aws", "aws.cloudtrail", 3),
    ("scale.k8s", "kubernetes.audit", 3),
    ("scale.github", "github.webhook", 2),
];
/// Scores are close within so many points.
const CLOSE_POINTS: f32 = 5.0;
/// Of a thousand changes, so many are close to what one process says that holds the counts of all shards, and to what
/// another number of processes says of the same shards. All of it is a backlog that several processes read, each in an order of
/// its own and one ahead of the other, which is as far as scores can be apart: `docs/delivery.md`.
const CLOSE_AT_LEAST: u64 = 500;

fn config(site: &Site, name: &str) -> Config {
    Config::new(site, name, &TOPICS)
        .with("batch.rows", "1000")
        .with("batch.block", "250")
        .with("batch.wait", "\"200ms\"")
        .with("kafka.session_timeout", "\"6s\"")
        .with("decision.approve_from", "20.0")
        .with("decision.learning_period", "\"0h\"")
        .with("decision.budget_per_hour", "1000000")
}

/// So many processes, each of which does both halves.
struct Fleet {
    configs: Vec<Config>,
    running: Vec<Served>,
}

impl Fleet {
    fn start(site: &Site, name: &str, processes: usize) -> Self {
        let hop = format!("{name}.hop");
        let (dead, state) = (format!("{hop}.dlq"), format!("{name}.state"));
        site.create_topics(&[(&hop, SHARDS), (&dead, 1), (&state, SHARDS)]);
        let one = config(site, name)
            .with("stages.run", "\"both\"")
            .with("stages.shards", SHARDS.to_string())
            .with("stages.hop_topic", format!("{hop:?}"))
            .with("stages.state_topic", format!("{state:?}"))
            .with("state.snapshot_interval", "\"1s\"");
        site.create_topics(&[(&one.approval_topic, 1)]);
        let configs: Vec<Config> = (0..processes)
            .map(|process| Config {
                instance: format!("{name}_{process}"),
                ..one.clone()
            })
            .collect();
        let running = configs.iter().map(|config| config.serve(site)).collect();
        Self { configs, running }
    }

    fn check(&mut self) {
        self.running.iter_mut().for_each(Served::check);
    }

    /// Groups and what each reads.
    fn reads(&self) -> [(String, Vec<(String, i32)>); 2] {
        let config = &self.configs[0];
        let raw = config.partitions();
        let raw = raw.iter().map(|(topic, count)| ((*topic).to_owned(), *count));
        [
            (config.group.clone(), raw.collect()),
            (
                format!("{}.score", config.group),
                vec![(format!("{}.hop", config.group), SHARDS)],
            ),
        ]
    }

    /// Sum of all committed positions.
    fn progress(&self, site: &Site) -> i64 {
        let of = |(group, topics): &(String, Vec<(String, i32)>)| {
            let topics: Vec<_> = topics
                .iter()
                .map(|(topic, count)| (topic.as_str(), *count))
                .collect();
            let committed = site.committed(&site.looker(group), &topics);
            committed
                .iter()
                .filter_map(|committed| committed.offset)
                .sum::<i64>()
        };
        self.reads().iter().map(of).sum()
    }

    fn is_done(&self, site: &Site) -> bool {
        self.reads().iter().all(|(group, topics)| {
            let topics: Vec<_> = topics
                .iter()
                .map(|(topic, count)| (topic.as_str(), *count))
                .collect();
            site.is_done(&site.looker(group), &topics)
        })
    }

    /// Waits until so much is committed, as long as it goes on.
    #[track_caller]
    fn read_to(&mut self, site: &Site, progress: i64) {
        loop {
            let before = self.progress(site);
            let is_there = until("they read on", || {
                self.check();
                let now = self.progress(site);
                let is_there = now >= progress || self.is_done(site);
                (is_there || now != before).then_some(is_there)
            });
            if is_there {
                return;
            }
        }
    }

    fn kill_and_restart(&mut self, site: &Site, victim: usize) {
        let restarted = self.configs[victim].clone();
        self.running.remove(victim).kill();
        self.running.insert(victim, restarted.serve(site));
    }

    fn terminate(self) -> String {
        let mut logs = String::new();
        for process in self.running {
            logs.push_str(&process.log());
            let (status, took) = process.terminate();
            assert!(status.success() && took.as_secs() < 10, "{status}, {took:?}");
        }
        logs
    }
}

/// At least so many changes in a thousand have a risk that is close in both ledgers.
fn compare_scores(site: &Site, ledger: &LedgerClient, name: &str, other: &str) {
    let of = |database: &str| {
        format!(
            "SELECT topic, incarnation, partition, offset, child, risk FROM {database}.v_changes \
             WHERE is_change AND NOT has(marks, 'redelivery')"
        )
    };
    let sql = format!(
        "SELECT count(), round(1000 * countIf(a.risk = b.risk) / count()), \
         toUInt64(floor(1000 * countIf(abs(a.risk - b.risk) <= {CLOSE_POINTS}) / count())), \
         round(1000 * avg(abs(a.risk - b.risk))), round(1000 * quantile(0.99)(abs(a.risk - b.risk))) \
         FROM ({}) AS a INNER JOIN ({}) AS b USING (topic, incarnation, partition, offset, child)",
        of(name),
        of(other)
    );
    let [changes, same, close, mean, p99] = site.numbers(ledger, &sql);
    println!(
        "  {name}, scores of {changes} changes against {other}: {same} of 1,000 the same, {close} within {CLOSE_POINTS} points; mean \
         difference {:.3}, p99 {:.3} points",
        mean as f64 / 1e3,
        p99 as f64 / 1e3
    );
    assert!(close >= CLOSE_AT_LEAST, "{close}");
}

pub(crate) fn any_number_of_processes_writes_the_same_rows(site: &Site) {
    let (least, kills) = size((20_000, 4), (200_000, 20));
    let whole = config(site, "scale_reference");
    whole.create_topics(site);
    let mut feed = Feed::new(SEED, &whole).since(20, 200).sending_again(50, 300);
    feed.send(site, least);
    println!(
        "  {} records, {} events, {} of them sent again",
        feed.records, feed.events, feed.sent_again
    );
    let mut dice = Dice(SEED);
    let names = ["scale_1", "scale_2", "scale_3"];
    let mut ledgers = Vec::new();
    for (name, processes) in names.into_iter().zip(1..) {
        let ledger = site.database(name);
        let mut fleet = Fleet::start(site, name, processes);
        // Records and children, each committed once.
        let all = (feed.records + feed.events) as i64;
        for kill in 0..kills {
            fleet.read_to(site, all * (kill + 1) / (kills + 2));
            fleet.kill_and_restart(site, dice.below(processes as u64) as usize);
        }
        fleet.read_to(site, i64::MAX);
        // The hourly check.
        let copies = site.ledger(name).settle_copies(None);
        let copies = copies.expect("the ledger answers");
        println!(
            "  {name}: {} second copies found by the last check",
            copies.late_inserts + copies.identical
        );
        site.assert_sent(&ledger, &fleet.configs[0]);
        let logs = fleet.terminate();
        let moved = logs.matches("snapshot of the shard read").count();
        println!(
            "  {name}: {processes} processes, {kills} kills (seed {SEED:#x}), {moved} snapshots of shards read"
        );
        assert!(moved > 0, "no shard ever came with its snapshot");
        ledgers.push(ledger);
    }
    site.reference(&whole);
    for (name, ledger) in names.into_iter().zip(&ledgers) {
        site.assert_same_rows(ledger, name, "scale_reference");
        // What was sent has arrived, once.
        let [sent, rows, repeats, by_hop] = site.numbers(
            ledger,
            &format!(
                "SELECT sumIf(written, topic LIKE 'scale.%'), sumIf(written, topic LIKE '%.hop'), \
                 sumIf(skipped['repeat'], topic LIKE '%.hop'), \
                 (SELECT uniqExact(hop_partition, hop_offset) FROM {name}.changes) FROM {name}.v_raw_records"
            ),
        );
        println!(
            "  {name}: {sent} children sent, {rows} arrived, {repeats} repeats of killed senders dropped"
        );
        assert_eq!([sent, sent], [rows, by_hop]);
        compare_scores(site, ledger, name, "scale_reference");
        if name != "scale_1" {
            compare_scores(site, ledger, name, "scale_1");
        }
    }
}
