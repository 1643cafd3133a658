//! What `up` and `demo` make by themselves and keep.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::{Error, Secret, Settings};

/// Name of the key's file in `engines.data_dir`.
pub const MASK_KEY_FILE: &str = "mask_key";

impl Settings {
    /// Sets the mask key where none is configured: the one in `engines.data_dir`, or a new one of `random`, kept there
    /// for the next run with access for the owner only. `random` must come from the system's generator.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn ensure_local_mask_key(&mut self, random: &[u8; 32]) -> Result<(), Error> {
        if self.tenant.mask_key.is_some() {
            return Ok(());
        }
        let path = self.engines.data_dir.join(MASK_KEY_FILE);
        let key = read_or_make(&self.engines.data_dir, &path, random).map_err(|source| Error::MaskKey {
            path: path.clone(),
            source,
        })?;
        self.tenant.mask_key = Some(Secret::new(key));
        Ok(())
    }
}

fn read_or_make(dir: &Path, path: &PathBuf, random: &[u8; 32]) -> io::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Ok(text) if text.trim().len() >= 32 => return Ok(text.trim().to_owned()),
        Ok(_) => {
            return Err(io::Error::other(
                "too short to be a key; remove it to make a new one",
            ));
        }
        Err(error) => return Err(error),
    }
    fs::create_dir_all(dir)?;
    let key: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    // Under another name first: a run that is killed here must not leave half a key.
    let whole = dir.join(format!("{MASK_KEY_FILE}.{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&whole)?;
    writeln!(file, "{key}")?;
    file.sync_all()?;
    // Of two runs that start together, the first one's key counts.
    let linked = fs::hard_link(&whole, path);
    fs::remove_file(&whole)?;
    match linked {
        Ok(()) => Ok(key),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(fs::read_to_string(path)?.trim().to_owned())
        }
        Err(error) => Err(error),
    }
}
