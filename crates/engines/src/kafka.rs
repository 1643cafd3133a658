//! The local Kafka broker: one node, KRaft, on the machine's JVM.

mod files;
mod probe;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::error::{Error, Exit, IoContext, Result};
use crate::paths::{Paths, launcher};
use crate::place::{Folder, check_port, free_port};
use crate::process::{Process, tail};
use crate::watch::{StopBy, Task};

const ENGINE: &str = "Kafka";

/// How a local broker is started. `KafkaOptions::default()` serves tests: free port, temporary folder.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// How `changegate engine` is started; by default this program.
    pub launcher: Vec<OsString>,
    /// Where Java and the jars are.
    pub paths: Paths,
    /// The data folder; by default a temporary one, removed at the end.
    pub data: Option<PathBuf>,
    /// The port on 127.0.0.1; by default a free one.
    pub port: Option<u16>,
    /// The JVM's heap, in MiB.
    pub heap_mib: u32,
    /// What a record may weigh where its topic says nothing, in bytes: 1 MiB of raw record and room around it.
    pub record_bytes_max: u32,
    /// More broker properties; they go over ours.
    pub properties: Vec<(String, String)>,
    /// More words for the JVM.
    pub jvm_args: Vec<OsString>,
    /// How long a start may take.
    pub start_wait: Duration,
    /// How long a clean end may take before the broker is killed.
    pub stop_wait: Duration,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            launcher: launcher(),
            paths: Paths::discover(),
            data: None,
            port: None,
            heap_mib: 512,
            record_bytes_max: (1 << 20) + (128 << 10),
            properties: Vec::new(),
            jvm_args: Vec::new(),
            start_wait: Duration::from_secs(60),
            stop_wait: Duration::from_secs(10),
        }
    }
}

/// A running broker. Dropping it ends the broker.
#[derive(Debug)]
pub struct Kafka {
    // Before the folder: the process ends first, then the folder goes.
    process: Process,
    plan: Plan,
}

/// Everything a restart needs.
#[derive(Debug)]
struct Plan {
    options: KafkaOptions,
    folder: Folder,
    port: u16,
    controller_port: u16,
    java: PathBuf,
    jars: PathBuf,
}

impl Kafka {
    /// Starts a broker and returns when it answers. A data folder from an earlier run is taken up where it was left.
    pub fn start(options: &KafkaOptions) -> Result<Self> {
        let java = options.paths.checked_java()?.to_owned();
        let jars = options.paths.kafka_jars()?;
        let folder = Folder::new("kafka", options.data.as_deref())?;
        let port = match options.port {
            Some(port) => check_port("kafka port", port)?,
            None => free_port(&[])?,
        };
        let controller_port = free_port(&[port])?;
        let plan = Plan {
            options: options.clone(),
            folder,
            port,
            controller_port,
            java,
            jars,
        };
        plan.write_files()?;
        plan.format()?;
        let process = plan.launch()?;
        Ok(Self { process, plan })
    }

    /// What clients take as `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.plan.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.plan.port
    }

    /// The JVM's process number.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// How it ended, if it has.
    pub fn try_wait(&self) -> Option<Exit> {
        self.process.exit()
    }

    /// Whether it runs.
    pub fn is_alive(&self) -> bool {
        self.try_wait().is_none()
    }

    /// An error with the last lines of the log if it has ended.
    pub fn check(&self) -> Result<()> {
        self.process.check()
    }

    /// Ends it at once (SIGKILL), as a crash would; the data folder stays for [`Kafka::restart`].
    pub fn kill(&mut self) -> Result<Exit> {
        self.process.kill()
    }

    /// Ends it cleanly; the data folder stays until the value is dropped.
    pub fn stop(&mut self) -> Result<Exit> {
        self.process.stop()
    }

    /// Starts it again on the same port and data; ends it first if it still runs.
    pub fn restart(&mut self) -> Result<()> {
        if self.is_alive() {
            self.process.stop()?;
        }
        self.process.keep_folder();
        self.process = self.plan.launch()?;
        Ok(())
    }

    /// Freezes it (SIGSTOP): the port stays open and nothing answers.
    pub fn pause(&mut self) {
        self.process.pause();
    }

    /// Goes on after [`Kafka::pause`].
    pub fn resume(&mut self) {
        self.process.resume();
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        self.plan.folder.path()
    }

    /// The broker's log file.
    pub fn log(&self) -> PathBuf {
        self.process.log()
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

impl Plan {
    fn properties_file(&self) -> PathBuf {
        self.folder.path().join("server.properties")
    }

    fn logging_file(&self) -> PathBuf {
        self.folder.path().join("log4j2.xml")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("kafka.log")
    }

    fn logs_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn write_files(&self) -> Result<()> {
        self.folder.sub("tmp")?;
        let properties = files::server_properties(&files::Settings {
            port: self.port,
            controller_port: self.controller_port,
            data: &self.logs_folder(),
            record_bytes_max: self.options.record_bytes_max,
            extra: &self.options.properties,
        })?;
        let path = self.properties_file();
        std::fs::write(&path, properties).io("write", path)?;
        let path = self.logging_file();
        std::fs::write(&path, files::log4j(&self.log_file())).io("write", path)
    }

    /// Gives an empty data folder its cluster id and first metadata. Does nothing on a folder that has them.
    fn format(&self) -> Result<()> {
        if self.logs_folder().join("meta.properties").exists() {
            return Ok(());
        }
        let output = Command::new(&self.java)
            .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(self.class_path())
            .args([
                "kafka.tools.StorageTool",
                "format",
                "--cluster-id",
                files::CLUSTER_ID,
                "--config",
            ])
            .arg(self.properties_file())
            .output()
            .io("run", &self.java)?;
        if output.status.success() {
            return Ok(());
        }
        let log = self.folder.path().join("format.out");
        std::fs::write(&log, [output.stdout, output.stderr].concat()).io("write", &log)?;
        let exit = Exit::Code(output.status.code().unwrap_or(-1));
        Err(Error::Crashed {
            engine: "Kafka's storage tool",
            exit,
            log_tail: tail(&log),
            log,
        })
    }

    fn launch(&self) -> Result<Process> {
        let options = &self.options;
        let mut command: Vec<OsString> = vec![
            self.java.clone().into(),
            format!("-Xmx{}m", options.heap_mib).into(),
            "-XX:+UseSerialGC".into(),
            // A broker without memory is no broker: end, so that somebody notices.
            "-XX:+ExitOnOutOfMemoryError".into(),
            // Native codecs are unpacked there; a killed JVM leaves them behind.
            prefixed("-Djava.io.tmpdir=", &self.folder.path().join("tmp")),
            prefixed("-Dlog4j2.configurationFile=", &self.logging_file()),
        ];
        command.extend(options.jvm_args.iter().cloned());
        command.extend([
            "-cp".into(),
            self.class_path(),
            "kafka.Kafka".into(),
            self.properties_file().into(),
        ]);
        let task = Task {
            output: self.folder.path().join("kafka.out"),
            folder: self.folder.path().to_owned(),
            remove: self.folder.to_remove(),
            stop_by: StopBy::Signal,
            stop_wait: options.stop_wait,
            command,
        };
        let process = Process::start(ENGINE, &options.launcher, &task, vec![self.log_file()])?;
        process.wait_ready(options.start_wait, || probe::answers(self.port))?;
        Ok(process)
    }

    fn class_path(&self) -> OsString {
        // Java itself expands the star.
        self.jars.join("*").into()
    }
}

fn prefixed(prefix: &str, path: &Path) -> OsString {
    let mut word = OsString::from(prefix);
    word.push(path);
    word
}
