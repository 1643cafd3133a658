//! Writes a run as files: one record a line by source, compressed deliveries in files of their own, the truth beside.
//! Where the files are is the caller's business.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::simulation::Emitted;

/// Opens files by name.
pub trait Folder {
    /// What is written to.
    type File: Write;

    /// Creates the file; the name may hold one folder.
    fn create(&mut self, name: &str) -> io::Result<Self::File>;
}

/// Writes records and truth.
pub struct Files<F: Folder> {
    folder: F,
    open: BTreeMap<String, F::File>,
    truth: F::File,
    line: Vec<u8>,
}

impl<F: Folder> Files<F> {
    /// Starts with `truth.jsonl`.
    pub fn new(mut folder: F) -> io::Result<Self> {
        let truth = folder.create("truth.jsonl")?;
        Ok(Self {
            folder,
            open: BTreeMap::new(),
            truth,
            line: Vec::new(),
        })
    }

    /// Writes one record and what is true about it.
    ///
    /// Headers of webhooks go into the line (`{"headers":…,"body":…}`), as files have no headers; the cluster of a
    /// Kubernetes record goes into the name of the file.
    pub fn write(&mut self, emitted: &Emitted<'_>) -> io::Result<()> {
        for truth in emitted.truth {
            self.line.clear();
            serde_json::to_writer(&mut self.line, truth)?;
            self.line.push(b'\n');
            self.truth.write_all(&self.line)?;
        }
        if let Some(name) = emitted.file.filter(|_| emitted.malformed.is_none()) {
            return self.folder.create(name)?.write_all(emitted.value);
        }
        self.line.clear();
        self.line_of(emitted);
        self.line.push(b'\n');
        let cluster = emitted.headers.iter().find(|(name, _)| *name == "cluster");
        let name = match cluster {
            Some((_, cluster)) => format!("{}.{}.jsonl", emitted.source, String::from_utf8_lossy(cluster)),
            None => format!("{}.jsonl", emitted.source),
        };
        if !self.open.contains_key(&name) {
            let file = self.folder.create(&name)?;
            self.open.insert(name.clone(), file);
        }
        match self.open.get_mut(&name) {
            Some(file) => file.write_all(&self.line),
            None => Ok(()),
        }
    }

    fn line_of(&mut self, emitted: &Emitted<'_>) {
        let webhook = emitted.source.ends_with(".webhook") && !emitted.headers.is_empty();
        if !webhook || emitted.malformed.is_some_and(|kind| kind.is_unreadable()) {
            self.line.extend_from_slice(emitted.value);
            return;
        }
        self.line.extend_from_slice(br#"{"headers":{"#);
        for (at, (name, value)) in emitted.headers.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            self.line
                .extend_from_slice(format!("{comma}\"{name}\":\"").as_bytes());
            crate::put::escape(value, &mut self.line);
            self.line.push(b'"');
        }
        self.line.extend_from_slice(br#"},"body":"#);
        self.line.extend_from_slice(emitted.value);
        self.line.push(b'}');
    }

    /// Flushes all files.
    pub fn finish(mut self) -> io::Result<()> {
        self.truth.flush()?;
        for file in self.open.values_mut() {
            file.flush()?;
        }
        Ok(())
    }
}
