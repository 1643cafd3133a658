//! Parse and normalize of other sources than CloudTrail, ours and the rival's, on the same events.

use std::hint::black_box;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use bumpalo::Bump;
use changegate_normalize::Normalizer;

use crate::generic::Generic;
use crate::{KAFKA_TIME, raw_record, records, rival, settings};

/// Name in the table, name of the source, and of its bound.
pub const SOURCES: [(&str, &str, &str); 4] = [
    ("GCP", "gcp.audit", "generic_over_ours_gcp"),
    ("Azure", "azure.activity", "generic_over_ours_azure"),
    ("Kubernetes", "kubernetes.audit", "generic_over_ours_kubernetes"),
    ("GitHub", "github.audit", "generic_over_ours_github"),
];

/// Different events of each.
pub const EVENTS: usize = 1_000;

/// Events that are normalized before the arena is emptied, as the pipeline takes them.
const BLOCK: usize = 250;

/// Writes the events of a source to a file, one a line. Making them up costs more than normalizing them.
///
/// # Errors
/// An unknown source; those of writing.
pub fn write(source: &str, file: &Path) -> anyhow::Result<()> {
    let lines = records::of_source(source, EVENTS)?.join(&b'\n');
    std::fs::write(file, lines).with_context(|| format!("writing {}", file.display()))
}

/// Both sides, ready.
pub struct Pair {
    events: Vec<Vec<u8>>,
    normalizer: Normalizer,
    rival: Generic,
    arena: Bump,
}

impl Pair {
    /// For a source, over the events in a file.
    ///
    /// # Errors
    /// A source without a rival; a file that does not read or is empty.
    pub fn new(source: &str, file: &Path) -> anyhow::Result<Self> {
        let lines = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        ensure!(!lines.is_empty(), "{} is empty", file.display());
        let (topic, tenant) = settings(source)?;
        Ok(Self {
            events: lines.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect(),
            normalizer: Normalizer::new(topic, tenant)?,
            rival: rival(source)?,
            arena: Bump::new(),
        })
    }

    /// So many events through one side.
    ///
    /// # Errors
    /// An unknown side.
    pub fn run(&mut self, side: &str, count: usize) -> anyhow::Result<()> {
        let events = self.events.iter().cycle().take(count);
        match side {
            "normalize" => {
                for (number, event) in events.enumerate() {
                    black_box(self.normalizer.record(&self.arena, &raw_record(black_box(event))));
                    if (number + 1) % BLOCK == 0 {
                        self.arena.reset();
                    }
                }
            }
            "generic" => {
                for event in events {
                    black_box(self.rival.record(KAFKA_TIME, black_box(event)).is_ok());
                }
            }
            other => bail!("no side {other:?}, but normalize and generic"),
        }
        Ok(())
    }
}
