use crate::judge::{BlockStats, RejectAt};

/// When rejects stop the worker. Off by default: bad records are dead-lettered and the stream goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PoisonLimits {
    /// So many records of one partition rejected one after the other.
    pub run_max: Option<u32>,
    /// This share of the records of a window.
    pub share_max: Option<f64>,
    /// Records of a window, over all partitions; the share is judged when it is full.
    pub window: u64,
}

/// The records of a window so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Poison {
    rejected: u64,
    records: u64,
    last: Option<RejectAt>,
}

/// A limit that is passed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tripped {
    /// Records of which a child was rejected.
    pub(crate) rejected: u64,
    /// Of so many.
    pub(crate) records: u64,
    /// The last of them.
    pub(crate) last: RejectAt,
    /// Which limit, as the settings name it.
    pub(crate) limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    Run(u32),
    Share(f64),
}

impl Poison {
    /// Adds a block.
    pub(crate) fn add(&mut self, limits: &PoisonLimits, block: &BlockStats) -> Option<Tripped> {
        if let (Some(run_max), Some(last)) = (limits.run_max, block.longest_run)
            && last.run > u64::from(run_max)
        {
            return Some(Tripped {
                rejected: last.run,
                records: last.run,
                last,
                limit: Limit::Run(run_max),
            });
        }
        let share_max = limits.share_max?;
        self.rejected += u64::from(block.rejected);
        self.records += u64::from(block.fresh);
        self.last = block.last_reject.or(self.last);
        if self.records < limits.window.max(1) {
            return None;
        }
        let Self {
            rejected,
            records,
            last,
        } = std::mem::take(self);
        let last = last?;
        (rejected as f64 > share_max * records as f64).then_some(Tripped {
            rejected,
            records,
            last,
            limit: Limit::Share(share_max),
        })
    }
}

#[cfg(test)]
mod tests {
    use changegate_types::RejectCode;

    use super::*;

    fn block(fresh: u32, rejected: u32, run: u64) -> BlockStats {
        let reject = RejectAt {
            part: 0,
            offset: 7,
            run,
            code: RejectCode::NotJson,
        };
        BlockStats {
            fresh,
            rejected,
            last_reject: (rejected > 0).then_some(reject),
            longest_run: (rejected > 0).then_some(reject),
            ..BlockStats::default()
        }
    }

    #[test]
    fn a_run_of_one_partition_trips_whatever_the_others_send() {
        let limits = PoisonLimits {
            run_max: Some(10),
            ..PoisonLimits::default()
        };
        let mut poison = Poison::default();
        assert_eq!(poison.add(&limits, &block(500, 10, 10)), None);
        let tripped = poison.add(&limits, &block(500, 1, 11)).expect("one too many");
        assert_eq!((tripped.rejected, tripped.records), (11, 11));
        assert_eq!((tripped.limit, tripped.last.offset), (Limit::Run(10), 7));
    }

    #[test]
    fn a_share_is_judged_per_window_and_off_is_off() {
        let limits = PoisonLimits {
            share_max: Some(0.05),
            window: 100,
            ..PoisonLimits::default()
        };
        let mut poison = Poison::default();
        assert_eq!(poison.add(&limits, &block(50, 1, 1)), None);
        assert_eq!(poison.add(&limits, &block(50, 4, 4)), None);
        assert_eq!(poison.add(&limits, &block(60, 6, 1)), None);
        let tripped = poison.add(&limits, &block(40, 0, 0)).expect("6 of 100");
        assert_eq!((tripped.rejected, tripped.records), (6, 100));
        assert_eq!(
            Poison::default().add(&PoisonLimits::default(), &block(1_000_000, 1_000_000, 1_000_000)),
            None
        );
    }
}
