//! Which actors are peers: groups of the training, by action profile; strangers join their kind's largest group.

use crate::codec::{Reader, Truncated, Writer};
use crate::facts::ActorKind;
use crate::hash::mix;

/// Group of each actor that training knew, and of each kind for those it did not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerGroups {
    /// By actor key, rising.
    known: Vec<(u64, u16)>,
    by_kind: [u16; 3],
    /// Another grouping counts anew instead of mixing with the counts of the old one.
    salt: u64,
}

impl PeerGroups {
    /// From what training found; `known` in any order.
    pub(crate) fn new(mut known: Vec<(u64, u16)>, by_kind: [u16; 3]) -> Self {
        known.sort_unstable();
        known.dedup_by_key(|(actor, _)| *actor);
        let salt = known.iter().fold(
            by_kind.iter().fold(0, |salt, &group| mix(salt, u64::from(group))),
            |salt, &(actor, group)| mix(salt ^ actor, u64::from(group)),
        );
        Self { known, by_kind, salt }
    }

    /// One group per kind of actor: what holds before anything is known.
    pub(crate) fn by_kind() -> Self {
        Self::new(Vec::new(), [0, 1, 2])
    }

    pub(crate) fn of(&self, actor: u64, kind: ActorKind) -> u16 {
        match self.known.binary_search_by_key(&actor, |(known, _)| *known) {
            Ok(at) => self.known[at].1,
            Err(_) => self.by_kind[kind as usize],
        }
    }

    #[inline]
    pub(crate) fn key(&self, tenant: u64, group: u16) -> u64 {
        mix(tenant ^ self.salt, 0x9EE2_0000 + u64::from(group))
    }

    /// How many groups there are.
    pub fn count(&self) -> usize {
        let groups = self.known.iter().map(|(_, group)| *group).chain(self.by_kind);
        groups.max().map_or(0, |last| usize::from(last) + 1)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        self.by_kind.iter().for_each(|&group| out.u16(group));
        out.u64(self.known.len() as u64);
        for &(actor, group) in &self.known {
            out.u64(actor);
            out.u16(group);
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Truncated> {
        let by_kind = [from.u16()?, from.u16()?, from.u16()?];
        let count = from.count(10)?;
        let known: Result<Vec<_>, Truncated> = (0..count).map(|_| Ok((from.u64()?, from.u16()?))).collect();
        Ok(Self::new(known?, by_kind))
    }
}
