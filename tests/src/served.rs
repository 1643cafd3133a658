use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::site::Site;
use crate::{CHANGEGATE, CRASH_POINTS, program, root, until};

/// A configuration of `changegate serve` for a test.
#[derive(Clone, Debug)]
pub struct Config {
    /// Consumer group.
    pub group: String,
    /// Name of the process within it, and of its files.
    pub instance: String,
    /// Database.
    pub database: String,
    /// Where ClickHouse is; a proxy maybe.
    pub clickhouse: String,
    /// Topic, source, partitions.
    pub topics: Vec<(String, &'static str, i32)>,
    /// Where requests go.
    pub approval_topic: String,
    /// More lines, each `section.key = value`.
    pub more: Vec<(&'static str, String)>,
    /// Which program of this build.
    pub program: &'static str,
    /// Variables of the process.
    pub variables: Vec<(&'static str, String)>,
}

impl Config {
    /// Small batches, no probes, an approval topic of its own.
    pub fn new(site: &Site, name: &str, topics: &[(&str, &'static str, i32)]) -> Self {
        Self {
            group: name.to_owned(),
            instance: name.to_owned(),
            database: name.to_owned(),
            clickhouse: site.clickhouse.url(),
            topics: topics
                .iter()
                .map(|(topic, source, partitions)| ((*topic).to_owned(), *source, *partitions))
                .collect(),
            approval_topic: format!("{name}.approval"),
            more: Vec::new(),
            program: CHANGEGATE,
            variables: Vec::new(),
        }
    }

    /// Sets a key, its value as TOML.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.more.retain(|(other, _)| *other != key);
        self.more.push((key, value.into()));
        self
    }

    /// Ends itself, as a crash would, at the n-th passing of a named point of `changegate_pipeline::crash`.
    #[must_use]
    pub fn crashing_at(mut self, point: &str, nth: u64) -> Self {
        self.program = CRASH_POINTS;
        self.variables
            .push(("CHANGEGATE_CRASH_AT", format!("{point}:{nth}")));
        self
    }

    /// Topics and their partitions.
    pub fn partitions(&self) -> Vec<(&str, i32)> {
        self.topics
            .iter()
            .map(|(topic, _, partitions)| (topic.as_str(), *partitions))
            .collect()
    }

    /// Makes the raw topics, the dead-letter topics and the approval topic.
    pub fn create_topics(&self, site: &Site) {
        let dead: Vec<String> = self
            .topics
            .iter()
            .map(|(topic, ..)| format!("{topic}.dlq"))
            .collect();
        let mut all = self.partitions();
        all.extend(dead.iter().map(|topic| (topic.as_str(), 1)));
        all.push((&self.approval_topic, 1));
        site.create_topics(&all);
    }

    fn text(&self, site: &Site) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: &str| {
            if !text.contains(&format!("{key} = ")) {
                let _ = writeln!(text, "{key} = {value}");
            }
        };
        for (key, value) in &self.more {
            line(key, value);
        }
        let quoted = |value: &str| format!("{value:?}");
        line("tenant.mask_key", &quoted("a key for tests only"));
        line("kafka.bootstrap", &quoted(&site.kafka.bootstrap()));
        line("kafka.group", &quoted(&self.group));
        line("kafka.instance_id", &quoted(&self.instance));
        line("clickhouse.url", &quoted(&self.clickhouse));
        line("clickhouse.database", &quoted(&self.database));
        line("clickhouse.user", &quoted("writer"));
        line("clickhouse.password", &quoted("writer"));
        line("decision.approval_topic", &quoted(&self.approval_topic));
        line("http.listen", &quoted(""));
        line("telemetry.log_format", &quoted("text"));
        let state = site.folder().join(format!("{}-state", self.instance));
        line("state.dir", &quoted(&state.display().to_string()));
        for (topic, source, partitions) in &self.topics {
            let _ = writeln!(
                text,
                "[[topics]]\nname = {topic:?}\nsource = {source:?}\npartitions = {partitions}"
            );
        }
        text
    }

    /// Starts the program.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn serve(&self, site: &Site) -> Served {
        let file = site.folder().join(format!("{}.toml", self.instance));
        std::fs::write(&file, self.text(site)).expect("the configuration is written");
        let log = site.folder().join(format!("{}.log", self.instance));
        let out = std::fs::OpenOptions::new().create(true).append(true).open(&log);
        let out = out.expect("a log file");
        let mut command = Command::new(program(self.program));
        command
            .current_dir(root())
            .arg("--config")
            .arg(&file)
            .arg("serve")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stderr(out.try_clone().expect("a second handle"))
            .stdout(out);
        Served {
            child: command.spawn().expect("the program starts"),
            log,
        }
    }
}

/// A running `changegate serve`. Dropping it kills it.
#[derive(Debug)]
pub struct Served {
    child: Child,
    log: PathBuf,
}

impl Served {
    /// `kill -9`.
    ///
    /// # Panics
    /// Where it had ended by itself.
    #[track_caller]
    pub fn kill(mut self) {
        self.check();
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// It runs.
    ///
    /// # Panics
    /// Where it does not, with the end of its log.
    #[track_caller]
    pub fn check(&mut self) {
        if let Some(status) = self.child.try_wait().expect("a child of ours") {
            panic!("the program ended with {status}:\n{}", self.log_tail());
        }
    }

    /// SIGTERM, and how long it took to end.
    ///
    /// # Panics
    /// Where it does not end.
    #[track_caller]
    pub fn terminate(mut self) -> (ExitStatus, Duration) {
        self.check();
        let started = Instant::now();
        self.signal("-TERM");
        let status = until("the program ends after SIGTERM", || {
            self.child.try_wait().expect("a child of ours")
        });
        (status, started.elapsed())
    }

    /// SIGSTOP: it stands still, and its connections stay open.
    ///
    /// # Panics
    /// Where the system refuses.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT: it goes on, and does not know that time has passed.
    ///
    /// # Panics
    /// Where the system refuses.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {signal}");
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_some()
    }

    /// Waits until it has ended by itself.
    pub fn ended(&mut self) -> ExitStatus {
        until("the program ends", || {
            self.child.try_wait().expect("a child of ours")
        })
    }

    /// Where its probes and metrics are, once it has said so.
    pub fn probes(&self) -> Option<SocketAddr> {
        let log = self.log();
        let line = log
            .lines()
            .rev()
            .find(|line| line.contains("serving probes and metrics"))?;
        line.split("address=")
            .nth(1)?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    }

    /// The answer to a GET: status and body.
    ///
    /// # Panics
    /// Where nothing answers.
    #[track_caller]
    pub fn get(&self, path: &str) -> (u16, String) {
        let address = until("the program says where its probes are", || self.probes());
        let mut stream = TcpStream::connect(address).expect("the program listens");
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status.expect("a status line"), body.to_owned())
    }

    /// Whether it says that this component is not ready, for this reason; it is not ready as a whole then.
    pub fn says(&self, component: &str, reason: &str) -> bool {
        let (status, body) = self.get("/readyz");
        let own = body
            .split('{')
            .find(|part| part.contains(&format!("\"component\":\"{component}\"")));
        let reason = format!("\"reason\":\"{reason}\"");
        own.is_some_and(|own| own.contains(&reason) && own.contains("\"since\":\"") && status == 503)
    }

    /// The most memory it has taken so far, in MiB.
    pub fn memory_mib_max(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("a process has memory") / 1_024
    }

    /// What it has said, and its predecessors of the same name.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Whether it ended itself at a point of [`Config::crashing_at`].
    pub fn crashed(&mut self) -> bool {
        const SIGABRT: i32 = 6;
        self.ended().signal() == Some(SIGABRT)
    }

    /// The end of what it has said.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

impl Drop for Served {
    fn drop(&mut self) {
        // It has ended already, or ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
