//! The few system calls that the standard library does not wrap. All `unsafe` about processes stands here.
#![allow(
    unsafe_code,
    reason = "signals, parent-death signal, waiting without reaping and free space have no safe form in std"
)]

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

pub(crate) use libc::{SIGCONT, SIGSTOP, SIGTERM};

/// Sends a signal. The caller must not have reaped the process, or the number may belong to somebody else by now.
pub(crate) fn signal(pid: u32, signal: i32) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: `kill` takes two numbers and touches no memory of ours.
    if unsafe { libc::kill(pid, signal) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Blocks until a child has ended and leaves it unreaped, so that its number stays its own until `Child::wait`.
pub(crate) fn wait_unreaped(pid: u32) -> io::Result<()> {
    // SAFETY: all bytes zero is a valid `siginfo_t`; the call only writes into it.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: `info` is a live, exclusive reference for the whole call.
        if unsafe { libc::waitid(libc::P_PID, pid, &mut info, libc::WEXITED | libc::WNOWAIT) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Makes the kernel kill the child when the **thread** that spawns it ends. Spawn only from a thread that stays to the end.
#[cfg(target_os = "linux")]
pub(crate) fn die_with_spawning_thread(command: &mut Command) {
    let parent = std::process::id();
    let hook = move || {
        // SAFETY: `prctl` with these arguments and `getppid` touch no memory and are async-signal-safe.
        let orphaned = unsafe {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            u32::try_from(libc::getppid()) != Ok(parent)
        };
        // The parent may have died between fork and prctl; then no signal would ever come.
        if orphaned {
            Err(io::ErrorKind::BrokenPipe.into())
        } else {
            Ok(())
        }
    };
    // SAFETY: the hook runs in the forked child, takes no locks and allocates nothing.
    unsafe { command.pre_exec(hook) };
}

/// Other systems have no such signal; there the pipe to the watcher is the only tie.
#[cfg(not(target_os = "linux"))]
pub(crate) fn die_with_spawning_thread(_command: &mut Command) {}

/// Bytes that a user may still write on the disk of this folder.
pub(crate) fn disk_free_bytes(folder: &Path) -> io::Result<u64> {
    let path = CString::new(folder.as_os_str().as_bytes()).map_err(io::Error::other)?;
    // SAFETY: all bytes zero is a valid `statvfs`; the call only writes into it.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` is a live string with its end mark, `stat` a live, exclusive reference.
    if unsafe { libc::statvfs(path.as_ptr(), &mut stat) } != 0 {
        return Err(io::Error::last_os_error());
    }
    #[allow(
        clippy::unnecessary_cast,
        clippy::useless_conversion,
        reason = "the widths differ between platforms"
    )]
    Ok(u64::from(stat.f_bavail).saturating_mul(stat.f_frsize as u64))
}
