//! The watcher: a small process between us and an engine, so that an engine never outlives its owner.
//!
//! It is our own program started again (`engine watch`). Owner and watcher are tied by a pipe: whatever ends the owner,
//! SIGKILL included, closes the pipe, and the watcher ends the engine. Watcher and engine are tied by the kernel's
//! parent-death signal, which is sound here because the engine is spawned by the watcher's main thread, the last one to
//! end. (Spawned straight from the owner, it would fire when some worker thread of the owner ends.)
//!
//! Words on standard input: `stop`, `kill`, `pause`, `resume`, `keep` (do not remove the folder at the end). Words on
//! standard output: `pid N`, `exit N`, `signal N`, `error TEXT`.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{BufRead, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::sys;

/// How an engine is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopBy {
    /// By SIGTERM.
    Signal,
    /// By the end of its standard input.
    EndOfInput,
}

/// What the watcher runs, and how it ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    /// Takes the engine's standard output and error.
    pub(crate) output: PathBuf,
    /// The engine's working folder.
    pub(crate) folder: PathBuf,
    /// Removed after the engine's end, unless the owner says `keep`.
    pub(crate) remove: Option<PathBuf>,
    pub(crate) stop_by: StopBy,
    /// How long the engine may take to end before it is killed.
    pub(crate) stop_wait: Duration,
    pub(crate) command: Vec<OsString>,
}

impl Task {
    /// The arguments after `engine watch`.
    pub(crate) fn to_args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec![
            self.output.clone().into(),
            self.folder.clone().into(),
            self.remove.clone().unwrap_or_default().into(),
            match self.stop_by {
                StopBy::Signal => "signal".into(),
                StopBy::EndOfInput => "end-of-input".into(),
            },
            self.stop_wait.as_millis().to_string().into(),
        ];
        args.extend(self.command.iter().cloned());
        args
    }

    /// The way back; `None` if they are not what `to_args` writes.
    pub(crate) fn from_args(args: &[OsString]) -> Option<Self> {
        let [output, folder, remove, stop_by, stop_wait, command @ ..] = args else {
            return None;
        };
        let stop_by = match stop_by.to_str()? {
            "signal" => StopBy::Signal,
            "end-of-input" => StopBy::EndOfInput,
            _ => return None,
        };
        Some(Self {
            output: output.into(),
            folder: folder.into(),
            remove: (!remove.is_empty()).then(|| remove.into()),
            stop_by,
            stop_wait: Duration::from_millis(stop_wait.to_str()?.parse().ok()?),
            command: (!command.is_empty()).then(|| command.to_vec())?,
        })
    }
}

enum Event {
    Word(String),
    OwnerGone,
    EngineEnded,
}

/// Runs one engine to its end. Never returns before the engine is gone.
pub(crate) fn run(task: &Task) -> ExitCode {
    // From here on this thread must not end before the engine does: the parent-death signal hangs on it.
    let mut child = match spawn(task) {
        Ok(child) => child,
        Err(reason) => {
            say(&format!("error {reason}"));
            return ExitCode::from(2);
        }
    };
    let input = child.stdin.take();
    say(&format!("pid {}", child.id()));
    let (events, inbox) = channel();
    listen(events.clone());
    let pid = child.id();
    std::thread::spawn(move || {
        // An error means that the process is no child of ours (any more): gone in every case.
        let _ = sys::wait_unreaped(pid);
        let _ = events.send(Event::EngineEnded);
    });
    let mut owner = Owner {
        gone: false,
        keeps_folder: false,
    };
    guard(&mut child, input, &inbox, task, &mut owner);
    match child.wait() {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => say(&format!("exit {code}")),
            (None, signal) => say(&format!("signal {}", signal.unwrap_or_default())),
        },
        Err(error) => say(&format!("error {error}")),
    }
    // The folder is the owner's until it lets go: it may want to read the log, or to start again on the same data.
    while !owner.gone {
        match inbox.recv() {
            Ok(Event::Word(word)) => owner.keeps_folder |= word == "keep",
            Ok(Event::EngineEnded) => {}
            Ok(Event::OwnerGone) | Err(_) => owner.gone = true,
        }
    }
    if let Some(folder) = task.remove.as_ref().filter(|_| !owner.keeps_folder) {
        let _ = std::fs::remove_dir_all(folder);
    }
    ExitCode::SUCCESS
}

struct Owner {
    gone: bool,
    keeps_folder: bool,
}

fn spawn(task: &Task) -> std::io::Result<Child> {
    let (program, args) = task
        .command
        .split_first()
        .ok_or(std::io::ErrorKind::InvalidInput)?;
    let output = OpenOptions::new().create(true).append(true).open(&task.output)?;
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(&task.folder)
        .stdin(match task.stop_by {
            StopBy::Signal => Stdio::null(),
            StopBy::EndOfInput => Stdio::piped(),
        })
        .stdout(output.try_clone()?)
        .stderr(output);
    sys::die_with_spawning_thread(&mut command);
    command.spawn()
}

fn listen(events: Sender<Event>) {
    std::thread::spawn(move || {
        for word in std::io::stdin().lock().lines().map_while(Result::ok) {
            if events.send(Event::Word(word)).is_err() {
                return;
            }
        }
        let _ = events.send(Event::OwnerGone);
    });
}

/// Carries out the owner's words until the engine has ended.
fn guard(
    child: &mut Child,
    mut input: Option<ChildStdin>,
    inbox: &Receiver<Event>,
    task: &Task,
    owner: &mut Owner,
) {
    let mut kill_at: Option<Instant> = None;
    loop {
        let event = match kill_at {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => inbox.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        // The child is not reaped before this loop ends, so its number is its own; a signal to a dead one does nothing.
        match event {
            Ok(Event::EngineEnded) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                kill_at = None;
                let _ = child.kill();
            }
            Ok(Event::OwnerGone) => {
                owner.gone = true;
                ask_to_end(child, &mut input, task);
                kill_at = Some(Instant::now() + task.stop_wait);
            }
            Ok(Event::Word(word)) => match word.as_str() {
                "stop" => {
                    ask_to_end(child, &mut input, task);
                    kill_at = Some(Instant::now() + task.stop_wait);
                }
                "kill" => {
                    let _ = child.kill();
                }
                "pause" => {
                    let _ = sys::signal(child.id(), sys::SIGSTOP);
                }
                "resume" => {
                    let _ = sys::signal(child.id(), sys::SIGCONT);
                }
                "keep" => owner.keeps_folder = true,
                _ => {}
            },
        }
    }
}

fn ask_to_end(child: &Child, input: &mut Option<ChildStdin>, task: &Task) {
    // A paused engine would never notice.
    let _ = sys::signal(child.id(), sys::SIGCONT);
    match task.stop_by {
        StopBy::EndOfInput => drop(input.take()),
        StopBy::Signal => {
            let _ = sys::signal(child.id(), sys::SIGTERM);
        }
    }
}

/// The owner may be gone already; then nobody needs to hear it.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", line.replace('\n', " "));
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_survives_the_way_over_the_command_line() {
        for (remove, stop_by) in [
            (None, StopBy::Signal),
            (Some(PathBuf::from("/d")), StopBy::EndOfInput),
        ] {
            let task = Task {
                output: "/o".into(),
                folder: "/f".into(),
                remove,
                stop_by,
                stop_wait: Duration::from_millis(1_500),
                command: vec!["java".into(), "-cp".into(), "".into()],
            };
            assert_eq!(Task::from_args(&task.to_args()), Some(task));
        }
    }

    #[test]
    fn a_task_without_a_command_is_refused() {
        let args: Vec<OsString> = ["/o", "/f", "", "signal", "1"].iter().map(Into::into).collect();
        assert_eq!(Task::from_args(&args), None);
    }
}
