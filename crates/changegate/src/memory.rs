//! What the process remembers of the stream, over a restart: the scorer's state, the ids of the last events, who has
//! asked, and how far each partition was read for all that.
//!
//! It is a cache of the log. A snapshot holds nothing that is not committed; what was committed since is read again at
//! the start and learned from, and so it is when a batch was dropped that the scorer had learned from already. A snapshot
//! that is damaged, or of another model, group or database, is not taken: the
//! start is empty then, and `state.learn_back_records` of each partition are learned from again.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use changegate_approval::{AskRules, Asker};
use changegate_config::Settings;
use changegate_pipeline::{ReadTo, Recent, crash};
use changegate_risk::{Model, State};
use sha2::{Digest as _, Sha256};

use crate::setup;

const MAGIC: &[u8] = b"cg-memory-1\n";
const FILE: &str = "memory.snapshot";
const DIGEST_BYTES: usize = 32;

/// How far each partition was read.
#[derive(Debug, Default)]
pub(crate) struct Positions(Mutex<Marks>);

#[derive(Debug, Default)]
struct Marks {
    read: BTreeMap<(String, i32), At>,
    /// Where reading began of what no snapshot told of.
    began: BTreeMap<(String, i32), At>,
    /// Something was learned that is not committed and will be read again.
    spoilt: bool,
}

/// A place in one life of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct At {
    incarnation: u32,
    next: i64,
}

impl Positions {
    fn lock(&self) -> MutexGuard<'_, Marks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next offset that is not known; where nothing of this life of the partition is, it begins at the one given.
    pub(crate) fn learn_from(&self, place: ReadTo<'_>) -> i64 {
        let (key, at) = At::of(place);
        let mut marks = self.lock();
        match marks.read.get(&key) {
            Some(known) if known.incarnation == at.incarnation => known.next,
            _ => {
                marks.read.insert(key.clone(), at);
                marks.began.insert(key, at);
                at.next
            }
        }
    }

    /// Takes down how far a partition was read. What was read once stays known, unless it is not `durable`: then all that
    /// was learned since the last snapshot is spoilt.
    pub(crate) fn note(&self, place: ReadTo<'_>, durable: bool) {
        let (key, at) = At::of(place);
        let mut marks = self.lock();
        let known = marks.read.entry(key).or_insert(at);
        if known.incarnation != at.incarnation || at.next > known.next {
            *known = at;
        }
        marks.spoilt |= !durable;
    }

    /// Whether something was learned that is not committed and will be read again.
    pub(crate) fn are_spoilt(&self) -> bool {
        self.lock().spoilt
    }

    /// Back to those of a snapshot. What it does not tell of begins where it began.
    fn go_back(&self, saved: Self) {
        let mut marks = self.lock();
        let mut read = saved.0.into_inner().unwrap_or_else(PoisonError::into_inner).read;
        for (key, began) in &marks.began {
            let known = read.entry(key.clone()).or_insert(*began);
            if known.incarnation < began.incarnation {
                *known = *began;
            }
        }
        marks.read = read;
        marks.spoilt = false;
    }

    /// As text, a line each; `None` while they are spoilt.
    pub(crate) fn durable(&self) -> Option<String> {
        let marks = self.lock();
        // A topic's name holds neither blanks nor tabs.
        let line = |((topic, partition), at): (&(String, i32), &At)| {
            format!("{topic}\t{}\t{partition}\t{}\n", at.incarnation, at.next)
        };
        (!marks.spoilt).then(|| marks.read.iter().map(line).collect())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut marks = Marks::default();
        for line in text.lines() {
            let mut cells = line.split('\t');
            let topic = cells.next()?.to_owned();
            let incarnation = cells.next()?.parse().ok()?;
            let partition = cells.next()?.parse().ok()?;
            let next = cells.next()?.parse().ok()?;
            marks.read.insert((topic, partition), At { incarnation, next });
        }
        Some(Self(Mutex::new(marks)))
    }
}

impl At {
    fn of(place: ReadTo<'_>) -> ((String, i32), Self) {
        let ReadTo {
            topic,
            incarnation,
            partition,
            next,
        } = place;
        ((topic.to_owned(), partition), Self { incarnation, next })
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
    settings: Settings,
    model: Arc<Model>,
    /// Positions of the last snapshot.
    saved: Mutex<String>,
    /// Bytes of the last snapshot.
    room: AtomicUsize,
}

/// What a snapshot holds.
pub(crate) struct Parts {
    pub(crate) state: State,
    pub(crate) recent: Recent,
    pub(crate) asker: Asker,
    pub(crate) positions: Positions,
}

impl Parts {
    pub(crate) fn empty(settings: &Settings, model: &Model) -> Self {
        Self {
            state: State::new(model, setup::limits(settings)),
            recent: Recent::new(settings.state.recent_ids_max),
            asker: Asker::new(ask_rules(settings), settings.state.asked_max),
            positions: Positions::default(),
        }
    }

    /// What the last snapshot holds, or nothing.
    fn load(settings: &Settings, model: &Model) -> Self {
        let file = settings.state.dir.join(FILE);
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                tracing::info!(file = %file.display(), "no snapshot: the scorer starts empty");
                return Self::empty(settings, model);
            }
            Err(error) => {
                refused(settings, &file, &error.to_string());
                return Self::empty(settings, model);
            }
        };
        match read(settings, model, &bytes) {
            Ok(parts) => {
                let partitions = parts.positions.lock().read.len();
                tracing::info!(file = %file.display(), partitions, "snapshot read");
                parts
            }
            Err(error) => {
                refused(settings, &file, &format!("{error:#}"));
                Self::empty(settings, model)
            }
        }
    }
}

impl Memory {
    /// What the last snapshot holds, or nothing.
    pub(crate) fn load(settings: &Settings, model: &Arc<Model>) -> Self {
        let Parts {
            state,
            recent,
            asker,
            positions,
        } = Parts::load(settings, model);
        Self {
            state: Arc::new(state),
            recent: Arc::new(recent),
            asker: Arc::new(Mutex::new(asker)),
            positions: Arc::new(positions),
            settings: settings.clone(),
            model: Arc::clone(model),
            saved: Mutex::default(),
            room: AtomicUsize::default(),
        }
    }

    /// Back to what the last snapshot holds. All workers must have started over and stand still; what was committed since
    /// they read again and learn from.
    pub(crate) fn go_back(&self) {
        // Ids of the last events stay: they are those of rows that are durable.
        let Parts {
            state,
            recent: _,
            asker,
            positions,
        } = Parts::load(&self.settings, &self.model);
        self.state.replace(state);
        *self.asker.lock().unwrap_or_else(PoisonError::into_inner) = asker;
        self.positions.go_back(positions);
        // It may hold less than the last one that was taken: one that cannot be read must not pass for it.
        self.saved().clear();
    }

    fn saved(&self) -> MutexGuard<'_, String> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the snapshot. Workers must stand still.
    pub(crate) fn snapshot(&self) -> Taken {
        let Some(positions) = self.positions.durable() else {
            return Taken::Unfit;
        };
        if *self.saved() == positions {
            return Taken::Current;
        }
        // Growing step by step would hold it twice, while it is copied.
        let room = self.room.load(Ordering::Relaxed);
        let mut bytes = Vec::with_capacity(room + room / 8);
        write(
            &mut bytes,
            &self.settings,
            &self.model,
            &positions,
            &self.asker,
            &self.recent,
            &self.state,
        );
        self.room.store(bytes.len(), Ordering::Relaxed);
        Taken::Fresh(Snapshot { bytes, positions })
    }

    /// Puts it into the place of the one before, whole or not at all.
    pub(crate) fn store(&self, snapshot: Snapshot) -> anyhow::Result<()> {
        let Snapshot { bytes, positions } = snapshot;
        let folder = &self.settings.state.dir;
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
        crash::point("before_snapshot");
        write().with_context(|| format!("writing {}", file.display()))?;
        crash::point("after_snapshot");
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

/// Appends what `write` does, its length before it.
fn put(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 8]);
    write(out);
    let length = (out.len() - at - 8) as u64;
    if let Some(room) = out.get_mut(at..at + 8) {
        room.copy_from_slice(&length.to_le_bytes());
    }
}

fn take<'b>(bytes: &mut &'b [u8]) -> anyhow::Result<&'b [u8]> {
    let (length, rest) = bytes.split_first_chunk::<8>().context("it ends too early")?;
    let length = usize::try_from(u64::from_le_bytes(*length))?;
    let (part, rest) = rest.split_at_checked(length).context("it ends too early")?;
    *bytes = rest;
    Ok(part)
}

/// Appends a snapshot to `out`, which is empty. All of it is made in one buffer, as large as that is meant to be.
pub(crate) fn write(
    out: &mut Vec<u8>,
    settings: &Settings,
    model: &Model,
    positions: &str,
    asker: &Mutex<Asker>,
    recent: &Recent,
    state: &State,
) {
    out.extend_from_slice(MAGIC);
    put(out, |out| {
        out.extend_from_slice(identity(settings, model).as_bytes())
    });
    put(out, |out| out.extend_from_slice(positions.as_bytes()));
    put(out, |out| {
        asker.lock().unwrap_or_else(PoisonError::into_inner).save(out)
    });
    put(out, |out| recent.save(out));
    put(out, |out| state.write_snapshot(out));
    let digest = Sha256::digest(&*out);
    out.extend_from_slice(&digest);
}

/// What [`write`] wrote.
pub(crate) fn read(settings: &Settings, model: &Model, bytes: &[u8]) -> anyhow::Result<Parts> {
    let body = bytes.len().saturating_sub(DIGEST_BYTES);
    let (body, digest) = bytes.split_at(body);
    if Sha256::digest(body)[..] != *digest {
        bail!("it is damaged: its checksum differs");
    }
    let mut rest = body.strip_prefix(MAGIC).context("it is of another version")?;
    let theirs = std::str::from_utf8(take(&mut rest)?)?;
    let ours = identity(settings, model);
    if let Some((found, expected)) = theirs.lines().zip(ours.lines()).find(|(a, b)| a != b) {
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
    Ok(Parts {
        state,
        recent,
        asker,
        positions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(incarnation: u32, next: i64) -> ReadTo<'static> {
        ReadTo {
            topic: "t",
            incarnation,
            partition: 0,
            next,
        }
    }

    #[test]
    fn what_was_dropped_leads_back_to_the_snapshot() {
        let positions = Positions::default();
        assert_eq!(positions.learn_from(at(1, 10)), 10, "nothing is known");
        positions.note(at(1, 50), true);
        let snapshot = positions.durable().unwrap();
        assert_eq!(snapshot, "t\t1\t0\t50\n");
        assert_eq!(positions.learn_from(at(1, 45)), 50);
        positions.note(at(1, 70), false);
        assert!(positions.are_spoilt());
        assert_eq!(positions.durable(), None, "some of it is not committed");
        positions.go_back(Positions::parse(&snapshot).unwrap());
        assert!(!positions.are_spoilt());
        assert_eq!(positions.learn_from(at(1, 60)), 50);
        // Without a snapshot, everything that was learned is read again.
        positions.go_back(Positions::default());
        assert_eq!(positions.learn_from(at(1, 60)), 10);
        // Another life of the topic began after the snapshot.
        assert_eq!(positions.learn_from(at(2, 3)), 3);
        positions.note(at(2, 90), false);
        positions.go_back(Positions::parse(&snapshot).unwrap());
        assert_eq!(positions.learn_from(at(2, 80)), 3);
    }

    #[test]
    fn positions_come_back_as_they_were() {
        let positions = Positions::default();
        positions.note(at(1, 10), true);
        let again = Positions::parse(&positions.durable().unwrap()).unwrap();
        assert_eq!(again.learn_from(at(1, 99)), 10);
        assert!(Positions::parse("t\t1\n").is_none());
    }
}
