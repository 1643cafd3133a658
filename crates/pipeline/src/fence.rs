use std::fmt;

use crate::ledger::BatchId;

/// What a commit says about the batch that it opens, per partition: the metadata beside the batch's first offset.
///
/// It is read by whoever owns the partition next, maybe a newer or an older program: unknown fields are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Batch.
    pub batch: BatchId,
    /// Incarnation of the partition, as the writer saw it.
    pub incarnation: u32,
    /// Offset after the batch's last.
    pub end: i64,
    /// How many records of the partition the batch holds.
    pub records: u32,
}

/// The broker refuses more.
pub const METADATA_BYTES_MAX: usize = 4_096;

const VERSION: &str = "cg1";

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            batch,
            incarnation,
            end,
            records,
        } = self;
        write!(f, "{VERSION} b={batch} i={incarnation} e={end} n={records}")
    }
}

impl Fence {
    /// Reads what the `Display` of [`Fence`] wrote. `None`: no fence of ours, so the batch before it is closed.
    pub fn parse(metadata: &str) -> Option<Self> {
        let mut words = metadata.split_ascii_whitespace();
        if words.next()? != VERSION {
            return None;
        }
        let (mut batch, mut incarnation, mut end, mut records) = (None, None, None, 0);
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            match name {
                "b" => batch = value.parse().ok(),
                "i" => incarnation = value.parse().ok(),
                "e" => end = value.parse().ok(),
                "n" => records = value.parse().ok()?,
                _ => {}
            }
        }
        Some(Self {
            batch: BatchId(batch?),
            incarnation: incarnation?,
            end: end?,
            records,
        })
    }
}

/// Gives out batch ids: milliseconds of the wall clock, raised where needed, then the worker's tag.
///
/// An id must be greater than every id that the partition's rows and fences carry, whatever the clock says, because of
/// equal positions the largest id stays. The tag keeps workers of one moment apart.
#[derive(Clone, Debug)]
pub struct BatchIds {
    last: u64,
    tag: u64,
}

const TAG_BITS: u32 = 10;

impl BatchIds {
    /// `tag` is any number of the worker's; its low ten bits count.
    pub fn new(tag: u64) -> Self {
        Self {
            last: 0,
            tag: tag & ((1 << TAG_BITS) - 1),
        }
    }

    /// Ids from now on are greater than `seen`.
    pub fn raise(&mut self, seen: BatchId) {
        self.last = self.last.max(seen.0 >> TAG_BITS);
    }

    /// The next id.
    pub fn next(&mut self, wall_millis: i64) -> BatchId {
        let millis = u64::try_from(wall_millis).unwrap_or(0);
        self.last = millis.max(self.last + 1);
        BatchId(self.last << TAG_BITS | self.tag)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_and_fits(
            batch in any::<u64>(), incarnation in any::<u32>(), end in any::<i64>(), records in any::<u32>(),
        ) {
            let fence = Fence { batch: BatchId(batch), incarnation, end, records };
            let metadata = fence.to_string();
            prop_assert!(metadata.len() <= METADATA_BYTES_MAX);
            prop_assert_eq!(Fence::parse(&metadata), Some(fence));
            prop_assert_eq!(Fence::parse(&format!("{metadata} later=field")), Some(fence));
        }

        #[test]
        fn foreign_metadata_never_panics(metadata in ".*") {
            Fence::parse(&metadata);
        }

        #[test]
        fn ids_rise_above_all_that_was_seen(
            seen in any::<u64>().prop_map(|id| id >> 1), clock in proptest::collection::vec(any::<i64>(), 1..20),
        ) {
            let mut ids = BatchIds::new(7);
            ids.raise(BatchId(seen));
            let mut last = BatchId(seen);
            for millis in clock {
                let id = ids.next(millis >> 20);
                prop_assert!(id > last);
                last = id;
            }
        }
    }

    #[test]
    fn what_is_no_fence_is_none() {
        for metadata in [
            "",
            "cg1",
            "cg2 b=1 i=0 e=5 n=5",
            "cg1 b=x i=0 e=5 n=5",
            "cg1 b=1 e=5 n=5",
        ] {
            assert_eq!(Fence::parse(metadata), None, "{metadata:?}");
        }
    }
}
