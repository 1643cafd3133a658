//! The forest laid out for blocks of 16 events: the upper levels of a tree are decided for all of them at once, the
//! lower ones for each event by itself. Sums are those of [`Forest::score_one`](super::Forest::score_one).

use super::{DEPTH, INNER, Tree};
use crate::feature::{Row, STEPS_MAX, WIDTH};

/// Events of a block: as many as the registers hold.
pub(super) const LANES: usize = 16;
/// Levels that are decided for all events at once: each of their nodes is compared, whoever comes by, eight events to
/// an instruction. Below them one event's own comparison costs less.
const UPPER: u32 = 4;
/// Nodes of a tree, and its leaves.
const NODES: usize = 1 << DEPTH;

/// A step, or where to go, for each event.
type Lanes = [i16; LANES];
/// Steps by feature.
pub(super) type Columns = [Lanes; WIDTH];

/// One tree. Nodes are numbered from 2: from `n`, steps that reach the threshold go to `2n` and those below it to
/// `2n - 1`, so that a comparison is one subtraction with borrow.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BlockTree {
    features: [u8; NODES + 1],
    thresholds: [u16; NODES + 1],
    leaves: [u16; NODES],
}

impl BlockTree {
    pub(super) fn new(tree: &Tree) -> Self {
        let mut laid = Self {
            features: [0; NODES + 1],
            thresholds: [0; NODES + 1],
            leaves: [0; NODES],
        };
        laid.fill(tree, 0, 2);
        laid
    }

    /// `from`: the node of the tree that stands at `at` here.
    fn fill(&mut self, tree: &Tree, from: usize, at: usize) {
        if let Some(leaf) = from.checked_sub(INNER) {
            self.leaves[at - NODES - 1] = tree.leaves[leaf];
            return;
        }
        let node = tree.nodes[from];
        self.features[at] = node as u8 & (WIDTH - 1) as u8;
        // No step goes beyond the grid, so none tells a threshold beyond it from its end.
        self.thresholds[at] = (node >> 8).min(STEPS_MAX as u32) as u16;
        self.fill(tree, 2 * from + 2, 2 * at);
        self.fill(tree, 2 * from + 1, 2 * at - 1);
    }

    /// For each event: all bits set where its step lies below the threshold of a node.
    #[inline(always)]
    fn below(&self, columns: &Columns, at: usize) -> Lanes {
        let steps = &columns[usize::from(self.features[at]) & (WIDTH - 1)];
        let threshold = self.thresholds[at] as i16;
        let mut below = [0; LANES];
        for lane in 0..LANES {
            below[lane] = -i16::from(steps[lane] < threshold);
        }
        below
    }

    /// What a node passes on of what its children say: as negative numbers, since that is what a comparison gives.
    #[inline(always)]
    fn choose(below: Lanes, weight: i16, reached: Lanes, missed: Lanes) -> Lanes {
        let mut chosen = [0; LANES];
        for lane in 0..LANES {
            let own = (below[lane] & missed[lane]) | (!below[lane] & reached[lane]);
            chosen[lane] = own + below[lane] * weight;
        }
        chosen
    }

    /// For each event, how far left it comes out two levels below a node (below: three, four), from the rightmost on.
    #[inline(always)]
    fn two(&self, columns: &Columns, at: usize) -> Lanes {
        let (reached, missed) = (self.below(columns, 2 * at), self.below(columns, 2 * at - 1));
        Self::choose(self.below(columns, at), 2, reached, missed)
    }

    #[inline(always)]
    fn three(&self, columns: &Columns, at: usize) -> Lanes {
        let (reached, missed) = (self.two(columns, 2 * at), self.two(columns, 2 * at - 1));
        Self::choose(self.below(columns, at), 4, reached, missed)
    }

    #[inline(always)]
    fn four(&self, columns: &Columns, at: usize) -> Lanes {
        let (reached, missed) = (self.three(columns, 2 * at), self.three(columns, 2 * at - 1));
        Self::choose(self.below(columns, at), 8, reached, missed)
    }

    /// Adds each event's path.
    #[inline(always)]
    pub(super) fn add(&self, columns: &Columns, steps: &Steps, sums: &mut [u32; LANES]) {
        let small = self.four(columns, 2);
        for lane in 0..LANES {
            // `four` of the root, 2, ends on 32 for whoever always went to `2n`.
            let mut at = 32 - (-small[lane]) as usize % 16;
            for _ in UPPER..DEPTH {
                let step = steps[lane * WIDTH + usize::from(self.features[at])];
                at = 2 * at - usize::from(step < self.thresholds[at]);
            }
            sums[lane] += u32::from(self.leaves[at - NODES - 1]);
        }
    }
}

/// Steps by event; long enough that no byte added to an event's place goes beyond it, so that nothing is checked.
pub(super) type Steps = [u16; (LANES - 1) * WIDTH + 256];

/// Steps by event.
pub(super) fn steps(rows: &[Row; LANES]) -> Steps {
    let mut steps = [0; (LANES - 1) * WIDTH + 256];
    let rows = rows.as_flattened();
    steps[..rows.len()].copy_from_slice(rows);
    steps
}

/// Steps by feature.
pub(super) fn columns(rows: &[Row; LANES]) -> Columns {
    let mut columns = [[0; LANES]; WIDTH];
    for (lane, row) in rows.iter().enumerate() {
        for (column, step) in columns.iter_mut().zip(row) {
            column[lane] = *step as i16;
        }
    }
    columns
}
