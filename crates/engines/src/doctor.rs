//! What is there, what is missing, and the command that mends it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::paths::{JAVA_FIX, Paths, SETUP, java_version, on_path};
use crate::sys;

/// Below this a demo or a test run may fill the disk.
const DISK_FREE_MIN: u64 = 5 << 30;
/// Broker, server and program together.
const MEMORY_FREE_MIN: u64 = 2 << 30;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// What it is needed for.
    pub needed_for: &'static str,
    /// Whether it will do.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// The command that mends it; empty when all is well.
    pub fix: String,
}

/// Looks at this machine. Reads and measures only; starts nothing but `java -version`.
pub fn doctor(paths: &Paths) -> Vec<Check> {
    let mut checks = vec![
        java(paths),
        kafka(paths),
        clickhouse(paths),
        cache(paths),
        disk(paths),
        memory(),
    ];
    let engines_missing = checks.iter().any(|check| !check.ok && check.fix == SETUP);
    if engines_missing {
        checks.push(program("mvn", "fetching engine files", "maven"));
        checks.push(program("npm", "fetching engine files", "npm"));
    }
    checks.extend([
        program("cc", "building", "build-essential"),
        program("c++", "building", "build-essential"),
        program("cmake", "building", "cmake"),
        program("pkg-config", "building", "pkg-config"),
        program("perl", "building", "perl"),
        openssl(),
    ]);
    checks
}

const RUNNING: &str = "running locally";

fn check(name: &'static str, needed_for: &'static str, state: Result<String, (String, String)>) -> Check {
    match state {
        Ok(found) => Check {
            name,
            needed_for,
            ok: true,
            found,
            fix: String::new(),
        },
        Err((found, fix)) => Check {
            name,
            needed_for,
            ok: false,
            found,
            fix,
        },
    }
}

fn java(paths: &Paths) -> Check {
    let found = paths
        .java
        .as_deref()
        .map(|java| (java.display().to_string(), java_version(java)));
    let state = match found {
        Some((path, Some(version @ 17..))) => Ok(format!("Java {version} ({path})")),
        Some((path, Some(version))) => {
            Err((format!("Java {version} ({path}), 17 is needed"), JAVA_FIX.into()))
        }
        Some((path, None)) => Err((format!("{path} does not say its version"), JAVA_FIX.into())),
        None => Err(("no java on the PATH or in JAVA_HOME".into(), JAVA_FIX.into())),
    };
    check("Java 17+", RUNNING, state)
}

fn kafka(paths: &Paths) -> Check {
    let folder = paths.engines.join("kafka");
    let missing = paths.missing_jars();
    let damaged = paths.damaged_jars();
    let state = if let Some(first) = missing.first() {
        Err((
            format!(
                "{} jars missing in {}, the first is {first}",
                missing.len(),
                folder.display()
            ),
            SETUP.into(),
        ))
    } else if let Some(first) = damaged.first() {
        let fix = format!("rm -r {} && scripts/setup.sh", folder.display());
        Err((format!("{first} is not the pinned file"), fix))
    } else {
        Ok(format!("all jars in {}", folder.display()))
    };
    check("Kafka", RUNNING, state)
}

fn clickhouse(paths: &Paths) -> Check {
    let state = match (&paths.clickhouse, paths.clickhouse_library()) {
        (Some(binary), _) => match version_line(binary) {
            Some(version) => Ok(format!("{version} ({})", binary.display())),
            None => Err((
                format!("{} does not run", binary.display()),
                "take it off the PATH, or mend it".into(),
            )),
        },
        (None, Ok(library)) => Ok(format!("embedded ({})", library.display())),
        (None, Err(crate::Error::Missing { what, fix })) => Err((format!("{what} is missing"), fix)),
        (None, Err(other)) => Err((other.to_string(), SETUP.into())),
    };
    check("ClickHouse", RUNNING, state)
}

fn version_line(binary: &Path) -> Option<String> {
    let output = Command::new(binary)
        .args(["local", "--version"])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .next()
        .map(str::to_owned)
}

/// The folder itself, or the nearest one above it that exists.
fn existing(path: &Path) -> PathBuf {
    path.ancestors()
        .find(|folder| folder.is_dir())
        .unwrap_or(Path::new("/"))
        .to_owned()
}

fn cache(paths: &Paths) -> Check {
    let folder = existing(&paths.engines);
    let probe = folder.join(format!(".changegate-doctor-{}", std::process::id()));
    let state = match std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)) {
        Ok(()) => Ok(paths.engines.display().to_string()),
        Err(error) => Err((
            format!("cannot write to {}: {error}", folder.display()),
            "export CHANGEGATE_CACHE=<a folder you may write to>".into(),
        )),
    };
    check("cache folder", "fetching engine files", state)
}

fn disk(paths: &Paths) -> Check {
    let folder = existing(&paths.engines);
    let state = match sys::disk_free_bytes(&folder) {
        Ok(free) if free >= DISK_FREE_MIN => Ok(format!("{} free at {}", gib(free), folder.display())),
        Ok(free) => Err((
            format!(
                "{} free at {}, {} are advised",
                gib(free),
                folder.display(),
                gib(DISK_FREE_MIN)
            ),
            "make room, or export CHANGEGATE_CACHE=<a folder on another disk>".into(),
        )),
        Err(error) => Err((
            format!("cannot tell: {error}"),
            format!("df -h {}", folder.display()),
        )),
    };
    check("free disk", RUNNING, state)
}

fn memory() -> Check {
    let available = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| parse_available(&text));
    let state = match available {
        Some(free) if free >= MEMORY_FREE_MIN => Ok(format!("{} available", gib(free))),
        Some(free) => Err((
            format!("{} available, {} are advised", gib(free), gib(MEMORY_FREE_MIN)),
            "end other programs, or use engines on another machine (see the config)".into(),
        )),
        // Not Linux: nothing to go by, and nothing to stop for.
        None => Ok("unknown".into()),
    };
    check("free memory", RUNNING, state)
}

fn parse_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with("MemAvailable:"))?;
    line.split_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

fn program(name: &'static str, needed_for: &'static str, package: &str) -> Check {
    let state = match on_path(name) {
        Some(path) => Ok(path.display().to_string()),
        None => Err((
            "not on the PATH".into(),
            format!("sudo apt-get install -y {package}"),
        )),
    };
    check(name, needed_for, state)
}

fn openssl() -> Check {
    let by_pkg_config = Command::new("pkg-config")
        .args(["--modversion", "openssl"])
        .output()
        .ok()
        .filter(|out| out.status.success());
    let state = match by_pkg_config {
        Some(output) => Ok(format!(
            "OpenSSL {}",
            String::from_utf8_lossy(&output.stdout).trim()
        )),
        None if Path::new("/usr/include/openssl/ssl.h").exists() => Ok("headers in /usr/include".into()),
        None => Err((
            "no OpenSSL headers".into(),
            "sudo apt-get install -y libssl-dev".into(),
        )),
    };
    check("libssl", "building", state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_missing_comes_with_a_command() {
        let nowhere = Paths {
            engines: "/nowhere/engines/x".into(),
            java: None,
            clickhouse: None,
        };
        let checks = doctor(&nowhere);
        let kafka = checks.iter().find(|check| check.name == "Kafka").unwrap();
        assert!(!kafka.ok && kafka.fix.contains("scripts/setup.sh"), "{kafka:?}");
        for check in &checks {
            assert_eq!(check.ok, check.fix.is_empty(), "{check:?}");
            assert!(!check.found.is_empty(), "{check:?}");
        }
    }

    #[test]
    fn available_memory_is_read_in_kibibytes() {
        assert_eq!(
            parse_available("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"),
            Some(2 << 20)
        );
        assert_eq!(parse_available("MemTotal: 9 kB\n"), None);
    }
}
