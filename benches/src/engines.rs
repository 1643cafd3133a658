//! Real engines and the program against them, for what is measured end to end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use changegate_engines::{ClickHouse, ClickHouseOptions, Kafka, KafkaOptions};
use changegate_kafka::{Sender, Settings};
use changegate_simulator::{Config, Simulation, header_pairs};
use changegate_telemetry::{Clock as _, SystemClock};

use crate::{machine, records};

/// One topic of a run.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// The source it carries.
    pub source: String,
    /// In how many partitions.
    pub partitions: u16,
}

impl Topic {
    /// A topic of CloudTrail records in four partitions.
    pub fn cloudtrail(name: &str) -> Self {
        Self {
            name: format!("changegate.raw.{name}"),
            source: "aws.cloudtrail".to_owned(),
            partitions: 4,
        }
    }

    /// One for each source, by its name.
    pub fn of_all_sources() -> BTreeMap<&'static str, Self> {
        changegate_normalize::source_names()
            .map(|source| {
                let topic = Self {
                    name: format!("changegate.raw.{source}.v1"),
                    source: source.to_owned(),
                    partitions: 4,
                };
                (source, topic)
            })
            .collect()
    }
}

/// What another program needs to ask the server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: String,
    pub(crate) user: String,
    pub(crate) password: String,
}

/// What the client library does by the clock, which runs fifty times too fast under valgrind: there it would do nothing but
/// add up, ask for records where there are none, and look whether there is room for more.
pub(crate) const COUNTED: [(&str, &str); 3] = [
    ("statistics.interval.ms", "100000"),
    ("fetch.wait.max.ms", "2500"),
    ("fetch.queue.backoff.ms", "100"),
];

/// A broker, a server and a folder for what belongs to a run. All end with it.
#[derive(Debug)]
pub struct Engines {
    clickhouse: ClickHouse,
    kafka: Kafka,
    folder: PathBuf,
}

impl Engines {
    /// Starts both.
    ///
    /// # Errors
    /// What is missing on this machine, with what to do about it.
    pub fn start() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("changegate-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let launcher = vec![program()?.into(), "engine".into()];
        let clickhouse = ClickHouse::start(&ClickHouseOptions {
            launcher: launcher.clone(),
            memory_bytes_max: 6 << 30,
            server_settings: vec![(
                // One for each of the rival's consumers, and room.
                "background_message_broker_schedule_pool_size".to_owned(),
                "4".to_owned(),
            )],
            ..ClickHouseOptions::default()
        })?;
        let kafka = Kafka::start(&KafkaOptions {
            launcher,
            // All members of a group get their partitions at once: none fetches what becomes another's.
            properties: vec![("group.initial.rebalance.delay.ms".to_owned(), "3000".to_owned())],
            ..KafkaOptions::default()
        })?;
        Ok(Self {
            clickhouse,
            kafka,
            folder,
        })
    }

    /// Asks the server as its administrator.
    ///
    /// # Errors
    /// What the server says.
    pub fn query(&self, sql: &str) -> anyhow::Result<String> {
        let answer = self.clickhouse.query(self.clickhouse.admin(), sql);
        answer.with_context(|| format!("asking: {sql}"))
    }

    /// A number that the server answers with.
    ///
    /// # Errors
    /// What the server says, and what is no number.
    pub fn number<T>(&self, sql: &str) -> anyhow::Result<T>
    where
        T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        let answer = self.query(sql)?;
        let number = answer.trim().parse();
        number.with_context(|| format!("{sql} was answered with {answer}"))
    }

    /// The server, for what concerns its process.
    pub fn clickhouse(&mut self) -> &mut ClickHouse {
        &mut self.clickhouse
    }

    /// Where the server listens, and its administrator.
    pub(crate) fn server(&self) -> Server {
        let admin = self.clickhouse.admin();
        Server {
            host: "127.0.0.1".to_owned(),
            port: self.clickhouse.http_port().to_string(),
            user: admin.user.clone(),
            password: admin.password.clone(),
        }
    }

    /// The server's CPU time so far.
    ///
    /// # Errors
    /// A server that has ended.
    pub fn server_cpu(&self) -> anyhow::Result<Duration> {
        machine::cpu(self.clickhouse.pid().context("the server has ended")?)
    }

    /// Waits until the server has had nothing to merge for three seconds.
    ///
    /// # Errors
    /// What the server says; merges for ten minutes.
    pub fn quiet(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut since = started;
        while since.elapsed() < Duration::from_secs(3) {
            ensure!(
                started.elapsed() < Duration::from_secs(600),
                "the server merges for ten minutes"
            );
            std::thread::sleep(Duration::from_millis(200));
            if self.number::<u64>("SELECT count() FROM system.merges")? > 0 {
                since = Instant::now();
            }
        }
        Ok(())
    }

    /// Bytes on disk of a database, all its tables.
    ///
    /// # Errors
    /// What the server says.
    pub fn bytes_on_disk(&self, database: &str) -> anyhow::Result<u64> {
        self.number(&format!(
            "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = '{database}'"
        ))
    }

    /// The folder of this run.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Kafka as the program's consumer and producer see it. Valgrind slows a member down fifty times.
    pub fn kafka(&self) -> Settings {
        Settings {
            bootstrap: self.kafka.bootstrap(),
            group: "bench".to_owned(),
            session_timeout: Duration::from_secs(300),
            max_poll_interval: Duration::from_secs(1_800),
            record_bytes_max: 2 << 20,
            properties: Vec::new(),
        }
    }

    /// Writes a configuration for these topics, and prepares database and topics.
    ///
    /// # Errors
    /// Where the program says so.
    pub fn prepare(&self, name: &str, topics: &[Topic], more: &str) -> anyhow::Result<PathBuf> {
        let admin = self.clickhouse.admin();
        let mut text = format!(
            r#"[tenant]
mask_key = "0123456789abcdef0123456789abcdef"
[kafka]
bootstrap = "{}"
group = "{name}"
session_timeout = "5m"
max_poll_interval = "30m"
# What is made up reaches back a month; the broker would delete what is older than its topic keeps.
retention = "3650d"
[clickhouse]
url = "{}"
database = "{name}"
user = "{}"
password = "{}"
send_timeout = "5m"
query_timeout = "10m"
[http]
listen = ""
[state]
dir = "{}"
# By the clock, which runs fifty times too fast under valgrind.
snapshot_interval = "12h"
{more}
"#,
            self.kafka.bootstrap(),
            self.clickhouse.url(),
            admin.user,
            admin.password,
            self.folder.join(name).display()
        );
        for topic in topics {
            text += &format!(
                "[[topics]]\nname = \"{}\"\nsource = \"{}\"\npartitions = {}\n",
                topic.name, topic.source, topic.partitions
            );
        }
        let file = self.folder.join(format!("{name}.toml"));
        std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        for command in ["migrate", "topics"] {
            let output = changegate(&file)?.arg(command).output()?;
            ensure!(
                output.status.success(),
                "changegate {command}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(file)
    }

    /// Something to send records with.
    ///
    /// # Errors
    /// Those of the client library.
    pub fn sender(&self) -> anyhow::Result<Sender> {
        Ok(Sender::new(&self.kafka())?)
    }

    /// Fills a topic with so many made-up CloudTrail records.
    ///
    /// # Errors
    /// Those of the client library; a broker that does not take them within minutes.
    pub fn fill(&self, topic: &Topic, records: u64) -> anyhow::Result<()> {
        let mut sender = self.sender()?;
        for number in 0..records {
            let record = records::cloudtrail_one(number);
            sender.send(&topic.name, None, &[], record.as_bytes(), now_ms())?;
        }
        Ok(sender.finish(Duration::from_secs(120))?)
    }

    /// Sends what a made-up organisation does, each record to the topic of its source, and shows it. How many.
    ///
    /// # Errors
    /// Those of the client library and of `each`; a broker that does not take them within minutes.
    pub fn simulate(
        &self,
        topics: &BTreeMap<&'static str, Topic>,
        config: Config,
        mut each: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64> {
        let mut sender = self.sender()?;
        let mut sent = 0;
        Simulation::new(config).run(|emitted| -> anyhow::Result<()> {
            let Some(topic) = topics.get(emitted.source) else {
                return Ok(());
            };
            let headers = header_pairs(emitted.headers);
            sender.send(
                &topic.name,
                emitted.key,
                &headers,
                emitted.value,
                emitted.record_time_ms,
            )?;
            each(emitted.value)?;
            sent += 1;
            Ok(())
        })?;
        sender.finish(Duration::from_secs(120))?;
        Ok(sent)
    }

    /// Records whose rows are in the ledger.
    ///
    /// # Errors
    /// What the server says.
    pub fn written(&self, database: &str) -> anyhow::Result<u64> {
        self.number(&format!("SELECT count() FROM {database}.raw_records"))
    }

    /// Runs the program's stream until it has written this many records; it runs on.
    ///
    /// # Errors
    /// A program that ends before, or writes nothing for ten minutes, with the end of its log.
    pub fn run(&self, serve: Command, database: &str, records: u64) -> anyhow::Result<Child> {
        let mut running = self.serve(serve, database)?;
        match self.wait(&mut running, database, records) {
            Ok(()) => Ok(running),
            Err(error) => {
                running.kill().and_then(|()| running.wait())?;
                Err(error)
            }
        }
    }

    /// Starts the program's stream.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn serve(&self, mut serve: Command, database: &str) -> anyhow::Result<Child> {
        let file = std::fs::File::create(self.log(database))?;
        serve
            .arg("serve")
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {serve:?}"))
    }

    /// Waits until the program has written this many records.
    ///
    /// # Errors
    /// A program that ends before, or writes nothing for ten minutes, with the end of its log.
    pub fn wait(&self, running: &mut Child, database: &str, records: u64) -> anyhow::Result<()> {
        let Err(error) = self.wait_for(database, records, running) else {
            return Ok(());
        };
        let said = std::fs::read_to_string(self.log(database))?;
        let lines: Vec<&str> = said.lines().collect();
        let end = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default();
        bail!("{error:#}; it said\n{}", end.join("\n"))
    }

    fn log(&self, database: &str) -> PathBuf {
        self.folder.join(format!("{database}.log"))
    }

    fn wait_for(&self, database: &str, records: u64, running: &mut Child) -> anyhow::Result<()> {
        let mut last = (0, Instant::now());
        loop {
            let written = self.written(database)?;
            if written >= records {
                return Ok(());
            }
            if written > last.0 {
                last = (written, Instant::now());
            }
            if let Some(status) = running.try_wait()? {
                bail!("the program ended with {status} at {written} of {records} records");
            }
            if last.1.elapsed() > Duration::from_secs(600) {
                bail!("the program stands still at {written} of {records} records");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            eprintln!("{} stays: {error}", self.folder.display());
        }
    }
}

/// The program, with no configuration.
///
/// # Errors
/// Where it was not built.
pub fn program_alone() -> anyhow::Result<Command> {
    Ok(Command::new(program()?))
}

/// The program of this build.
fn program() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let program = std::env::var_os("CHANGEGATE_PROGRAM")
        .map_or_else(|| own.with_file_name("changegate"), PathBuf::from);
    ensure!(
        program.is_file(),
        "{} is missing: cargo build --release -p changegate",
        program.display()
    );
    Ok(program)
}

/// The program with this configuration, away from any other; models lie beside the sources.
///
/// # Errors
/// Where it was not built.
pub fn changegate(config: &Path) -> anyhow::Result<Command> {
    run_by(Command::new(program()?), config)
}

/// The same, its instructions counted into `counts`.
///
/// # Errors
/// Where it was not built.
pub fn counted(config: &Path, counts: &Path) -> anyhow::Result<Command> {
    let mut command = callgrind(counts);
    command.arg(program()?);
    run_by(command, config)
}

fn run_by(mut command: Command, config: &Path) -> anyhow::Result<Command> {
    command.arg("--config").arg(config);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    command.stdin(Stdio::null());
    Ok(command)
}

/// Valgrind, counting instructions into a file.
pub fn callgrind(counts: &Path) -> Command {
    let mut command = Command::new("valgrind");
    let mut out = std::ffi::OsString::from("--callgrind-out-file=");
    out.push(counts);
    command.args(["--quiet", "--tool=callgrind"]).arg(out);
    // Valgrind counts each byte of `rep movsb`, which copies many at once: large copies go the way of middling ones.
    let tunables = ["movsb", "stosb"].map(|what| format!("glibc.cpu.x86_rep_{what}_threshold=1073741824"));
    command.env("GLIBC_TUNABLES", tunables.join(":"));
    command
}

/// Asks a process to end, and waits.
///
/// # Errors
/// Where it cannot be asked.
pub fn stop(mut running: Child) -> anyhow::Result<()> {
    let asked = Command::new("kill")
        .arg("-TERM")
        .arg(running.id().to_string())
        .status()?;
    ensure!(asked.success(), "kill: {asked}");
    running.wait()?;
    Ok(())
}

/// Now, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    SystemClock.now().millis()
}
