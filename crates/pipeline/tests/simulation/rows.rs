//! Rows as the ledger in memory keeps them, and as bytes, which is how the pipeline hands them over.

use changegate_pipeline::ledger::{BatchId, Stamp};
use changegate_pipeline::rows::Why;

/// A row as the fake keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) incarnation: u32,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) child: i32,
    pub(crate) stamp: Stamp,
    pub(crate) uid: u128,
    pub(crate) content: u128,
    pub(crate) change: u128,
    pub(crate) ask: u8,
    pub(crate) redelivery: bool,
    pub(crate) bad: bool,
    /// Events that were learned before it was scored.
    pub(crate) learned: u32,
    pub(crate) raw_hash: [u8; 32],
    /// Of a record: written, skipped, dead-lettered.
    pub(crate) counts: [u32; 3],
}

const BYTES: usize = 4 + 4 + 8 + 4 + 8 + 1 + 16 * 3 + 3 + 4 + 32 + 12;
const ATTEMPT_AT: usize = 4 + 4 + 8 + 4 + 8;

impl Row {
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        out.extend(self.incarnation.to_le_bytes());
        out.extend(self.partition.to_le_bytes());
        out.extend(self.offset.to_le_bytes());
        out.extend(self.child.to_le_bytes());
        out.extend(self.stamp.batch.0.to_le_bytes());
        out.push(self.stamp.attempt);
        [self.uid, self.content, self.change]
            .iter()
            .for_each(|id| out.extend(id.to_le_bytes()));
        out.extend([self.ask, u8::from(self.redelivery), u8::from(self.bad)]);
        out.extend(self.learned.to_le_bytes());
        out.extend(self.raw_hash);
        self.counts
            .iter()
            .for_each(|count| out.extend(count.to_le_bytes()));
        assert_eq!(out.len() - start, BYTES);
        start + ATTEMPT_AT
    }

    fn read(mut bytes: &[u8]) -> Self {
        fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
            let (head, rest) = bytes.split_first_chunk::<N>().unwrap();
            *bytes = rest;
            *head
        }
        let b = &mut bytes;
        Self {
            incarnation: u32::from_le_bytes(take(b)),
            partition: i32::from_le_bytes(take(b)),
            offset: i64::from_le_bytes(take(b)),
            child: i32::from_le_bytes(take(b)),
            stamp: Stamp {
                batch: BatchId(u64::from_le_bytes(take(b))),
                attempt: take::<1>(b)[0],
            },
            uid: u128::from_le_bytes(take(b)),
            content: u128::from_le_bytes(take(b)),
            change: u128::from_le_bytes(take(b)),
            ask: take::<1>(b)[0],
            redelivery: take::<1>(b)[0] == 1,
            bad: take::<1>(b)[0] == 1,
            learned: u32::from_le_bytes(take(b)),
            raw_hash: take(b),
            counts: [
                u32::from_le_bytes(take(b)),
                u32::from_le_bytes(take(b)),
                u32::from_le_bytes(take(b)),
            ],
        }
    }

    pub(crate) fn place(&self) -> Place {
        (self.incarnation, self.partition, self.offset, self.child)
    }

    /// A row of `superseded`: what else a row holds says why and of which place.
    pub(crate) fn superseded(place: Place, stamp: Stamp, why: Why, of: Place) -> Self {
        let (incarnation, partition, offset, child) = place;
        Self {
            incarnation,
            partition,
            offset,
            child,
            stamp,
            uid: u128::from(of.0) << 64 | u128::from(of.1 as u32),
            content: u128::from(of.2 as u64) << 64 | u128::from(of.3 as u32),
            change: 0,
            ask: why as u8,
            redelivery: false,
            bad: false,
            learned: 0,
            raw_hash: [0; 32],
            counts: [0; 3],
        }
    }

    /// Of a row of `superseded`.
    pub(crate) fn why(&self) -> Why {
        let all = [Why::LateInsert, Why::Redelivery, Why::Identical];
        all.into_iter().find(|why| *why as u8 == self.ask).unwrap()
    }

    pub(crate) fn of(&self) -> Place {
        let (uid, content) = (self.uid, self.content);
        (
            (uid >> 64) as u32,
            uid as i32,
            (content >> 64) as i64,
            content as i32,
        )
    }
}

/// Incarnation, partition, offset, child.
pub(crate) type Place = (u32, i32, i64, i32);

pub(crate) fn read_all(bytes: &[u8]) -> Vec<Row> {
    bytes.chunks_exact(BYTES).map(Row::read).collect()
}
