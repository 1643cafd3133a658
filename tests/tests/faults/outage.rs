//! ClickHouse away, full, read-only, closed to us, or with another table than we know, while records keep coming: no
//! position passes what is not saved, memory stays bounded, and the backlog is caught up.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use changegate_clickhouse::LedgerClient;
use changegate_engines::{ClickHouse, ClickHouseOptions, Credentials};
use changegate_tests::{Config, Feed, Folder, Served, Site, size, until};
use rdkafka::consumer::BaseConsumer;

const SEED: u64 = 0x5eed_0004;
const DATABASES: [&str; 2] = ["away", "away_reference"];
const POUR_EVERY: Duration = Duration::from_millis(200);
const MEMORY_MIB_MAX: u64 = 512;
/// Of the server, so that the disk can be made smaller than what is in it and larger again.
const DISK_MIB: u64 = 4_096;

/// A disk of the server's own, whose size can be changed. Only an administrator of the machine may have one.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&at).expect("a folder");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={DISK_MIB}m"), "changegate"])
            .arg(&at);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(at))
    }

    fn resize(&self, bytes: u64) {
        let mut mount = Command::new("mount");
        mount
            .args(["-o", &format!("remount,size={bytes}"), "changegate"])
            .arg(&self.0);
        let output = mount.output().expect("mount is there");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Nothing more fits.
    fn fill(&self) {
        let output = Command::new("df")
            .args(["-B1", "--output=used"])
            .arg(&self.0)
            .output();
        let text = String::from_utf8(output.expect("df is there").stdout).expect("text");
        let used = text.lines().nth(1).and_then(|used| used.trim().parse().ok());
        self.resize(used.expect("df says how much is used"));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also where the server still has files open on it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

struct Outage {
    site: Site,
    options: ClickHouseOptions,
    disk: Option<Disk>,
    config: Config,
    ledger: LedgerClient,
    looker: BaseConsumer,
    program: Served,
    feed: Feed,
    /// Events sent at a time.
    pour: u64,
    poured: Instant,
    /// The most that waits for a commit while nothing is wrong.
    usual: u64,
    /// The slowest, in live rates.
    catch_up_min: Option<f64>,
}

impl Outage {
    /// Another life of the server, on the same data and port.
    fn live(&mut self, options: &ClickHouseOptions) {
        self.site.clickhouse.stop().expect("it ends");
        self.site.clickhouse = ClickHouse::start(options).expect("it starts");
    }

    /// What the server has on its disk is whole.
    fn check_disk(&self) {
        for table in ["changes", "raw_records", "rejected", "superseded"] {
            let sql = format!("CHECK TABLE away.{table} SETTINGS check_query_single_value_result = 0");
            for part in self.site.rows(&self.ledger, &sql) {
                assert_eq!(part[1], "1", "{table}: {part:?}");
            }
        }
    }

    fn sql(&self, statement: &str) {
        let done = self.site.wait(self.ledger.execute(statement));
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// Records that are there and not committed.
    fn behind(&self) -> u64 {
        let committed = self.site.committed(&self.looker, &self.config.partitions());
        let behind = committed.iter().map(|committed| {
            let end = self
                .site
                .end_of(&self.looker, &committed.topic, committed.partition);
            end - committed.offset.unwrap_or(0)
        });
        behind.sum::<i64>() as u64
    }

    /// Records come at their rate until it is so.
    #[track_caller]
    fn until(&mut self, what: &str, mut is_due: impl FnMut(&mut Self) -> bool) {
        until(what, || {
            self.program.check();
            if self.poured.elapsed() >= POUR_EVERY {
                self.poured = Instant::now();
                self.feed.send(&self.site, self.pour);
            }
            is_due(self).then_some(())
        });
    }

    /// Trouble of this name, for as long as it takes so many times [`POUR_EVERY`] to come; then it ends.
    fn trouble(
        &mut self,
        reason: &str,
        pours: u64,
        begin: impl FnOnce(&mut Self),
        end: impl FnOnce(&mut Self),
    ) {
        begin(self);
        self.until(&format!("ClickHouse is {reason}"), |outage| {
            outage.program.says("worker-0/clickhouse", reason)
        });
        let enough = self.feed.events + pours * self.pour;
        while self.feed.events < enough {
            let before = self.feed.events;
            self.until("more comes", |outage| outage.feed.events > before);
        }
        // It must not save what is to be found unsaved.
        self.program.freeze();
        end(self);
        let unsaved = self.site.unsaved(&self.ledger, &self.config);
        self.program.thaw();
        let (started, behind, sent) = (Instant::now(), self.behind(), self.feed.records);
        let pour = self.pour;
        self.until("the backlog is read", |outage| outage.behind() <= outage.usual);
        let took = started.elapsed().as_secs_f64();
        let read = behind + (self.feed.records - sent) - self.behind().min(behind);
        let live = pour as f64 / POUR_EVERY.as_secs_f64();
        let rate = read as f64 / took;
        // What is read in a moment says nothing of a rate.
        if behind as f64 >= self.usual as f64 + 5.0 * live {
            let times = rate / live;
            self.catch_up_min = Some(self.catch_up_min.map_or(times, |least| least.min(times)));
        }
        println!(
            "  {reason}: {unsaved} unsaved below the positions, {behind} records behind, read at {rate:.0}/s, \
             {:.1} times the live rate",
            rate / live
        );
        assert_eq!(unsaved, 0, "{reason}: positions beyond what is saved");
        assert!(behind > 0, "{reason}: nothing waited");
    }
}

pub(crate) fn an_outage_of_clickhouse_passes_no_position_and_is_caught_up(_: &Site) {
    // The wait is idle: what an outage of 15 minutes has beyond this is more of the same records in Kafka.
    let (pours, long, pour) = size((8, 25, 60), (100, 450, 400));
    let folder = Folder::new("outage");
    let disk = Disk::mount(folder.path().join("disk"));
    let options = ClickHouseOptions {
        data: Some(folder.path().join("disk/clickhouse")),
        admin: Some(Credentials {
            user: "admin".into(),
            password: "admin".into(),
        }),
        ..Site::clickhouse_options(&DATABASES)
    };
    let site = Site::start_with(&options);
    let options = ClickHouseOptions {
        http_port: Some(site.clickhouse.http_port()),
        ..options
    };
    let config = |name: &str| {
        Config::new(
            &site,
            name,
            &[
                ("away.aws", "aws.cloudtrail", 2),
                ("away.k8s", "kubernetes.audit", 2),
            ],
        )
        .with("http.listen", "\"127.0.0.1:0\"")
        .with("clickhouse.backoff_max", "\"500ms\"")
        .with("decision.approve_from", "20.0")
        .with("decision.learning_period", "\"0h\"")
        .with("decision.approval_max_age", "\"240h\"")
        .with("decision.budget_per_hour", "1000000")
    };
    let (config, reference) = (config("away"), config("away_reference"));
    config.create_topics(&site);
    let ledger = site.database("away");
    let mut outage = Outage {
        looker: site.looker(&config.group),
        program: config.serve(&site),
        feed: Feed::new(SEED, &config),
        options,
        disk,
        config,
        ledger,
        site,
        pour,
        poured: Instant::now(),
        usual: 0,
        catch_up_min: None,
    };
    outage.until("the first rows", |outage| {
        outage.behind() <= 2 * pour && outage.feed.events > 10 * pour
    });
    let enough = outage.feed.events + 25 * pour;
    outage.until("the usual lag", |outage| {
        outage.usual = outage.usual.max(outage.behind());
        outage.feed.events >= enough
    });
    println!(
        "  usually up to {} records wait for their batch's commit",
        outage.usual
    );
    // A batch is closed after a second, and written and committed within another.
    let usual_max = 10 * pour;
    assert!(size(true, outage.usual <= usual_max), "{} records", outage.usual);

    let normal = outage.options.clone();
    let back = |outage: &mut Outage| {
        let normal = outage.options.clone();
        outage.live(&normal);
    };
    outage.trouble(
        "down",
        long,
        |outage| {
            outage.site.clickhouse.stop().expect("it ends");
        },
        |outage| {
            outage.site.clickhouse.restart().expect("it comes back");
        },
    );
    let mut read_only = normal.clone();
    for user in &mut read_only.users {
        user.settings.push(("readonly".into(), "1".into()));
    }
    outage.trouble("read_only", pours, |outage| outage.live(&read_only), back);
    let mut strange = normal.clone();
    strange
        .users
        .iter_mut()
        .for_each(|user| user.password = "another".into());
    outage.trouble("access", pours, |outage| outage.live(&strange), back);
    let mut closed = normal;
    closed.users.iter_mut().for_each(|user| user.grants = Vec::new());
    outage.trouble("access", pours, |outage| outage.live(&closed), back);
    if outage.disk.is_some() {
        println!("  a disk of its own, made as small as what is in it:");
        let disk = |outage: &Outage, change: fn(&Disk)| outage.disk.iter().for_each(change);
        outage.trouble(
            "disk_full",
            pours,
            |outage| disk(outage, Disk::fill),
            |outage| disk(outage, |disk| disk.resize(DISK_MIB << 20)),
        );
        outage.check_disk();
    }
    // By the server's own limit; without rights to mount a disk that is all there is.
    let limit = |outage: &mut Outage, bytes: u64| {
        outage.sql(&format!(
            "ALTER TABLE away.changes MODIFY SETTING min_free_disk_bytes_to_perform_insert = {bytes}"
        ));
    };
    outage.trouble(
        "disk_full",
        pours,
        |outage| limit(outage, 1 << 60),
        |outage| limit(outage, 0),
    );
    outage.trouble(
        "schema",
        pours,
        |outage| outage.sql("ALTER TABLE away.changes RENAME COLUMN marks TO marks_of_old"),
        |outage| outage.sql("ALTER TABLE away.changes RENAME COLUMN marks_of_old TO marks"),
    );
    outage.trouble(
        "schema",
        pours,
        |outage| outage.sql("DETACH TABLE away.raw_records"),
        |outage| outage.sql("ATTACH TABLE away.raw_records"),
    );

    let Outage {
        site,
        config,
        ledger,
        mut program,
        feed,
        catch_up_min,
        // To the end: it is the server's.
        disk: _disk,
        ..
    } = outage;
    site.read_to_the_end(&config, &mut program);
    let memory = program.memory_mib_max();
    assert!(program.terminate().0.success());
    println!(
        "  {} records, {} events; {memory} MiB at most; catching up at {} times the live rate or more",
        feed.records,
        feed.events,
        catch_up_min.map_or("(too short to say)".to_owned(), |times| format!("{times:.1}"))
    );
    assert!(memory <= MEMORY_MIB_MAX, "{memory} MiB");
    site.assert_sent(&ledger, &config);
    site.reference(&reference);
    site.assert_same_rows(&ledger, "away", "away_reference");
    // What depends on the machine's speed holds where it has nothing else to do.
    assert!(size(true, catch_up_min >= Some(2.0)), "{catch_up_min:?}");
}
