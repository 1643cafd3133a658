//! Where engine files and programs are: the cache folder that `scripts/setup.sh` fills, the JRE, a ClickHouse on the PATH.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// What `scripts/setup.sh` pins. The folder's key is the hash of this very file, so program and set-up agree or differ
/// together.
const PINS: &str = include_str!("../../../deploy/engines/checksums.txt");

/// The command that mends a missing engine file.
pub(crate) const SETUP: &str = "run scripts/setup.sh (or `make setup`)";

/// The folders and programs that engines are started from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The cache folder of the engine files: `kafka/*.jar`, `clickhouse/libchdb.so`.
    pub engines: PathBuf,
    /// The Java program: `$JAVA_HOME/bin/java` or the one on the PATH.
    pub java: Option<PathBuf>,
    /// A `clickhouse` program on the PATH; it goes before the embedded one.
    pub clickhouse: Option<PathBuf>,
}

impl Paths {
    /// Looks at `CHANGEGATE_CACHE`, `XDG_CACHE_HOME`, `HOME`, `JAVA_HOME` and `PATH`.
    pub fn discover() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let cache = set("CHANGEGATE_CACHE").map(PathBuf::from).unwrap_or_else(|| {
            set("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .unwrap_or_else(|| PathBuf::from(set("HOME").unwrap_or_else(|| "/".into())).join(".cache"))
                .join("changegate")
        });
        let cache = std::path::absolute(&cache).unwrap_or(cache);
        let java_home = set("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
        Self {
            engines: cache.join("engines").join(pins_key()),
            java: java_home
                .filter(|java| is_program(java))
                .or_else(|| on_path("java")),
            clickhouse: on_path("clickhouse"),
        }
    }

    /// The folder of Kafka's jars, if every pinned one is there.
    pub(crate) fn kafka_jars(&self) -> Result<PathBuf> {
        let folder = self.engines.join("kafka");
        match self.missing_jars().first() {
            None => Ok(folder),
            Some(jar) => Err(Error::Missing {
                what: folder.join(jar).display().to_string(),
                fix: SETUP.into(),
            }),
        }
    }

    /// Names of pinned jars that are not there, or empty.
    pub(crate) fn missing_jars(&self) -> Vec<&'static str> {
        pinned("kafka/")
            .map(|(name, _)| name)
            .filter(|jar| !has_bytes(&self.engines.join("kafka").join(jar)))
            .collect()
    }

    /// Names of jars whose bytes are not the pinned ones. Reads them all.
    pub(crate) fn damaged_jars(&self) -> Vec<&'static str> {
        pinned("kafka/")
            .filter(|(jar, sum)| {
                std::fs::read(self.engines.join("kafka").join(jar))
                    .is_ok_and(|bytes| hex(&Sha256::digest(&bytes)) != *sum)
            })
            .map(|(jar, _)| jar)
            .collect()
    }

    /// The ClickHouse engine as a library.
    pub(crate) fn clickhouse_library(&self) -> Result<PathBuf> {
        let library = self.engines.join("clickhouse/libchdb.so");
        if has_bytes(&library) {
            return Ok(library);
        }
        let fix = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            SETUP.to_owned()
        } else {
            "the library is pinned for Linux on x86_64 only; put a `clickhouse` program (25.8 or newer) on the PATH".into()
        };
        Err(Error::Missing {
            what: library.display().to_string(),
            fix,
        })
    }

    /// Java, 17 or newer.
    pub(crate) fn checked_java(&self) -> Result<&Path> {
        let missing = |what: String| Error::Missing {
            what,
            fix: JAVA_FIX.into(),
        };
        let java = self
            .java
            .as_deref()
            .ok_or_else(|| missing("a Java runtime (17 or newer)".into()))?;
        match java_version(java) {
            Some(17..) => Ok(java),
            Some(old) => Err(missing(format!("Java 17 or newer ({} is {old})", java.display()))),
            None => Err(missing(format!(
                "a working Java ({} does not say its version)",
                java.display()
            ))),
        }
    }
}

/// The command that brings a Java.
pub(crate) const JAVA_FIX: &str = "sudo apt-get install -y openjdk-17-jre-headless (or a newer one)";

/// The major version of a Java program.
pub(crate) fn java_version(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").output().ok()?;
    parse_java_version(&String::from_utf8_lossy(&output.stderr))
}

fn parse_java_version(text: &str) -> Option<u32> {
    let quoted = text.split("version \"").nth(1)?;
    let major = quoted.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    // Up to Java 8 the version was written 1.8.
    if major == 1 {
        quoted.split('.').nth(1)?.parse().ok()
    } else {
        Some(major)
    }
}

/// The first program of this name on the PATH.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn has_bytes(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.len() > 0)
}

/// The pinned files below a prefix: name without the prefix, and SHA-256 in hex.
fn pinned(prefix: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    PINS.lines().filter_map(move |line| {
        let (sum, path) = line.split_once("  ")?;
        Some((path.strip_prefix(prefix)?, sum))
    })
}

/// First 16 hex digits of the pin file's hash, as `scripts/setup.sh` cuts it.
fn pins_key() -> String {
    hex(&Sha256::digest(PINS.as_bytes())).chars().take(16).collect()
}

/// Bytes as lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How a process of ours starts the engine entry point of [`crate::engine_main`]: this program, `engine`.
pub fn launcher() -> Vec<OsString> {
    let program = std::env::current_exe().unwrap_or_else(|_| "changegate".into());
    vec![program.into(), "engine".into()]
}

/// The same for a test or bench: the program of this name in the folder where cargo put it, found from the test's own
/// place (`target/<profile>/deps/<test>`).
pub fn launcher_of_build(program: &str) -> Result<Vec<OsString>> {
    let test = std::env::current_exe().unwrap_or_default();
    let found = test
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(program))
        .find(|path| is_program(path));
    let found = found.ok_or_else(|| Error::Missing {
        what: format!("the program `{program}` beside {}", test.display()),
        fix: format!("cargo build --release --bin {program} (same profile and target folder as the tests)"),
    })?;
    Ok(vec![found.into(), "engine".into()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_versions_old_and_new_are_read() {
        for (text, expected) in [
            ("openjdk version \"17.0.15\" 2025-04-15", Some(17)),
            ("openjdk version \"21\" 2023-09-19", Some(21)),
            ("java version \"1.8.0_392\"", Some(8)),
            ("openjdk version \"25-ea\" 2025-09-16", Some(25)),
            ("The operation couldn't be completed.", None),
        ] {
            assert_eq!(parse_java_version(text), expected, "{text}");
        }
    }

    #[test]
    fn every_pin_is_a_sha256_of_a_known_folder() {
        let pins: Vec<&str> = PINS.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(pins.len() > 40, "{} pins", pins.len());
        for line in pins {
            let (sum, path) = line.split_once("  ").unwrap();
            assert!(
                sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{line}"
            );
            assert!(
                ["kafka/", "pack/", "clickhouse/"]
                    .iter()
                    .any(|prefix| path.starts_with(prefix)),
                "{line}"
            );
        }
    }

    #[test]
    fn a_missing_jar_names_itself_and_the_command() {
        let paths = Paths {
            engines: "/nowhere".into(),
            java: None,
            clickhouse: None,
        };
        let error = paths.kafka_jars().unwrap_err().to_string();
        assert!(
            error.contains("/nowhere/kafka/") && error.contains("scripts/setup.sh"),
            "{error}"
        );
    }
}
