/// Ends the process at a named point, for the tests that kill it there.
///
/// With the feature `crash-points` the variable `CHANGEGATE_CRASH_AT=name:n` aborts at the n-th passing of the point
/// (from 1). Without the feature, as in release builds, nothing of it is compiled.
#[cfg(feature = "crash-points")]
pub fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static AT: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let at = AT.get_or_init(|| {
        let setting = std::env::var("CHANGEGATE_CRASH_AT").ok()?;
        let (name, count) = setting.rsplit_once(':')?;
        Some((name.to_owned(), count.parse().ok()?))
    });
    if let Some((_, count)) = at.as_ref().filter(|(at, _)| at == name)
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *count
    {
        std::process::abort();
    }
}

/// Nothing: the feature `crash-points` is off.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn point(_name: &str) {}

/// Every point of a process that does all of the work, in the order of a tick; one that normalizes alone has `before_child`
/// and `after_child` too. Then those around the snapshot of what the process remembers. An acknowledgement is
/// the brokers', of a message.
pub const POINTS: [&str; 20] = [
    "before_fence",
    "after_fence",
    "before_insert_changes",
    "after_insert_changes",
    "before_insert_rejected",
    "after_insert_rejected",
    "before_insert_superseded",
    "after_insert_superseded",
    "before_insert_raw_records",
    "after_insert_raw_records",
    "before_request",
    "after_request",
    "before_dead_letter",
    "after_dead_letter",
    "before_acknowledgement",
    "after_acknowledgement",
    "before_close",
    "after_close",
    "before_snapshot",
    "after_snapshot",
];
