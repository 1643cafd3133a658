//! The owner's side of the watcher: one engine process as a value.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Exit, Result};
use crate::watch::Task;

/// How often readiness is asked for.
const PROBE_EVERY: Duration = Duration::from_millis(20);
/// What the watcher may take beyond the engine's own time to end.
const WATCHER_WAIT: Duration = Duration::from_secs(5);
/// Lines of the log that an error shows.
const TAIL_LINES: usize = 20;
/// A tail is looked for in this many last bytes.
const TAIL_BYTES: u64 = 64 * 1024;

#[derive(Debug, Default)]
struct Seen {
    pid: Option<u32>,
    exit: Option<Exit>,
    failure: Option<String>,
    /// The watcher has closed its output.
    closed: bool,
}

type Shared = Arc<(Mutex<Seen>, Condvar)>;

/// A running engine. Dropping it ends the engine, asking first.
#[derive(Debug)]
pub(crate) struct Process {
    engine: &'static str,
    watcher: Child,
    /// The tie to the watcher: closed by our end, however it comes.
    control: Option<ChildStdin>,
    shared: Shared,
    logs: Vec<PathBuf>,
    stop_wait: Duration,
}

impl Process {
    /// Starts `launcher watch <task>` and waits until the watcher has the engine's process number. The engine's own log
    /// files are `logs`; what it prints goes into `task.output`.
    pub(crate) fn start(
        engine: &'static str,
        launcher: &[OsString],
        task: &Task,
        logs: Vec<PathBuf>,
    ) -> Result<Self> {
        let launch_error = |reason: String| Error::Launch {
            engine,
            program: launcher
                .iter()
                .map(|word| word.to_string_lossy())
                .collect::<Vec<_>>()
                .join(" "),
            reason,
        };
        let (program, first_args) = launcher
            .split_first()
            .ok_or_else(|| launch_error("no program given".into()))?;
        let mut watcher = Command::new(program)
            .args(first_args)
            .arg("watch")
            .args(task.to_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Engines speak UTC, whatever the machine's zone; the embedded ClickHouse takes it from here alone.
            .env("TZ", "UTC")
            // Out of the terminal's foreground group: Ctrl-C is for the owner, which flushes first and then ends engines.
            .process_group(0)
            .spawn()
            .map_err(|error| launch_error(error.to_string()))?;
        let control = watcher.stdin.take();
        let shared: Shared = Arc::default();
        if let Some(output) = watcher.stdout.take() {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || listen(output, &shared));
        }
        let mut process = Self {
            engine,
            watcher,
            control,
            shared,
            logs,
            stop_wait: task.stop_wait,
        };
        process.logs.push(task.output.clone());
        let seen = process.wait_until(Instant::now() + WATCHER_WAIT, |seen| {
            seen.pid.is_some() || seen.failure.is_some() || seen.closed
        });
        if seen.pid.is_some() {
            drop(seen);
            return Ok(process);
        }
        let reason = seen.failure.clone().unwrap_or_else(|| {
            "it did not answer as the watcher; it must be the changegate program (`changegate engine`)".into()
        });
        drop(seen);
        Err(launch_error(reason))
    }

    /// The engine's process number.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.seen().pid
    }

    /// How it ended, if it has.
    pub(crate) fn exit(&self) -> Option<Exit> {
        let seen = self.seen();
        // A watcher that is gone took the engine with it.
        seen.exit.or(seen.closed.then_some(Exit::Signal(libc::SIGKILL)))
    }

    /// Nothing while it runs, else the report with the last lines of its log.
    pub(crate) fn check(&self) -> Result<()> {
        match self.exit() {
            None => Ok(()),
            Some(exit) => Err(Error::Crashed {
                engine: self.engine,
                exit,
                log: self.log(),
                log_tail: self.log_tail(),
            }),
        }
    }

    /// Asks `probe` until it says yes, the engine ends, or the time is up.
    pub(crate) fn wait_ready(&self, wait: Duration, mut probe: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + wait;
        loop {
            self.check()?;
            if probe() {
                // Somebody else may have answered on our port while our engine failed to bind it.
                return self.check();
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(Error::NotReady {
                    engine: self.engine,
                    waited: wait,
                    log: self.log(),
                    log_tail: self.log_tail(),
                });
            }
            drop(self.wait_until(deadline.min(now + PROBE_EVERY), |seen| {
                seen.exit.is_some() || seen.closed
            }));
        }
    }

    /// Ends it in its own way, by force when it takes longer than its time.
    pub(crate) fn stop(&mut self) -> Result<Exit> {
        self.say("stop");
        self.wait_exit(self.stop_wait + WATCHER_WAIT)
    }

    /// SIGKILL, as a crash would.
    pub(crate) fn kill(&mut self) -> Result<Exit> {
        self.say("kill");
        self.wait_exit(WATCHER_WAIT)
    }

    /// SIGSTOP.
    pub(crate) fn pause(&mut self) {
        self.say("pause");
    }

    /// SIGCONT.
    pub(crate) fn resume(&mut self) {
        self.say("resume");
    }

    /// The data folder outlives this process: another one will be started on it.
    pub(crate) fn keep_folder(&mut self) {
        self.say("keep");
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.logs.first().cloned().unwrap_or_default()
    }

    /// The last lines of the engine's log, then of what it printed.
    pub(crate) fn log_tail(&self) -> String {
        let tails: Vec<String> = self
            .logs
            .iter()
            .map(|log| tail(log))
            .filter(|tail| !tail.is_empty())
            .collect();
        if tails.is_empty() {
            "(the log is empty)".into()
        } else {
            tails.join("\n")
        }
    }

    fn wait_exit(&self, wait: Duration) -> Result<Exit> {
        drop(self.wait_until(Instant::now() + wait, |seen| seen.exit.is_some() || seen.closed));
        self.exit().ok_or_else(|| Error::NotReady {
            engine: self.engine,
            waited: wait,
            log: self.log(),
            log_tail: self.log_tail(),
        })
    }

    fn say(&mut self, word: &str) {
        // A watcher that is gone has nothing left to do for us; `exit` tells.
        if let Some(control) = &mut self.control {
            let _ = writeln!(control, "{word}");
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until(&self, deadline: Instant, done: impl Fn(&Seen) -> bool) -> MutexGuard<'_, Seen> {
        let mut seen = self.seen();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if done(&seen) || left.is_zero() {
                return seen;
            }
            seen = self
                .shared
                .1
                .wait_timeout(seen, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.control = None;
        let deadline = Instant::now() + self.stop_wait + WATCHER_WAIT;
        if !self.wait_until(deadline, |seen| seen.closed).closed {
            let _ = self.watcher.kill(); // the kernel kills the engine with it
        }
        let _ = self.watcher.wait();
    }
}

fn listen(output: ChildStdout, shared: &Shared) {
    let update = |change: &dyn Fn(&mut Seen)| {
        change(&mut shared.0.lock().unwrap_or_else(PoisonError::into_inner));
        shared.1.notify_all();
    };
    for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match word {
            "pid" => update(&|seen| seen.pid = rest.parse().ok()),
            "exit" => update(&|seen| seen.exit = rest.parse().ok().map(Exit::Code)),
            "signal" => update(&|seen| seen.exit = rest.parse().ok().map(Exit::Signal)),
            "error" => update(&|seen| seen.failure = Some(rest.to_owned())),
            _ => {}
        }
    }
    update(&|seen| seen.closed = true);
}

/// The last lines of a file; empty when there is none.
pub(crate) fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !is_frame(line))
        .collect();
    lines
        .get(lines.len().saturating_sub(TAIL_LINES)..)
        .unwrap_or_default()
        .join("\n")
}

/// A line of a stack trace, of Java or of ClickHouse: thirty of them would hide the one that says what happened.
fn is_frame(line: &str) -> bool {
    let numbered = line.split_once(". ").is_some_and(|(number, frame)| {
        number.bytes().all(|byte| byte.is_ascii_digit()) && frame.contains(" @ 0x")
    });
    numbered || line.starts_with("\tat ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_last_twenty_lines_that_say_something() {
        let path = std::env::temp_dir().join(format!("changegate-tail-{}", std::process::id()));
        let text: String = (1..=50).map(|number| format!("line {number}\n\n")).collect();
        std::fs::write(&path, text).unwrap();
        let tail = tail(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(tail.lines().count(), 20);
        assert!(
            tail.starts_with("line 31\n") && tail.ends_with("line 50"),
            "{tail}"
        );
    }

    #[test]
    fn a_program_that_is_no_watcher_is_an_error_that_says_so() {
        let task = Task {
            output: "/dev/null".into(),
            folder: "/".into(),
            remove: None,
            stop_by: crate::watch::StopBy::Signal,
            stop_wait: Duration::from_secs(1),
            command: vec!["true".into()],
        };
        let error = Process::start("Kafka", &["/bin/true".into()], &task, Vec::new())
            .unwrap_err()
            .to_string();
        assert!(error.contains("must be the changegate program"), "{error}");
    }
}
