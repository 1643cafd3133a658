//! Rebalances without end: processes of one group that come, leave, are killed, and stand still in the middle of a write
//! for longer than their session.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use changegate_pipeline::Ledger as _;
use changegate_tests::{Committed, Config, Dice, Feed, Moment, Proxy, Rule, Served, Site, size, until};
use rdkafka::consumer::BaseConsumer;

const SEED: u64 = 0x5eed_0003;
const GROUP: &str = "storm";
const PROCESSES: usize = 3;
const PARTITIONS: usize = 12;
/// Events sent at a time, so that each partition always has some that wait.
const POUR: u64 = 60;
const POUR_EVERY: Duration = Duration::from_millis(200);
/// No partition may wait for anybody so long.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// One process reads whole topics: twelve of one partition. Each is known to two of the processes.
fn topics(process: Option<usize>) -> Vec<(String, &'static str, i32)> {
    (0..PARTITIONS)
        .filter(|topic| {
            let first = topic % PROCESSES;
            process.is_none_or(|own| own == first || own == (first + 1) % PROCESSES)
        })
        .map(|topic| (format!("storm.{topic}"), "aws.cloudtrail", 1))
        .collect()
}

fn config(site: &Site, name: &str, process: Option<usize>) -> Config {
    Config {
        topics: topics(process),
        ..Config::new(site, name, &[])
    }
    .with("kafka.session_timeout", "\"3s\"")
    .with("batch.rows", "200")
    .with("batch.block", "50")
    .with("batch.wait", "\"200ms\"")
    .with("batch.drain_deadline", "\"1s\"")
    .with("state.learn_back_records", "1000")
    // Who takes partitions over reads again what it has not learned of them before it reads on: since its last snapshot.
    .with("state.snapshot_interval", "\"2s\"")
    .with("decision.approve_from", "20.0")
    .with("decision.learning_period", "\"0h\"")
    .with("decision.approval_max_age", "\"240h\"")
    .with("decision.budget_per_hour", "1000000")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Joined,
    Left,
    Killed,
    /// SIGSTOP with half an insert sent.
    FrozenHalfSent,
    /// SIGSTOP with an insert sent that the server has not seen.
    FrozenHeld,
    Thawed,
}

struct Process {
    config: Config,
    proxy: Proxy,
    program: Option<Served>,
    frozen: bool,
}

struct Storm<'a> {
    site: &'a Site,
    all: Config,
    looker: BaseConsumer,
    feed: Feed,
    poured: Instant,
    processes: Vec<Process>,
    dice: Dice,
    events: BTreeMap<Event, u32>,
    committed: Vec<Committed>,
    /// Since when each partition has had records and not moved.
    waits_since: Vec<Instant>,
    idle_max: Duration,
}

impl Storm<'_> {
    /// Pours some records and looks where the group stands. Whether it has moved.
    fn look(&mut self) -> bool {
        for process in self.processes.iter_mut().filter(|process| !process.frozen) {
            if let Some(program) = &mut process.program {
                program.check();
            }
        }
        if self.poured.elapsed() >= POUR_EVERY {
            self.feed.send(self.site, POUR);
            self.poured = Instant::now();
        }
        let now = self.site.committed(&self.looker, &self.all.partitions());
        let mut moved = self.committed.len() != now.len();
        for (at, committed) in now.iter().enumerate() {
            let before = self.committed.get(at).map(|committed| committed.offset);
            if before != Some(committed.offset) {
                self.waits_since[at] = Instant::now();
                moved = true;
            } else if committed.offset == Some(self.site.end_of(&self.looker, &committed.topic, 0)) {
                self.waits_since[at] = Instant::now();
            }
            self.idle_max = self.idle_max.max(self.waits_since[at].elapsed());
        }
        self.committed = now;
        moved
    }

    #[track_caller]
    fn until(&mut self, what: &str, mut is_due: impl FnMut(&mut Self, bool) -> bool) {
        until(what, || {
            let moved = self.look();
            is_due(self, moved).then_some(())
        });
    }

    fn count(&mut self, event: Event) {
        *self.events.entry(event).or_default() += 1;
    }

    /// Someone goes, and comes back.
    fn strike(&mut self, round: u32) {
        // The last of them stands by as long as the first two are there.
        let at = self.dice.below(2) as usize;
        // Each way once, then at random.
        let way = if round < 4 {
            round.into()
        } else {
            self.dice.below(4)
        };
        match way {
            0 => {
                let program = self.processes[at].program.take().expect("all run");
                let (status, took) = program.terminate();
                assert!(status.success(), "SIGTERM: {status}");
                assert!(took < Duration::from_secs(10), "SIGTERM took {took:?}");
                self.count(Event::Left);
            }
            1 => {
                self.processes[at].program.take().expect("all run").kill();
                self.count(Event::Killed);
            }
            moment => {
                let (moment, event) = match moment {
                    2 => (Moment::HalfSent, Event::FrozenHalfSent),
                    _ => (Moment::Held, Event::FrozenHeld),
                };
                let table = ["changes", "raw_records"][self.dice.below(2) as usize];
                self.processes[at].proxy.arm(Rule {
                    table,
                    moment,
                    nth: 1,
                });
                self.until("an insert is under way", |storm, _| {
                    storm.processes[at].proxy.reached()
                });
                self.processes[at].program.as_ref().expect("all run").freeze();
                self.processes[at].frozen = true;
                self.count(event);
            }
        }
        // Who is back before its session ends finds its partitions where they were.
        if self.processes[at].frozen || self.dice.below(3) > 0 {
            self.until("its session ends", |storm, _| {
                storm.site.members(&storm.looker, GROUP).len() < PROCESSES
            });
        }
        let mut moves = self.dice.below(4);
        self.until("the others go on", |_, moved| {
            moves = moves.saturating_sub(u64::from(moved));
            moves == 0
        });
        let process = &mut self.processes[at];
        if std::mem::take(&mut process.frozen) {
            process.program.as_ref().expect("it stands still").thaw();
            // What was held lands late, where the server has not closed the connection meanwhile.
            process.proxy.go_on();
            self.count(Event::Thawed);
        } else {
            process.program = Some(process.config.serve(self.site));
            self.count(Event::Joined);
        }
        self.until("all are members", |storm, _| {
            storm.site.members(&storm.looker, GROUP).len() == PROCESSES
        });
        let mut moves = 1 + self.dice.below(3);
        self.until("they go on", |_, moved| {
            moves = moves.saturating_sub(u64::from(moved));
            moves == 0
        });
    }
}

pub(crate) fn a_storm_of_rebalances_loses_and_doubles_nothing(site: &Site) {
    let rounds = size(4, 52);
    let all = config(site, GROUP, None);
    all.create_topics(site);
    let ledger = site.database(GROUP);
    let processes = (0..PROCESSES)
        .map(|process| {
            let proxy = Proxy::start(site.clickhouse.http_port());
            let mut config = config(site, GROUP, Some(process));
            config.instance = format!("storm_{process}");
            config.clickhouse = proxy.url();
            let program = Some(config.serve(site));
            Process {
                config,
                proxy,
                program,
                frozen: false,
            }
        })
        .collect();
    let mut storm = Storm {
        site,
        looker: site.looker(GROUP),
        feed: Feed::new(SEED, &all),
        poured: Instant::now(),
        processes,
        dice: Dice(SEED),
        events: BTreeMap::new(),
        committed: Vec::new(),
        waits_since: vec![Instant::now(); PARTITIONS],
        idle_max: Duration::ZERO,
        all,
    };
    storm.feed.send(site, POUR);
    storm.until("all partitions are read", |storm, _| {
        storm.committed.iter().all(|committed| committed.offset.is_some())
    });
    storm.idle_max = Duration::ZERO;
    let started = Instant::now();
    (0..rounds).for_each(|round| storm.strike(round));
    let took = started.elapsed();

    let Storm {
        all,
        mut processes,
        feed,
        events,
        idle_max,
        ..
    } = storm;
    let first = processes[0].program.as_mut().expect("all run");
    site.read_to_the_end(&all, first);
    for process in processes {
        let (status, _) = process.program.expect("all run").terminate();
        assert!(status.success(), "SIGTERM: {status}");
    }
    let count: u32 = events.values().sum();
    println!(
        "  {count} events in {:.0} s: {events:?}; {} records, {} events; no partition waited longer than {:.1} s",
        took.as_secs_f32(),
        feed.records,
        feed.events,
        idle_max.as_secs_f32()
    );
    assert!(count >= rounds * 2, "{count}");
    // The hourly check.
    let copies = site.ledger(GROUP).settle_copies(None);
    let copies = copies.expect("the ledger answers");
    println!(
        "  {} second copies found by the last check",
        copies.late_inserts + copies.identical
    );
    site.assert_sent(&ledger, &all);
    site.reference(&config(site, "storm_reference", None));
    site.assert_same_rows(&ledger, GROUP, "storm_reference");
    // What depends on the machine's speed holds where it has nothing else to do.
    assert!(size(true, took <= Duration::from_secs(600)), "{took:?}");
    assert!(size(true, idle_max <= IDLE_MAX), "{idle_max:?}");
}
