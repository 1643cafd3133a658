use std::{
    collections::BTreeMap,
    future::Future,
    io,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use tracing::{error, info, warn};

/// The word that it is time to end. Cloned into every loop.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<ShutdownInner>);

#[derive(Debug)]
struct ShutdownInner {
    requested: AtomicBool,
    reason: OnceLock<String>,
    tell: watch::Sender<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self(Arc::new(ShutdownInner {
            requested: AtomicBool::new(false),
            reason: OnceLock::new(),
            tell: watch::Sender::new(false),
        }))
    }
}

impl Shutdown {
    /// Asks everybody to end; the first one to ask is logged with the reason.
    pub fn request(&self, reason: &str) {
        if !self.0.requested.swap(true, Ordering::AcqRel) {
            info!(reason, "shutdown requested");
            self.0.reason.get_or_init(|| reason.to_owned());
            self.0.tell.send_replace(true);
        }
    }

    /// What the first one who asked said; empty before.
    pub fn reason(&self) -> &str {
        self.0.reason.get().map_or("", String::as_str)
    }

    /// For loops on threads: one atomic load.
    pub fn requested(&self) -> bool {
        self.0.requested.load(Ordering::Acquire)
    }

    /// For futures: ends when shutdown is requested, at once if it was.
    pub async fn wait(&self) {
        let mut told = self.0.tell.subscribe();
        // The sender lives as long as `self`, so this cannot fail before it is told.
        let _ = told.wait_for(|requested| *requested).await;
    }
}

/// All tasks and threads of the process by name, and their common [`Shutdown`].
#[derive(Clone, Debug, Default)]
pub struct Tasks(Arc<TasksInner>);

#[derive(Debug, Default)]
struct TasksInner {
    shutdown: Shutdown,
    next_id: AtomicU64,
    running: Mutex<BTreeMap<u64, String>>,
    panicked: Mutex<Vec<String>>,
    changed: watch::Sender<()>,
}

/// How the tasks ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Still running when the time was up.
    pub unfinished: Vec<String>,
    /// Panicked, now or before.
    pub panicked: Vec<String>,
}

impl Stopped {
    /// Whether all came to their own end.
    pub fn is_clean(&self) -> bool {
        self.unfinished.is_empty() && self.panicked.is_empty()
    }
}

impl Tasks {
    /// Nothing runs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The common word to end.
    pub fn shutdown(&self) -> &Shutdown {
        &self.0.shutdown
    }

    /// Names of what runs now.
    pub fn running(&self) -> Vec<String> {
        lock(&self.0.running).values().cloned().collect()
    }

    /// Asks all to end and waits for them, `within` at most.
    pub async fn stop(&self, within: Duration) -> Stopped {
        self.0.shutdown.request("stop");
        let ended = timeout(within, self.all_ended()).await;
        let stopped = Stopped {
            unfinished: self.running(),
            panicked: lock(&self.0.panicked).clone(),
        };
        if ended.is_err() {
            warn!(tasks = stopped.unfinished.join(", "), "tasks did not end in time");
        }
        stopped
    }

    async fn all_ended(&self) {
        let mut changed = self.0.changed.subscribe();
        while !lock(&self.0.running).is_empty() {
            // The sender lives in `self`.
            let _ = changed.changed().await;
        }
    }

    fn enter(&self, name: &str) -> Running {
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        lock(&self.0.running).insert(id, name.to_owned());
        Running {
            tasks: self.clone(),
            id,
            name: name.to_owned(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Both collections are whole after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Dropped when the task is over, however it ends.
struct Running {
    tasks: Tasks,
    id: u64,
    name: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        if thread::panicking() {
            error!(task = self.name, "task panicked, shutting down");
            lock(&self.tasks.0.panicked).push(self.name.clone());
            self.tasks.0.shutdown.request("a task panicked");
        }
        lock(&self.tasks.0.running).remove(&self.id);
        self.tasks.0.changed.send_replace(());
    }
}

/// Runs a future on the runtime under a name; [`Tasks::stop`] waits for it, and a panic in it shuts the process down.
///
/// # Panics
/// Outside a tokio runtime.
#[allow(clippy::disallowed_methods, reason = "the one place where tasks are spawned")]
pub fn spawn<F>(tasks: &Tasks, name: &str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let running = tasks.enter(name);
    tokio::spawn(async move {
        let _running = running;
        future.await
    })
}

/// As [`spawn`], for a loop that blocks: a thread of its own with that name.
///
/// # Errors
/// The system gives no thread.
pub fn spawn_thread<T: Send + 'static>(
    tasks: &Tasks,
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<thread::JoinHandle<T>> {
    let running = tasks.enter(name);
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _running = running;
        body()
    })
}

/// SIGTERM and SIGINT ask for shutdown; a second one ends the process at once, with exit code 2. That is safe at any
/// point: what was not committed is read again.
///
/// # Errors
/// The system gives no signal handler.
pub fn shutdown_on_signals(tasks: &Tasks) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = tasks.shutdown().clone();
    let watch = async move {
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if shutdown.requested() {
                warn!(signal = name, "second signal, leaving at once");
                std::process::exit(2);
            }
            shutdown.request(name);
        }
    };
    // It outlives the shutdown on purpose, so it is no task that shutdown waits for.
    tokio::runtime::Handle::current().spawn(watch);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stop_waits_for_tasks_and_threads() {
        let tasks = Tasks::new();
        let shutdown = tasks.shutdown().clone();
        let task = spawn(&tasks, "task", async move {
            shutdown.wait().await;
            7
        });
        let shutdown = tasks.shutdown().clone();
        spawn_thread(&tasks, "thread", move || {
            while !shutdown.requested() {
                thread::yield_now();
            }
        })
        .unwrap();
        assert_eq!(tasks.running(), ["task", "thread"]);
        let stopped = tasks.stop(Duration::from_secs(30)).await;
        assert!(stopped.is_clean(), "{stopped:?}");
        assert_eq!(task.await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_end_is_named() {
        let tasks = Tasks::new();
        spawn(&tasks, "deaf", std::future::pending::<()>());
        spawn(&tasks, "good", async {});
        let stopped = tasks.stop(Duration::from_secs(10)).await;
        assert_eq!(stopped.unfinished, ["deaf"]);
        assert!(stopped.panicked.is_empty());
    }

    #[tokio::test]
    async fn a_panic_shuts_down_and_is_named() {
        let tasks = Tasks::new();
        let task = spawn(&tasks, "bad", async { panic!("on purpose") });
        tasks.shutdown().wait().await;
        assert!(task.await.unwrap_err().is_panic());
        let stopped = tasks.stop(Duration::from_secs(30)).await;
        assert_eq!(stopped.panicked, ["bad"]);
        assert!(stopped.unfinished.is_empty());
    }

    #[tokio::test]
    async fn sigterm_asks_for_shutdown() {
        let tasks = Tasks::new();
        shutdown_on_signals(&tasks).unwrap();
        assert!(!tasks.shutdown().requested());
        let killed = std::process::Command::new("sh")
            .args(["-c", "kill -TERM \"$PPID\""])
            .status()
            .unwrap();
        assert!(killed.success());
        tasks.shutdown().wait().await;
    }

    #[tokio::test]
    async fn waiting_after_the_request_ends_at_once() {
        let shutdown = Shutdown::default();
        assert!(!shutdown.requested());
        shutdown.request("test");
        shutdown.wait().await;
        assert!(shutdown.requested());
    }
}
