//! Ports, folders and random words for one engine.

use std::collections::hash_map::RandomState;
use std::fs::DirBuilder;
use std::hash::{BuildHasher, Hasher};
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext, Result};
use crate::paths::hex;

/// Ports are drawn here, below the range from which the system takes ports for outgoing connections, so that no
/// connection takes one between our look and the engine's bind.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const PORT_TRIES: u32 = 200;

/// A port on 127.0.0.1 that nobody listens on, other than `taken`.
pub(crate) fn free_port(taken: &[u16]) -> Result<u16> {
    for _ in 0..PORT_TRIES {
        let drawn = RandomState::new().build_hasher().finish() % u64::from(PORTS.end - PORTS.start);
        let port = PORTS.start + drawn as u16;
        if !taken.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Error::BadOption {
        option: "port".into(),
        reason: format!(
            "no free one found between {} and {}; give one",
            PORTS.start, PORTS.end
        ),
    })
}

/// Says early and clearly that a port that was asked for is taken.
pub(crate) fn check_port(option: &str, port: u16) -> Result<u16> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(port),
        Err(error) => Err(Error::BadOption {
            option: format!("{option} {port}"),
            reason: error.to_string(),
        }),
    }
}

/// A word nobody can guess: 32 hex digits.
pub(crate) fn random_word() -> Result<String> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0_u8; 16];
    std::fs::File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .io("read", source)?;
    Ok(hex(&bytes))
}

/// The data folder of an engine: the caller's, or a temporary one that goes with the value.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    pub(crate) fn new(engine: &str, given: Option<&Path>) -> Result<Self> {
        let (path, temporary) = match given {
            Some(path) => (std::path::absolute(path).io("use", path)?, false),
            None => (
                std::env::temp_dir().join(format!("changegate-{engine}-{}", random_word()?)),
                true,
            ),
        };
        let folder = Self { path, temporary };
        folder.make(&folder.path)?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// For the watcher, which removes it even when we are killed.
    pub(crate) fn to_remove(&self) -> Option<PathBuf> {
        self.temporary.then(|| self.path.clone())
    }

    /// Makes a folder inside, readable by this user alone.
    pub(crate) fn sub(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        self.make(&path)?;
        Ok(path)
    }

    fn make(&self, path: &Path) -> Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .io("create", path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Writes a file that only this user may read (it may hold passwords).
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let _ = std::fs::remove_file(path); // an older one may have wider rights
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .io("write", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_before_the_engine_starts() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = holder.local_addr().unwrap().port();
        let error = check_port("kafka port", port).unwrap_err().to_string();
        assert!(error.contains(&format!("kafka port {port}")), "{error}");
    }

    #[test]
    fn a_temporary_folder_goes_and_a_given_one_stays() {
        let temporary = Folder::new("test", None).unwrap();
        let path = temporary.path().to_owned();
        assert!(path.is_dir());
        drop(temporary);
        assert!(!path.exists());
        let given = Folder::new("test", Some(&path)).unwrap();
        assert_eq!(given.to_remove(), None);
        drop(given);
        assert!(path.is_dir());
        std::fs::remove_dir(path).unwrap();
    }
}
