use crate::judge::BlockStats;

/// When rejects stop the worker. Off by default: bad records are dead-lettered and the stream goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PoisonLimits {
    /// So many records rejected one after the other.
    pub run_max: Option<u32>,
    /// This share of the children of a window.
    pub share_max: Option<f64>,
    /// Children of a window; the share is judged when it is full.
    pub window: u64,
}

/// Counts rejects.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Poison {
    run: u64,
    rejects: u64,
    children: u64,
}

impl Poison {
    /// Adds a block. `Some((rejects, children))`: the limit is passed.
    pub(crate) fn add(&mut self, limits: &PoisonLimits, block: &BlockStats) -> Option<(u64, u64)> {
        let rejects = u64::from(block.outcomes.all_dead_lettered());
        let children = u64::from(block.outcomes.children());
        if children == 0 {
            return None;
        }
        let before = if block.only_rejects { self.run } else { 0 };
        self.run = before + u64::from(block.reject_run);
        self.rejects += rejects;
        self.children += children;
        if limits
            .run_max
            .is_some_and(|run_max| self.run > u64::from(run_max))
        {
            return Some((self.run, self.run));
        }
        let share_max = limits.share_max?;
        if self.children < limits.window.max(1) {
            return None;
        }
        let (rejects, children) = (self.rejects, self.children);
        (self.rejects, self.children) = (0, 0);
        (rejects as f64 > share_max * children as f64).then_some((rejects, children))
    }
}

#[cfg(test)]
mod tests {
    use changegate_types::RejectCode;

    use super::*;

    fn block(good: u32, bad: u32) -> BlockStats {
        let mut stats = BlockStats {
            only_rejects: good == 0,
            reject_run: bad,
            ..BlockStats::default()
        };
        (0..good).for_each(|_| stats.outcomes.write());
        (0..bad).for_each(|_| stats.outcomes.dead_letter(RejectCode::NotJson));
        stats
    }

    #[test]
    fn a_run_is_counted_over_blocks_and_ends_with_a_good_child() {
        let limits = PoisonLimits {
            run_max: Some(10),
            ..PoisonLimits::default()
        };
        let mut poison = Poison::default();
        assert_eq!(poison.add(&limits, &block(0, 6)), None);
        assert_eq!(poison.add(&limits, &block(1, 4)), None);
        assert_eq!(poison.add(&limits, &block(0, 6)), None);
        assert_eq!(poison.add(&limits, &block(0, 1)), Some((11, 11)));
    }

    #[test]
    fn a_share_is_judged_per_window_and_off_is_off() {
        let limits = PoisonLimits {
            share_max: Some(0.05),
            window: 100,
            ..PoisonLimits::default()
        };
        let mut poison = Poison::default();
        assert_eq!(poison.add(&limits, &block(49, 1)), None);
        assert_eq!(poison.add(&limits, &block(46, 4)), None);
        assert_eq!(poison.add(&limits, &block(94, 6)), Some((6, 100)));
        assert_eq!(
            Poison::default().add(&PoisonLimits::default(), &block(0, 1_000_000)),
            None
        );
    }
}
