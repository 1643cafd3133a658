//! What the process remembers of the stream, over a restart: the scorer's state, the ids of the last events, who has
//! asked, and how far each partition was read for all that.
//!
//! It is a cache of the log. A snapshot holds nothing that is not committed; what was committed since is read again at
//! the start and learned from. A snapshot that is damaged, or of another model, group or database, is not taken: the
//! start is empty then, and `state.learn_back_records` of each partition are learned from again.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use changegate_approval::{AskRules, Asker};
use changegate_config::Settings;
use changegate_pipeline::{ReadTo, Recent};
use changegate_risk::{Model, State};
use sha2::{Digest as _, Sha256};

use crate::setup;

const MAGIC: &[u8] = b"cg-memory-1\n";
const FILE: &str = "memory.snapshot";
const DIGEST_BYTES: usize = 32;

/// How far each partition was read.
#[derive(Debug, Default)]
pub(crate) struct Positions(Mutex<BTreeMap<(String, i32), At>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct At {
    incarnation: u32,
    next: i64,
    /// All of it is committed.
    durable: bool,
}

impl Positions {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, i32), At>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next offset that is not known; `None` where nothing of this life of the partition is.
    pub(crate) fn learned_to(&self, topic: &str, incarnation: u32, partition: i32) -> Option<i64> {
        let positions = self.lock();
        let at = positions.get(&(topic.to_owned(), partition))?;
        (at.incarnation == incarnation).then_some(at.next)
    }

    /// Takes down how far a partition was read. What was read once stays known, and what of it was dropped before it was
    /// committed counts as durable only when it has been read again.
    pub(crate) fn note(&self, place: ReadTo<'_>, durable: bool) {
        let mut positions = self.lock();
        let ReadTo {
            topic,
            incarnation,
            partition,
            next,
        } = place;
        let at = At {
            incarnation,
            next,
            durable,
        };
        let known = positions.entry((topic.to_owned(), partition)).or_insert(at);
        if known.incarnation != incarnation || next >= known.next {
            *known = at;
        } else {
            known.durable = false;
        }
    }

    /// As text, a line each; `None` while a position is not durable.
    fn durable(&self) -> Option<String> {
        let positions = self.lock();
        let mut text = String::new();
        for ((topic, partition), at) in positions.iter() {
            if !at.durable {
                return None;
            }
            // A topic's name holds neither blanks nor tabs.
            text.push_str(&format!(
                "{topic}\t{}\t{partition}\t{}\n",
                at.incarnation, at.next
            ));
        }
        Some(text)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut positions = BTreeMap::new();
        for line in text.lines() {
            let mut cells = line.split('\t');
            let topic = cells.next()?.to_owned();
            let incarnation = cells.next()?.parse().ok()?;
            let partition = cells.next()?.parse().ok()?;
            let next = cells.next()?.parse().ok()?;
            let durable = true;
            positions.insert(
                (topic, partition),
                At {
                    incarnation,
                    next,
                    durable,
                },
            );
        }
        Some(Self(Mutex::new(positions)))
    }
}

/// What there is to keep when all workers stand still.
pub(crate) enum Taken {
    /// Something is not committed.
    Unfit,
    /// The last snapshot holds all of it.
    Current,
    /// A new one.
    Fresh(Snapshot),
}

/// A snapshot on its way to the disk.
pub(crate) struct Snapshot {
    bytes: Vec<u8>,
    positions: String,
}

/// All of it, shared by the workers of the process.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) state: Arc<State>,
    pub(crate) recent: Arc<Recent>,
    pub(crate) asker: Arc<Mutex<Asker>>,
    pub(crate) positions: Arc<Positions>,
    folder: PathBuf,
    /// Whose it is: it serves nobody else.
    identity: String,
    saved: Mutex<String>,
}

impl Memory {
    /// What the last snapshot holds, or nothing.
    pub(crate) fn load(settings: &Settings, model: &Model) -> Self {
        let folder = settings.state.dir.clone();
        let identity = identity(settings, model);
        let empty = || Self {
            state: Arc::new(State::new(model, setup::limits(settings))),
            recent: Arc::new(Recent::new(settings.state.recent_ids_max)),
            asker: Arc::new(Mutex::new(Asker::new(
                ask_rules(settings),
                settings.state.asked_max,
            ))),
            positions: Arc::default(),
            folder: folder.clone(),
            identity: identity.clone(),
            saved: Mutex::default(),
        };
        let file = folder.join(FILE);
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                tracing::info!(file = %file.display(), "no snapshot: the scorer starts empty");
                return empty();
            }
            Err(error) => {
                refused(settings, &file, &error.to_string());
                return empty();
            }
        };
        match read(settings, model, &identity, &bytes) {
            Ok((state, recent, asker, positions)) => {
                tracing::info!(file = %file.display(), partitions = positions.lock().len(), "snapshot read");
                Self {
                    state: Arc::new(state),
                    recent: Arc::new(recent),
                    asker: Arc::new(Mutex::new(asker)),
                    positions: Arc::new(positions),
                    ..empty()
                }
            }
            Err(error) => {
                refused(settings, &file, &format!("{error:#}"));
                empty()
            }
        }
    }

    fn saved(&self) -> MutexGuard<'_, String> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the snapshot. Workers must stand still.
    pub(crate) fn snapshot(&self) -> anyhow::Result<Taken> {
        let Some(positions) = self.positions.durable() else {
            return Ok(Taken::Unfit);
        };
        if *self.saved() == positions {
            return Ok(Taken::Current);
        }
        let mut out = MAGIC.to_vec();
        put(&mut out, self.identity.as_bytes());
        put(&mut out, positions.as_bytes());
        let mut part = Vec::new();
        let asker = self.asker.lock().unwrap_or_else(PoisonError::into_inner);
        asker.save(&mut part);
        drop(asker);
        put(&mut out, &part);
        part.clear();
        self.recent.save(&mut part);
        put(&mut out, &part);
        part.clear();
        self.state.write_snapshot(&mut part)?;
        put(&mut out, &part);
        Ok(Taken::Fresh(Snapshot {
            bytes: out,
            positions,
        }))
    }

    /// Puts it into the place of the one before, whole or not at all.
    pub(crate) fn store(&self, snapshot: Snapshot) -> anyhow::Result<()> {
        let Snapshot { mut bytes, positions } = snapshot;
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest);
        let folder = &self.folder;
        // Names of actors and resources are in it.
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700);
        private
            .create(folder)
            .with_context(|| format!("creating {}", folder.display()))?;
        let (file, fresh) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
        let write = || -> std::io::Result<()> {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mut out = options.open(&fresh)?;
            // One that was left half written may have other rights.
            out.set_permissions(Permissions::from_mode(0o600))?;
            out.write_all(&bytes)?;
            out.sync_all()?;
            std::fs::rename(&fresh, &file)?;
            File::open(folder)?.sync_all()
        };
        write().with_context(|| format!("writing {}", file.display()))?;
        *self.saved() = positions;
        Ok(())
    }
}

pub(crate) fn ask_rules(settings: &Settings) -> AskRules {
    AskRules {
        approval_max_age_micros: settings.decision.approval_max_age.as_micros() as i64,
        learning_approve_from: settings.decision.learning_approve_from,
        budget_per_hour: settings.decision.budget_per_hour,
    }
}

/// A line per fact, so that a refusal can name the one that differs.
fn identity(settings: &Settings, model: &Model) -> String {
    format!(
        "model {}\nconsumer group {}\ndatabase {}\n",
        model.hash(),
        settings.kafka.group,
        settings.clickhouse.database
    )
}

fn refused(settings: &Settings, file: &Path, reason: &str) {
    tracing::warn!(
        file = %file.display(), reason, records = settings.state.learn_back_records,
        "snapshot not taken: the scorer starts empty and learns again from the last records of each partition, \
         as far as the topic still holds them; until then it knows fewer actors"
    );
}

fn put(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u64).to_le_bytes());
    out.extend_from_slice(part);
}

fn take<'b>(bytes: &mut &'b [u8]) -> anyhow::Result<&'b [u8]> {
    let (length, rest) = bytes.split_first_chunk::<8>().context("it ends too early")?;
    let length = usize::try_from(u64::from_le_bytes(*length))?;
    let (part, rest) = rest.split_at_checked(length).context("it ends too early")?;
    *bytes = rest;
    Ok(part)
}

fn read(
    settings: &Settings,
    model: &Model,
    identity: &str,
    bytes: &[u8],
) -> anyhow::Result<(State, Recent, Asker, Positions)> {
    let body = bytes.len().saturating_sub(DIGEST_BYTES);
    let (body, digest) = bytes.split_at(body);
    if Sha256::digest(body)[..] != *digest {
        bail!("it is damaged: its checksum differs");
    }
    let mut rest = body.strip_prefix(MAGIC).context("it is of another version")?;
    let theirs = std::str::from_utf8(take(&mut rest)?)?;
    if let Some((found, expected)) = theirs.lines().zip(identity.lines()).find(|(a, b)| a != b) {
        bail!("it is of {found}, and this process works with {expected}");
    }
    let positions = std::str::from_utf8(take(&mut rest)?)?;
    let positions = Positions::parse(positions).context("its positions are damaged")?;
    let asker = Asker::load(ask_rules(settings), settings.state.asked_max, take(&mut rest)?);
    let asker = asker.context("its list of requests is damaged")?;
    let recent = Recent::load(settings.state.recent_ids_max, take(&mut rest)?);
    let recent = recent.context("its list of recent events is damaged")?;
    let mut state = State::new(model, setup::limits(settings));
    state.read_snapshot(take(&mut rest)?)?;
    Ok((state, recent, asker, positions))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(next: i64) -> ReadTo<'static> {
        ReadTo {
            topic: "t",
            incarnation: 1,
            partition: 0,
            next,
        }
    }

    #[test]
    fn what_was_dropped_is_durable_only_when_it_was_read_again() {
        let positions = Positions::default();
        positions.note(at(10), true);
        assert_eq!(positions.durable().unwrap(), "t\t1\t0\t10\n");
        positions.note(at(50), false);
        assert_eq!(positions.durable(), None);
        positions.note(at(20), true);
        assert_eq!(
            positions.durable(),
            None,
            "20 to 50 were learned from and are not committed"
        );
        assert_eq!(positions.learned_to("t", 1, 0), Some(50));
        positions.note(at(60), true);
        assert_eq!(positions.durable().unwrap(), "t\t1\t0\t60\n");
        assert_eq!(positions.learned_to("t", 2, 0), None, "another life of the topic");
    }

    #[test]
    fn positions_come_back_as_they_were() {
        let positions = Positions::default();
        positions.note(at(10), true);
        let again = Positions::parse(&positions.durable().unwrap()).unwrap();
        assert_eq!(again.learned_to("t", 1, 0), Some(10));
        assert!(Positions::parse("t\t1\n").is_none());
    }
}
