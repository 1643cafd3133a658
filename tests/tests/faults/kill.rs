//! The program dies over and over: at every named point of a tick and of a snapshot, at every moment of an insert, and
//! whenever chance will have it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use changegate_pipeline::Ledger as _;
use changegate_pipeline::crash::POINTS;
use changegate_tests::{Config, Dice, Feed, Moment, Proxy, Rule, Served, Site, size, until};
use rdkafka::consumer::BaseConsumer;

const SEED: u64 = 0x5eed_0001;
const ROWS_MAX: u64 = 2_000;
const TOPICS: [(&str, &str, i32); 3] = [
    ("kill.aws", "aws.cloudtrail", 2),
    ("kill.k8s", "kubernetes.audit", 2),
    ("kill.github", "github.webhook", 1),
];
/// One record in so many is sent again, up to so many records later: batches have copies of what they hold themselves, and of
/// what a batch before them held.
const AGAIN_ONE_IN: u64 = 25;
const AGAIN_WITHIN: u64 = 1_500;
/// A life finds at least so many records before it, so that it ends before they do.
const BACKLOG: u64 = 4_000;

/// Every moment at which the ledger can be caught.
const MOMENTS: [(&str, Moment); 15] = [
    ("changes", Moment::BeforeSend),
    ("raw_records", Moment::Answered),
    ("changes", Moment::HalfSent),
    ("rejected", Moment::Unanswered),
    ("changes", Moment::Unanswered),
    ("raw_records", Moment::BeforeSend),
    ("changes", Moment::Held),
    ("superseded", Moment::BeforeSend),
    ("raw_records", Moment::HalfSent),
    ("rejected", Moment::BeforeSend),
    ("changes", Moment::Answered),
    ("superseded", Moment::Held),
    ("raw_records", Moment::Unanswered),
    ("superseded", Moment::Unanswered),
    ("raw_records", Moment::Held),
];

/// How a life ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It ends itself at a named point.
    Point(&'static str),
    /// It is killed at a moment of an insert into this table.
    Insert(&'static str, Moment),
    /// It is killed after so many milliseconds.
    Chance(u64),
}

/// Each point and each moment so often, and some by chance, in an order of chance.
fn ends(dice: &mut Dice) -> Vec<End> {
    let (points, moments, by_chance) = size((1, 1, 5), (10, 3, 25));
    let mut ends = Vec::new();
    for _ in 0..points {
        ends.extend(POINTS.map(End::Point));
    }
    for _ in 0..moments {
        ends.extend(MOMENTS.map(|(table, moment)| End::Insert(table, moment)));
    }
    ends.extend((0..by_chance).map(|_| End::Chance(dice.below(3_000))));
    dice.shuffle(&mut ends);
    ends
}

fn config(site: &Site, name: &str) -> Config {
    Config::new(site, name, &TOPICS)
        .with("batch.rows", "1500")
        .with("batch.block", "250")
        // Everything asks that can, so that requests are part of what is compared.
        .with("decision.approve_from", "20.0")
        // Off: record time passes slowly in the full form, and the first lives are to see requests too.
        .with("decision.learning_period", "\"0h\"")
        .with("decision.budget_per_hour", "1000000")
        // So often that a life takes some; what a life learns again without one is bounded.
        .with("state.snapshot_interval", "\"1s\"")
        .with("state.learn_back_records", "2000")
}

/// What is waited for after an answer, before the kill.
#[derive(Clone, Copy, Debug)]
enum After {
    AtOnce,
    Request,
    Commit,
}

const AFTER: [After; 3] = [After::AtOnce, After::Request, After::Commit];

/// What was seen on the way.
#[derive(Default)]
struct Counts {
    kills: u64,
    fences_open: u64,
    late: u64,
    by_point: BTreeMap<&'static str, u64>,
    by_moment: BTreeMap<String, u64>,
    by_chance: u64,
}

/// The lives of one program, one after the other.
struct Lives<'s> {
    site: &'s Site,
    config: &'s Config,
    proxy: &'s Proxy,
    feed: Feed,
    looker: BaseConsumer,
    looked: Option<Instant>,
    dice: Dice,
    counts: Counts,
}

impl Lives<'_> {
    /// One life. The count is made of what the group has committed when it is over.
    fn live(&mut self, end: End) {
        self.keep_up();
        match end {
            End::Point(point) => {
                // Standing still for a snapshot is rare: once is enough.
                let rare = ["before_close", "after_close", "before_snapshot", "after_snapshot"];
                let nth = 1 + if rare.contains(&point) {
                    0
                } else {
                    self.dice.below(3)
                };
                let mut program = self.config.clone().crashing_at(point, nth).serve(self.site);
                until(&format!("{point}, number {nth}"), || {
                    self.keep_up();
                    program.has_ended().then_some(())
                });
                assert!(program.crashed(), "{point}: {}", program.log_tail());
                *self.counts.by_point.entry(point).or_default() += 1;
                self.count();
            }
            End::Insert(table, moment) => self.live_until_insert(table, moment),
            End::Chance(after_ms) => {
                let mut program = self.config.serve(self.site);
                let end = Instant::now() + Duration::from_millis(after_ms);
                until("it has had its time", || {
                    self.keep_up();
                    program.check();
                    (Instant::now() >= end).then_some(())
                });
                program.kill();
                self.counts.by_chance += 1;
                self.count();
            }
        }
    }

    fn live_until_insert(&mut self, table: &'static str, moment: Moment) {
        let nth = 1 + self.dice.below(2) as u32;
        self.proxy.arm(Rule { table, moment, nth });
        let mut program = self.config.serve(self.site);
        until(&format!("{table} {moment:?}, number {nth}"), || {
            self.keep_up();
            program.check();
            self.proxy.reached().then_some(())
        });
        if moment == Moment::Answered {
            self.go_on_a_little(&mut program);
        }
        program.kill();
        *self
            .counts
            .by_moment
            .entry(format!("{table} {moment:?}"))
            .or_default() += 1;
        let before = self.count();
        if moment != Moment::Held {
            self.proxy.cut();
            return;
        }
        // What left the dead process arrives when its successor has long read back and gone on.
        let (site, partitions) = (self.site, self.config.partitions());
        let mut successor = self.config.serve(site);
        until("the successor passes what is held", || {
            self.keep_up();
            successor.check();
            let now = site.committed(&self.looker, &partitions);
            let passed = now.iter().zip(&before).any(|(now, before)| {
                !before.metadata.is_empty() && now.offset > before.offset && now.offset.is_some()
            });
            passed.then_some(())
        });
        self.proxy.send_on();
        self.counts.late += 1;
        successor.kill();
        self.counts.by_chance += 1;
        self.count();
    }

    /// Sends more where little is left to read. The brokers are asked now and then.
    fn keep_up(&mut self) {
        let pause = Duration::from_millis(300);
        if self.looked.is_some_and(|looked| looked.elapsed() < pause) {
            return;
        }
        let committed = self.site.committed(&self.looker, &self.config.partitions());
        let left: i64 = committed
            .iter()
            .map(|committed| {
                let end = self
                    .site
                    .end_of(&self.looker, &committed.topic, committed.partition);
                end - committed.offset.unwrap_or(0)
            })
            .sum();
        if left < BACKLOG as i64 {
            self.feed.send(self.site, BACKLOG);
        }
        self.looked = Some(Instant::now());
    }

    /// Sends until there were so many events.
    fn send_up_to(&mut self, events: u64) {
        let missing = events.saturating_sub(self.feed.events);
        self.feed.send(self.site, missing);
    }

    /// What follows an answer: more inserts, sends, the commit that closes the batch and opens the next.
    fn go_on_a_little(&mut self, program: &mut Served) {
        let (site, partitions) = (self.site, self.config.partitions());
        let requests = site.end_of(&self.looker, &self.config.approval_topic, 0);
        let committed = site.committed(&self.looker, &partitions);
        let what = AFTER[self.dice.below(AFTER.len() as u64) as usize];
        until(&format!("{what:?} after an answer"), || {
            self.keep_up();
            program.check();
            let looker = &self.looker;
            let due = match what {
                After::AtOnce => true,
                After::Request => site.end_of(looker, &self.config.approval_topic, 0) > requests,
                After::Commit => site.committed(looker, &partitions) != committed,
            };
            due.then_some(())
        });
    }

    /// Takes down what a death left behind: whether a fence is open.
    fn count(&mut self) -> Vec<changegate_tests::Committed> {
        let committed = self.site.committed(&self.looker, &self.config.partitions());
        self.counts.kills += 1;
        self.counts.fences_open += u64::from(committed.iter().any(|of| !of.metadata.is_empty()));
        committed
    }
}

pub(crate) fn killed_over_and_over_nothing_is_lost_doubled_or_altered(site: &Site) {
    let (least, kills_least) = size((30_000, 40), (1_000_000, 260));
    let proxy = Proxy::start(site.clickhouse.http_port());
    let mut killed = config(site, "kill");
    killed.clickhouse = proxy.url();
    killed.create_topics(site);
    let untouched = config(site, "kill_reference");
    let ledger = site.database("kill");
    let mut dice = Dice(SEED);
    let ends = ends(&mut dice);
    let mut lives = Lives {
        site,
        config: &killed,
        proxy: &proxy,
        // Some hours of record time, all of them past.
        feed: Feed::new(SEED, &killed)
            .since(8, size(200, 20))
            .sending_again(AGAIN_ONE_IN, AGAIN_WITHIN),
        looker: site.looker(&killed.group),
        looked: None,
        dice,
        counts: Counts::default(),
    };
    // A life should find about as much as the others.
    let (each, lives_all) = (least / ends.len() as u64, ends.len());
    for (number, end) in (1..).zip(ends) {
        lives.send_up_to(each * number);
        lives.live(end);
        if number % 20 == 0 {
            println!("  {number} of {lives_all} lives, {} events", lives.feed.events);
        }
    }
    lives.send_up_to(least);
    let Lives { feed, counts, .. } = lives;
    let mut program = killed.serve(site);
    site.read_to_the_end(&killed, &mut program);
    let (status, took) = program.terminate();
    assert!(status.success(), "SIGTERM: {status}");
    assert!(took < Duration::from_secs(10), "SIGTERM took {took:?}");
    // The hourly check.
    let copies = site
        .ledger("kill")
        .settle_copies(None)
        .expect("the ledger answers");
    // Before the reference run, which sends to the same dead-letter topics.
    site.assert_sent(&ledger, &killed);
    site.reference(&untouched);

    let [records, events, batches, rows_max] = site.numbers(
        &ledger,
        "SELECT (SELECT sum(records) FROM kill.v_conservation), (SELECT sum(read) FROM kill.v_conservation), \
         count(), max(rows) FROM \
         (SELECT batch_id, count() AS rows FROM kill.changes GROUP BY batch_id)",
    );
    println!(
        "  {records} records, {events} events, {} of them sent again; {batches} batches of at most {rows_max} rows",
        feed.sent_again
    );
    let Counts {
        kills, fences_open, ..
    } = counts;
    println!(
        "  {kills} kills (seed {SEED:#x}), {fences_open} of them while a fence was open; {} inserts of dead processes landed late",
        counts.late
    );
    let list = |of: Vec<String>| of.join(", ");
    let points = POINTS.map(|point| format!("{point} {}", counts.by_point.get(point).unwrap_or(&0)));
    println!("  at named points: {}", list(points.to_vec()));
    let moments = counts.by_moment.iter();
    let moments = moments.map(|(moment, count)| format!("{moment} {count}"));
    println!("  at inserts: {}", list(moments.collect()));
    println!("  by chance: {}", counts.by_chance);
    assert_eq!(records, feed.records);
    assert!(events >= least, "{events}");
    assert!(rows_max <= ROWS_MAX, "{rows_max}");
    assert!(kills >= kills_least, "{kills}");
    assert!(fences_open * 100 >= kills * 60, "{fences_open}");
    for point in POINTS {
        assert!(counts.by_point.get(point) >= Some(&size(1, 10)), "{point}");
    }

    site.assert_same_rows(&ledger, "kill", "kill_reference");
    let [superseded, redelivered, late, identical, known] = site.numbers(
        &ledger,
        "SELECT count(), countIf(why = 'redelivery'), countIf(why = 'late_insert'), countIf(why = 'identical'), \
         (SELECT countIf(why = 'redelivery') FROM kill_reference.superseded) FROM kill.superseded",
    );
    println!(
        "  superseded: {superseded} rows: {redelivered} of redeliveries ({known} in the reference run), {late} late, \
         {identical} identical; {} found by the last check",
        copies.late_inserts + copies.identical
    );
    assert!(known > 0, "no redelivery, no proof");
}
