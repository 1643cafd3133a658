//! The local ClickHouse: the embedded library, or a `clickhouse` program where there is one.

mod files;
mod http;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Exit, Result};
use crate::paths::{Paths, launcher};
use crate::place::{Folder, check_port, free_port, random_word, write_private};
use crate::process::Process;
use crate::watch::{StopBy, Task};

pub use files::User;
pub(crate) use files::xml_text;

const ENGINE: &str = "ClickHouse";

/// How a local ClickHouse is started. `ClickHouseOptions::default()` serves tests: free port, temporary folder, and an
/// administrator with a random password and nobody else.
#[derive(Debug, Clone)]
pub struct ClickHouseOptions {
    /// How `changegate engine` is started; by default this program.
    pub launcher: Vec<OsString>,
    /// Where the library is.
    pub paths: Paths,
    /// A `clickhouse` program to take instead; by default the one on the PATH, if any.
    pub binary: Option<PathBuf>,
    /// The data folder; by default a temporary one, removed at the end.
    pub data: Option<PathBuf>,
    /// The HTTP port on 127.0.0.1; by default a free one.
    pub http_port: Option<u16>,
    /// The port of the native protocol; by default it is not opened.
    pub tcp_port: Option<u16>,
    /// The administrator (migrations); by default `changegate_admin` with a random password.
    pub admin: Option<Credentials>,
    /// Everybody else, each with exactly these grants.
    pub users: Vec<User>,
    /// Memory that the server may take, in bytes.
    pub memory_bytes_max: u64,
    /// More server settings (top-level elements of its configuration); they go over ours.
    pub server_settings: Vec<(String, String)>,
    /// Defaults of MergeTree tables; they go over ours.
    pub merge_tree_settings: Vec<(String, String)>,
    /// Query settings that hold for every user.
    pub settings: Vec<(String, String)>,
    /// How long a start may take.
    pub start_wait: Duration,
    /// How long a clean end may take before the server is killed.
    pub stop_wait: Duration,
}

impl Default for ClickHouseOptions {
    fn default() -> Self {
        Self {
            launcher: launcher(),
            paths: Paths::discover(),
            binary: None,
            data: None,
            http_port: None,
            tcp_port: None,
            admin: None,
            users: Vec::new(),
            memory_bytes_max: 2 << 30,
            server_settings: Vec::new(),
            merge_tree_settings: Vec::new(),
            settings: Vec::new(),
            start_wait: Duration::from_secs(60),
            stop_wait: Duration::from_secs(10),
        }
    }
}

/// A name and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// The password, as it is sent.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .field("password", &"***")
            .finish()
    }
}

/// A running server. Dropping it ends the server.
#[derive(Debug)]
pub struct ClickHouse {
    // Before the folder: the process ends first, then the folder goes.
    process: Process,
    plan: Plan,
}

/// Everything a restart needs.
#[derive(Debug)]
struct Plan {
    options: ClickHouseOptions,
    program: Program,
    folder: Folder,
    http_port: u16,
    admin: Credentials,
}

#[derive(Debug)]
enum Program {
    Library(PathBuf),
    Binary(PathBuf),
}

impl ClickHouse {
    /// Starts a server and returns when it answers its administrator. A data folder from an earlier run is taken up where
    /// it was left; users and passwords are those of this call.
    pub fn start(options: &ClickHouseOptions) -> Result<Self> {
        let program = match options.binary.as_ref().or(options.paths.clickhouse.as_ref()) {
            Some(binary) => Program::Binary(binary.clone()),
            None => Program::Library(options.paths.clickhouse_library()?),
        };
        let folder = Folder::new("clickhouse", options.data.as_deref())?;
        let http_port = match options.http_port {
            Some(port) => check_port("clickhouse http_port", port)?,
            None => free_port(&[])?,
        };
        if let Some(port) = options.tcp_port {
            check_port("clickhouse tcp_port", port)?;
        }
        let admin = match &options.admin {
            Some(admin) => admin.clone(),
            None => Credentials {
                user: "changegate_admin".into(),
                password: random_word()?,
            },
        };
        let plan = Plan {
            options: options.clone(),
            program,
            folder,
            http_port,
            admin,
        };
        plan.write_files()?;
        let process = plan.launch()?;
        Ok(Self { process, plan })
    }

    /// The base URL that clients take.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.plan.http_port)
    }

    /// The HTTP port on 127.0.0.1.
    pub fn http_port(&self) -> u16 {
        self.plan.http_port
    }

    /// The administrator.
    pub fn admin(&self) -> &Credentials {
        &self.plan.admin
    }

    /// Runs one statement as this user and gives the body of the answer (TabSeparated unless the statement says
    /// otherwise). For set-up and tests; the stream has a client of its own.
    pub fn query(&self, who: &Credentials, sql: &str) -> Result<String> {
        http::query(self.plan.http_port, who, sql)
    }

    /// The server's process number.
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

    /// Ends it at once (SIGKILL), as a crash would; the data folder stays for [`ClickHouse::restart`].
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

    /// Goes on after [`ClickHouse::pause`].
    pub fn resume(&mut self) {
        self.process.resume();
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        self.plan.folder.path()
    }

    /// The server's error log.
    pub fn log(&self) -> PathBuf {
        self.process.log()
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

impl Plan {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_files(&self) -> Result<()> {
        let data = self.folder.sub("data")?;
        for name in ["tmp", "user_files", "format_schemas"] {
            self.folder.sub(name)?;
        }
        let config = files::config(&files::Server {
            embedded: matches!(self.program, Program::Library(_)),
            folder: self.folder.path(),
            data: &data,
            error_log: &self.file("clickhouse.log"),
            users_file: &self.file("users.xml"),
            http_port: self.http_port,
            tcp_port: self.options.tcp_port,
            memory_bytes_max: self.options.memory_bytes_max,
            settings: &self.options.server_settings,
            merge_tree: &self.options.merge_tree_settings,
        })?;
        write_private(&self.file("config.xml"), &config)?;
        let embedded = matches!(self.program, Program::Library(_));
        let users = files::users(&self.admin, &self.options.users, &self.options.settings, embedded)?;
        write_private(&self.file("users.xml"), &users)
    }

    fn launch(&self) -> Result<Process> {
        let config = self.file("config.xml");
        let (command, stop_by) = match &self.program {
            Program::Library(library) => (self.embedded_command(library, &config), StopBy::EndOfInput),
            Program::Binary(binary) => {
                let mut config_file = OsString::from("--config-file=");
                config_file.push(&config);
                (
                    vec![binary.clone().into(), "server".into(), config_file],
                    StopBy::Signal,
                )
            }
        };
        let task = Task {
            output: self.file("clickhouse.out"),
            folder: self.folder.path().to_owned(),
            remove: self.folder.to_remove(),
            stop_by,
            stop_wait: self.options.stop_wait,
            command,
        };
        let process = Process::start(
            ENGINE,
            &self.options.launcher,
            &task,
            vec![self.file("clickhouse.log")],
        )?;
        // Only our own server knows the password: an answer of somebody else's on this port does not count.
        process.wait_ready(self.options.start_wait, || {
            http::ping(self.http_port)
                && http::query(self.http_port, &self.admin, self.ready_question())
                    .is_ok_and(|answer| answer == "1\n")
        })?;
        Ok(process)
    }

    /// The embedded server is up when its own session has come to its last statement.
    fn ready_question(&self) -> &'static str {
        match self.program {
            Program::Library(_) => {
                "SELECT count() FROM system.processes WHERE query LIKE '%/dev/stdin%' AND user = ''"
            }
            Program::Binary(_) => "SELECT 1",
        }
    }

    /// The library's front end is ClickHouse's local program: it takes statements, opens the server's ports when told to,
    /// and its last statement reads standard input to the end, so that it lives as long as the pipe is held. That statement
    /// stands there a few times, for it is refused once when a question from outside runs at that very moment (see
    /// `files::LOCAL_SESSION`); when the pipe has ended, the ones left end at once.
    fn embedded_command(&self, library: &Path, config: &Path) -> Vec<OsString> {
        let mut command = self.options.launcher.clone();
        command.extend(["clickhouse".into(), library.into()]);
        let mut option = |name: &str, value: &std::ffi::OsStr| {
            let mut word = OsString::from(format!("--{name}="));
            word.push(value);
            command.push(word);
        };
        option("config-file", config.as_os_str());
        option("path", self.file("data").as_os_str());
        option("http_port", self.http_port.to_string().as_ref());
        if let Some(port) = self.options.tcp_port {
            option("tcp_port", port.to_string().as_ref());
        }
        option("listen_host", "127.0.0.1".as_ref());
        command.extend(["--multiquery".into(), "--ignore-error".into()]);
        let listen_tcp = if self.options.tcp_port.is_some() {
            "SYSTEM START LISTEN TCP; "
        } else {
            ""
        };
        let hold =
            "INSERT INTO FUNCTION null('x String') FROM INFILE '/dev/stdin' FORMAT LineAsString; ".repeat(4);
        command.push(format!("--query={listen_tcp}SYSTEM START LISTEN HTTP; {hold}").into());
        command
    }
}
