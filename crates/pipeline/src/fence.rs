use std::fmt;
use std::ops::Range;

use crate::ledger::BatchId;

/// What a commit says about the batch that it opens, per partition: the metadata beside the batch's first offset.
///
/// It is read by whoever owns the partition next, maybe a newer or an older program: unknown fields are passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Batch.
    pub batch: BatchId,
    /// Incarnation of the partition, as the writer saw it.
    pub incarnation: u32,
    /// Offset after the batch's last.
    pub end: i64,
    /// How many records of the partition the batch holds.
    pub records: u32,
    /// Offsets of those of which rows are missing, as the writer saw it: the batch writes nothing of the others.
    pub open: Spans,
    /// What is in doubt behind its end.
    pub doubt: Doubt,
}

/// Some offsets, in order. What there is no room for is rounded up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans(Vec<Range<i64>>);

impl Spans {
    /// Two times so many fit into the metadata, each as long as two numbers can be.
    const MAX: usize = 40;

    /// Adds an offset behind all others. Between it and `before` there is nothing.
    pub(crate) fn push(&mut self, before: i64, offset: i64) {
        let is_full = self.0.len() >= Self::MAX;
        match self.0.last_mut() {
            Some(last) if last.end == before || is_full => last.end = offset + 1,
            _ => self.0.push(offset..offset + 1),
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an offset is one of them.
    pub fn contains(&self, offset: i64) -> bool {
        self.0.iter().any(|span| span.contains(&offset))
    }

    /// Those from an offset on, of several.
    fn from_on<'s>(all: impl IntoIterator<Item = &'s Self>, offset: i64) -> Self {
        let spans = all.into_iter().flat_map(|spans| &spans.0);
        let mut spans: Vec<_> = spans
            .filter(|span| span.end > offset)
            .map(|span| span.start.max(offset)..span.end)
            .collect();
        spans.sort_unstable_by_key(|span| span.start);
        let mut joined: Vec<Range<i64>> = Vec::new();
        for span in spans {
            let is_full = joined.len() >= Self::MAX;
            match joined.last_mut() {
                Some(last) if last.end >= span.start || is_full => last.end = last.end.max(span.end),
                _ => joined.push(span),
            }
        }
        Self(joined)
    }

    fn parse(text: &str) -> Option<Self> {
        let spans = text.split(',').filter(|span| !span.is_empty()).map(|span| {
            let (from, to) = span.split_once(':')?;
            Some(from.parse().ok()?..to.parse().ok()?)
        });
        spans.collect::<Option<_>>().map(Self)
    }
}

/// Records of which an earlier owner wrote rows, and whose turn has not come since: an insert of them may still be under
/// way, and only a completion row of this batch or a later one says that it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    /// The largest batch that wrote of them.
    pub batch: BatchId,
    /// Which ones.
    pub spans: Spans,
}

const CLOSED: &str = "cg1c";

impl Doubt {
    /// What is left of doubts from an offset on.
    pub(crate) fn from_on(doubts: &[Self], offset: i64) -> Self {
        let spans = Spans::from_on(doubts.iter().map(|doubt| &doubt.spans), offset);
        let left = doubts
            .iter()
            .filter(|doubt| doubt.spans.0.last().is_some_and(|span| span.end > offset));
        Self {
            batch: left.map(|doubt| doubt.batch).max().unwrap_or_default(),
            spans,
        }
    }

    fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Whether the completion row of a batch says nothing of this offset.
    pub(crate) fn concerns(&self, batch: BatchId, offset: i64) -> bool {
        batch < self.batch && self.spans.contains(offset)
    }

    /// Metadata of a commit that opens no batch: nothing, where no doubt is left.
    pub fn closing(&self, incarnation: u32) -> String {
        if self.is_empty() {
            String::new()
        } else {
            format!("{CLOSED} i={incarnation} d={self}")
        }
    }

    /// What the `closing` of a doubt wrote, of this life of the partition.
    pub(crate) fn parse_closing(metadata: &str, incarnation: u32) -> Option<Self> {
        let (life, doubt) = metadata
            .strip_prefix(CLOSED)?
            .strip_prefix(" i=")?
            .split_once(" d=")?;
        let doubt = Self::parse(doubt.split(' ').next()?)?;
        (life.parse() == Ok(incarnation)).then_some(doubt)
    }

    fn parse(text: &str) -> Option<Self> {
        let (batch, spans) = text.split_once('/')?;
        Some(Self {
            batch: BatchId(batch.parse().ok()?),
            spans: Spans::parse(spans)?,
        })
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.batch, self.spans)
    }
}

impl fmt::Display for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Range { start, end }) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{start}:{end}")?;
        }
        Ok(())
    }
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
            open,
            doubt,
        } = self;
        write!(f, "{VERSION} b={batch} i={incarnation} e={end} n={records}")?;
        if !open.is_empty() {
            write!(f, " o={open}")?;
        }
        if !doubt.is_empty() {
            write!(f, " d={doubt}")?;
        }
        Ok(())
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
        // An older program does not say so.
        let (mut open, mut doubt) = (Spans::default(), Doubt::default());
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            match name {
                "b" => batch = value.parse().ok(),
                "i" => incarnation = value.parse().ok(),
                "e" => end = value.parse().ok(),
                "n" => records = value.parse().ok()?,
                "o" => open = Spans::parse(value)?,
                "d" => doubt = Doubt::parse(value)?,
                _ => {}
            }
        }
        Some(Self {
            batch: BatchId(batch?),
            incarnation: incarnation?,
            end: end?,
            records,
            open,
            doubt,
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
            gaps in proptest::collection::vec(0..3i64, 0..300),
        ) {
            let (mut open, mut before) = (Spans::default(), i64::MAX - 1_000);
            let mut missing = Vec::new();
            for gap in gaps {
                let offset = before + gap;
                open.push(before, offset);
                missing.push(offset);
                before = offset + 1;
            }
            prop_assert!(missing.iter().all(|offset| open.contains(*offset)));
            let doubt = Doubt { batch: BatchId(batch - batch.min(1)), spans: open.clone() };
            let closing = doubt.closing(incarnation);
            prop_assert!(Fence::parse(&closing).is_none());
            prop_assert!(Doubt::parse_closing(&closing, incarnation.wrapping_add(1)).is_none());
            prop_assert_eq!(
                Doubt::parse_closing(&closing, incarnation).unwrap_or_default().spans, doubt.spans.clone());
            // A doubt about nothing is none.
            let doubt = if missing.is_empty() { Doubt::default() } else { doubt };
            let fence = Fence { batch: BatchId(batch), incarnation, end, records, open, doubt };
            let metadata = fence.to_string();
            prop_assert!(metadata.len() <= METADATA_BYTES_MAX);
            prop_assert_eq!(Fence::parse(&metadata), Some(fence.clone()));
            prop_assert_eq!(Fence::parse(&format!("{metadata} later=field")), Some(fence));
        }

        #[test]
        fn foreign_metadata_never_panics(metadata in ".*") {
            Fence::parse(&metadata);
            Doubt::parse_closing(&metadata, 0);
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
