//! What the system itself did, as rows of `operations`.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use changegate_clickhouse::ClickHouseLedger;
use changegate_pipeline::ledger::{Ledger, Operation};
use changegate_telemetry::{Tasks, spawn_thread};
use changegate_types::Versions;
use tokio::runtime::Handle;

use crate::stream::now;

const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Who does something here: the person, the machine and the process.
pub(crate) fn who() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let user = named.unwrap_or_else(|| {
        let uid = std::fs::metadata("/proc/self").map(|process| process.uid());
        uid.map_or_else(|_| "unknown".to_owned(), |uid| format!("uid {uid}"))
    });
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    format!("{user}@{} (process {})", host.trim(), std::process::id())
}

/// Writes down that the program runs, with what, and why it ends. A ledger that is away delays the row and nothing else.
pub(crate) fn keep_journal(
    tasks: &Tasks,
    runtime: &Handle,
    ledger: Arc<ClickHouseLedger>,
    command: &'static str,
    versions: Versions,
) -> std::io::Result<()> {
    let (shutdown, runtime) = (tasks.shutdown().clone(), runtime.clone());
    let started = row("start", command, &versions);
    spawn_thread(tasks, "operations", move || {
        let mut backoff = BACKOFF;
        while let Err(error) = ledger.operations(std::slice::from_ref(&started)) {
            tracing::debug!(%error, "could not note the start yet");
            let told = runtime.block_on(async { tokio::time::timeout(backoff, shutdown.wait()).await });
            if told.is_ok() {
                tracing::warn!(%error, "the start could not be noted in operations");
                return;
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
        runtime.block_on(shutdown.wait());
        let stopped = row("stop", shutdown.reason(), &versions);
        if let Err(error) = ledger.operations(&[stopped]) {
            tracing::warn!(%error, "the stop could not be noted in operations");
        }
    })?;
    Ok(())
}

fn row(kind: &str, why: &str, versions: &Versions) -> Operation {
    let details = [
        ("program_version", versions.program_version.clone()),
        ("model", versions.model_name.clone()),
        ("model_hash", versions.model_hash.to_string()),
        ("calibration_hash", versions.calibration_hash.to_string()),
        ("policy_hash", versions.policy_hash.to_string()),
        ("config_hash", versions.config_hash.to_string()),
    ];
    Operation {
        time: now(),
        kind: kind.to_owned(),
        who: who(),
        why: why.to_owned(),
        partition: -1,
        details: details.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        ..Operation::default()
    }
}
