use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use changegate_types::{ContentHash, EventUid, Keyed128};

/// Where a row stands, owned: topics are numbered within the set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Topic.
    pub topic: String,
    /// Incarnation.
    pub incarnation: u32,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Child.
    pub child: u32,
}

/// What the set says of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The same uid **and** content stand at this other place: the event is a copy.
    pub copy_of: Option<Place>,
    /// The same uid was seen with other content.
    pub conflict: bool,
}

/// Ids of the last events, shared by all workers of a process and part of the snapshot.
///
/// Holds originals only, and only those whose rows are durable: those of a batch under way wait in its [`Fresh`]. Were
/// a row called a copy of one that a crash takes back, and that one later a copy of the first by another process,
/// readers would see neither. A copy never enters: were it to stand for its original, the original, computed again after a
/// crash, would become a copy of its own copy, and readers would see neither.
///
/// Bounded by generations: each shard keeps at most two maps of `capacity / SHARDS / 2` entries and drops the older one
/// whole.
#[derive(Debug)]
pub struct Recent {
    shards: Vec<Mutex<Shard>>,
    topics: RwLock<Vec<String>>,
    per_generation: usize,
}

const SHARDS: usize = 64;

/// Originals of one batch, not durable yet, each with the month of its insert.
#[derive(Debug, Default)]
pub struct Fresh(HashMap<u128, (Entry, u32), BuildHasherDefault<AlreadyHashed>>);

impl Fresh {
    fn get(&self, key: Keyed128) -> Option<Entry> {
        self.0.get(&key.0).map(|(entry, _)| *entry)
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[derive(Debug, Default)]
struct Shard {
    now: Map,
    before: Map,
}

type Map = HashMap<u128, Entry, BuildHasherDefault<AlreadyHashed>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    content: ContentHash,
    offset: i64,
    topic: u16,
    incarnation: u32,
    partition: i32,
    child: u32,
}

/// The keys are keyed hashes already: their low half is as good as any hash of them.
#[derive(Debug, Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

/// A place whose topic is looked up once per block.
#[derive(Clone, Copy, Debug)]
pub struct PlaceRef {
    /// From [`Recent::topic`].
    pub topic: u16,
    /// Incarnation.
    pub incarnation: u32,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Child.
    pub child: u32,
}

impl Recent {
    /// Keeps about the last `capacity` events (at least half of that).
    pub fn new(capacity: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            topics: RwLock::default(),
            per_generation: (capacity / SHARDS / 2).max(1),
        }
    }

    /// The number of a topic.
    ///
    /// # Panics
    /// On more than 65,535 topics.
    pub fn topic(&self, name: &str) -> u16 {
        let found = |topics: &[String]| topics.iter().position(|topic| topic == name);
        if let Some(index) = found(&self.topics.read().unwrap_or_else(PoisonError::into_inner)) {
            return index as u16;
        }
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let index = found(&topics).unwrap_or_else(|| {
            topics.push(name.to_owned());
            topics.len() - 1
        });
        u16::try_from(index).expect("a process reads fewer than 65,536 topics")
    }

    /// Says whether the event was seen at another place, and remembers it where it was not.
    pub fn see(&self, uid: EventUid, content: ContentHash, place: PlaceRef) -> Seen {
        let mut look = |key: Keyed128| self.look_or_keep(key, content, place);
        self.judge(&mut look, uid, content, place)
    }

    /// The same, and remembers nothing: for a row that is known to be a copy. Its original may be written again with this
    /// batch, or with the one before it.
    pub fn peek(
        &self,
        uid: EventUid,
        content: ContentHash,
        place: PlaceRef,
        batches: [Option<&Fresh>; 2],
    ) -> Seen {
        let mut look = |key: Keyed128| {
            let durable = self.shard(key).get(key);
            durable.or_else(|| batches.iter().find_map(|batch| batch.as_ref()?.get(key)))
        };
        self.judge(&mut look, uid, content, place)
    }

    /// The same for an event whose row is yet to be written: it is remembered in `fresh`, and by [`Recent::keep`] once it
    /// is durable. `under_way` holds the originals of the batch before, which is durable before `fresh` is written.
    ///
    /// Within a batch only an original of the same month makes a copy: each month is an insert of its own, and of two that
    /// are not written together a crash may take back one.
    pub fn see_fresh(
        &self,
        uid: EventUid,
        content: ContentHash,
        place: PlaceRef,
        month: u32,
        under_way: Option<&Fresh>,
        fresh: &mut Fresh,
    ) -> Seen {
        let mut apart = false;
        let mut look = |key: Keyed128| {
            let durable = self.shard(key).get(key);
            let found = durable.or_else(|| under_way?.get(key));
            if found.is_some() {
                return found;
            }
            match fresh.0.entry(key.0) {
                MapEntry::Vacant(free) => {
                    free.insert((Entry::new(content, place), month));
                    None
                }
                MapEntry::Occupied(held) => {
                    let (entry, of) = *held.get();
                    apart |= of != month;
                    Some(entry)
                }
            }
        };
        let seen = self.judge(&mut look, uid, content, place);
        if apart {
            Seen {
                copy_of: None,
                ..seen
            }
        } else {
            seen
        }
    }

    /// The batch is durable: its originals count from now on.
    pub fn keep(&self, fresh: &mut Fresh) {
        for (key, (entry, _)) in fresh.0.drain() {
            let mut shard = self.shard(Keyed128(key));
            if !shard.now.contains_key(&key) && !shard.before.contains_key(&key) {
                shard.keep(key, entry, self.per_generation);
            }
        }
    }

    fn judge(
        &self,
        look: &mut impl FnMut(Keyed128) -> Option<Entry>,
        uid: EventUid,
        content: ContentHash,
        place: PlaceRef,
    ) -> Seen {
        match look(uid) {
            None => Seen::default(),
            Some(entry) if entry.content == content => Seen {
                copy_of: self.other_place(&entry, place),
                conflict: false,
            },
            // The uid holds other content: this content has a key of its own.
            Some(_) => Seen {
                copy_of: look(pair(uid, content)).and_then(|entry| self.other_place(&entry, place)),
                conflict: true,
            },
        }
    }

    fn look_or_keep(&self, key: Keyed128, content: ContentHash, place: PlaceRef) -> Option<Entry> {
        let mut shard = self.shard(key);
        let found = shard.get(key);
        if found.is_none() {
            shard.keep(key.0, Entry::new(content, place), self.per_generation);
        }
        found
    }

    fn other_place(&self, entry: &Entry, place: PlaceRef) -> Option<Place> {
        let same = entry.topic == place.topic
            && entry.incarnation == place.incarnation
            && entry.partition == place.partition
            && entry.offset == place.offset
            && entry.child == place.child;
        (!same).then(|| Place {
            topic: self.topic_name(entry.topic),
            incarnation: entry.incarnation,
            partition: entry.partition,
            offset: entry.offset,
            child: entry.child,
        })
    }

    fn topic_name(&self, index: u16) -> String {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(usize::from(index)).cloned().unwrap_or_default()
    }

    fn shard(&self, key: Keyed128) -> MutexGuard<'_, Shard> {
        let index = (key.0 >> 64) as usize % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many entries are held.
    pub fn len(&self) -> usize {
        let held = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.now.len() + shard.before.len()
        };
        self.shards.iter().map(held).sum()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the set for a snapshot; entries in the order of their keys, so that equal sets give equal bytes.
    pub fn save(&self, out: &mut Vec<u8>) {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner).clone();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&(topics.len() as u32).to_le_bytes());
        for topic in &topics {
            out.extend_from_slice(&(topic.len() as u32).to_le_bytes());
            out.extend_from_slice(topic.as_bytes());
        }
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for map in [&shard.before, &shard.now] {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| **key);
                out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
                entries.iter().for_each(|(key, entry)| entry.save(**key, out));
            }
        }
    }

    /// Reads what [`Recent::save`] wrote. `None`: damaged, or of another version; start empty then.
    pub fn load(capacity: usize, bytes: &[u8]) -> Option<Self> {
        let mut read = Read(bytes.strip_prefix(MAGIC)?);
        let recent = Self::new(capacity);
        let topics = read.u32()?;
        for _ in 0..topics {
            let length = read.u32()? as usize;
            let name = str::from_utf8(read.take(length)?).ok()?;
            recent.topics.write().ok()?.push(name.to_owned());
        }
        for index in 0..SHARDS {
            let mut shard = recent.shards[index].lock().ok()?;
            for _generation in 0..2 {
                for _ in 0..read.u32()? {
                    let (key, entry) = Entry::load(&mut read)?;
                    shard.keep(key, entry, recent.per_generation);
                }
            }
        }
        read.0.is_empty().then_some(recent)
    }
}

const MAGIC: &[u8] = b"cg-recent-1\n";

fn pair(uid: EventUid, content: ContentHash) -> Keyed128 {
    Keyed128(uid.0.rotate_left(41) ^ content.0.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

impl Shard {
    fn get(&self, key: Keyed128) -> Option<Entry> {
        let found = self.now.get(&key.0).or_else(|| self.before.get(&key.0));
        found.copied()
    }

    fn keep(&mut self, key: u128, entry: Entry, per_generation: usize) {
        if self.now.len() >= per_generation {
            std::mem::swap(&mut self.now, &mut self.before);
            self.now.clear();
        }
        self.now.insert(key, entry);
    }
}

impl Entry {
    fn new(content: ContentHash, place: PlaceRef) -> Self {
        Self {
            content,
            offset: place.offset,
            topic: place.topic,
            incarnation: place.incarnation,
            partition: place.partition,
            child: place.child,
        }
    }

    fn save(&self, key: u128, out: &mut Vec<u8>) {
        out.extend_from_slice(&key.to_le_bytes());
        out.extend_from_slice(&self.content.0.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.topic.to_le_bytes());
        out.extend_from_slice(&self.incarnation.to_le_bytes());
        out.extend_from_slice(&self.partition.to_le_bytes());
        out.extend_from_slice(&self.child.to_le_bytes());
    }

    fn load(read: &mut Read<'_>) -> Option<(u128, Self)> {
        let key = u128::from_le_bytes(read.array()?);
        let entry = Self {
            content: Keyed128(u128::from_le_bytes(read.array()?)),
            offset: i64::from_le_bytes(read.array()?),
            topic: u16::from_le_bytes(read.array()?),
            incarnation: read.u32()?,
            partition: i32::from_le_bytes(read.array()?),
            child: read.u32()?,
        };
        Some((key, entry))
    }
}

struct Read<'b>(&'b [u8]);

impl<'b> Read<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(id: u128) -> Keyed128 {
        Keyed128(id.wrapping_mul(0xd134_2543_de82_ef95_9e37_79b9_7f4a_7c15))
    }

    fn at(recent: &Recent, offset: i64) -> PlaceRef {
        PlaceRef {
            topic: recent.topic("t"),
            incarnation: 0,
            partition: 0,
            offset,
            child: 0,
        }
    }

    #[test]
    fn only_uid_and_content_together_make_a_copy() {
        let recent = Recent::new(1_000);
        assert_eq!(recent.see(uid(1), uid(100), at(&recent, 5)), Seen::default());
        // The same position read again is itself.
        assert_eq!(recent.see(uid(1), uid(100), at(&recent, 5)), Seen::default());
        let copy = recent.see(uid(1), uid(100), at(&recent, 9));
        assert_eq!(copy.copy_of.map(|place| place.offset), Some(5));
        assert!(!copy.conflict);
        let conflict = recent.see(uid(1), uid(200), at(&recent, 10));
        assert_eq!((conflict.copy_of, conflict.conflict), (None, true));
        let copy_of_conflict = recent.see(uid(1), uid(200), at(&recent, 11));
        assert_eq!(copy_of_conflict.copy_of.map(|place| place.offset), Some(10));
    }

    #[test]
    fn a_copy_never_stands_for_its_original() {
        let recent = Recent::new(1_000);
        recent.see(uid(1), uid(100), at(&recent, 5));
        assert!(recent.see(uid(1), uid(100), at(&recent, 9)).copy_of.is_some());
        assert_eq!(recent.see(uid(1), uid(100), at(&recent, 5)).copy_of, None);
    }

    #[test]
    fn a_known_copy_finds_its_original_also_where_it_is_written_again() {
        let recent = Recent::new(1_000);
        let (mut before, mut fresh) = (Fresh::default(), Fresh::default());
        for (number, batch) in [(1, &mut before), (2, &mut fresh)] {
            let place = at(&recent, number as i64);
            let new = recent.see_fresh(uid(number), uid(100), place, 202_611, None, batch);
            assert_eq!(new, Seen::default());
        }
        let batches = [Some(&before), Some(&fresh)];
        for number in [1, 2] {
            let seen = recent.peek(uid(number), uid(100), at(&recent, 9), batches);
            assert_eq!(seen.copy_of.map(|place| place.offset), Some(number as i64));
        }
        let unknown = recent.peek(uid(3), uid(100), at(&recent, 9), batches);
        assert_eq!(unknown, Seen::default());
        assert!(recent.is_empty(), "it remembers nothing");
    }

    #[test]
    fn within_a_batch_only_what_is_inserted_together_makes_a_copy() {
        let recent = Recent::new(1_000);
        let (mut before, mut fresh) = (Fresh::default(), Fresh::default());
        let mut see = |offset: i64, month: u32, before: &Fresh| {
            let seen = recent.see_fresh(
                uid(1),
                uid(100),
                at(&recent, offset),
                month,
                Some(before),
                &mut fresh,
            );
            seen.copy_of.map(|place| place.offset)
        };
        assert_eq!(see(5, 202_611, &before), None);
        assert_eq!(see(6, 202_611, &before), Some(5));
        assert_eq!(
            see(7, 202_612, &before),
            None,
            "its insert may stay where the other goes"
        );
        std::mem::swap(&mut before, &mut fresh);
        let seen = recent.see_fresh(
            uid(1),
            uid(100),
            at(&recent, 8),
            202_612,
            Some(&before),
            &mut fresh,
        );
        assert_eq!(
            seen.copy_of.map(|place| place.offset),
            Some(5),
            "the batch before is durable first"
        );
        recent.keep(&mut before);
        let copy = recent.see(uid(1), uid(100), at(&recent, 9));
        assert_eq!(copy.copy_of.map(|place| place.offset), Some(5));
    }

    #[test]
    fn it_stays_bounded_and_keeps_the_newest() {
        let recent = Recent::new(64 * 100);
        for id in 0..50_000u128 {
            recent.see(uid(id), uid(id), at(&recent, id as i64));
        }
        assert!(recent.len() <= 64 * 100, "{}", recent.len());
        for id in 49_000..50_000u128 {
            assert!(
                recent.see(uid(id), uid(id), at(&recent, -1)).copy_of.is_some(),
                "{id}"
            );
        }
        assert_eq!(recent.see(uid(0), uid(0), at(&recent, 0)), Seen::default());
    }

    #[test]
    fn saved_and_loaded_it_says_the_same() {
        let recent = Recent::new(64 * 100);
        for id in 0..3_000u128 {
            recent.see(uid(id), uid(id), at(&recent, id as i64));
        }
        let mut bytes = Vec::new();
        recent.save(&mut bytes);
        let loaded = Recent::load(64 * 100, &bytes).unwrap();
        assert_eq!(loaded.len(), recent.len());
        let mut again = Vec::new();
        loaded.save(&mut again);
        for id in 0..3_000u128 {
            assert_eq!(
                loaded.see(uid(id), uid(id), at(&loaded, -1)),
                recent.see(uid(id), uid(id), at(&recent, -1))
            );
        }
        assert!(Recent::load(100, &bytes[..bytes.len() - 1]).is_none());
        assert!(Recent::load(100, b"").is_none());
    }
}
