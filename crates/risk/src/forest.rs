//! Isolation forest over steps: trained from a seed, flat, scored 16 events to a tree pass.
//!
//! Trees are complete heaps of depth 8: whoever stops earlier hands its value down, so that every event takes
//! exactly eight comparisons and no branch. Path lengths are kept as whole 1/1024, so that a sum over trees is
//! exact and the same on every machine.

use ndarray::ArrayView2;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

mod block;

use block::{BlockTree, LANES};

use crate::codec::{Reader, Truncated, Writer};
use crate::feature::{FEATURES, Row, WIDTH};

/// Trees of a forest.
pub(crate) const TREES: usize = 100;
/// Rows that a tree is grown on.
const SAMPLE: usize = 256;
const DEPTH: u32 = 8;
const INNER: usize = 255;
const UNIT: f32 = 1_024.0;

/// A node is `threshold << 8 | feature`: right where `step >= threshold`.
#[derive(Clone, Debug, PartialEq)]
struct Tree {
    nodes: [u32; 256],
    leaves: [u16; 256],
}

/// A hundred trees, and the same trees laid out for blocks of events.
#[derive(Clone, Debug, PartialEq)]
pub struct Forest {
    trees: Vec<Tree>,
    /// The same trees for blocks.
    blocks: Vec<BlockTree>,
}

fn below(rng: &mut Xoshiro256PlusPlus, bound: usize) -> usize {
    // Lemire's multiplication; the bias is below 2^-50 for our bounds.
    ((u128::from(rng.next_u64()) * bound as u128) >> 64) as usize
}

/// Mean depth of an unsuccessful search in a binary tree of `n`: what a leaf of `n` rows adds to its path.
fn mean_depth(n: usize) -> f32 {
    match n {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => {
            let n = n as f32;
            2.0 * ((n - 1.0).ln() + 0.577_215_7) - 2.0 * (n - 1.0) / n
        }
    }
}

impl Forest {
    /// Grows a hundred trees, each on a sample of the rows (`n x FEATURES` steps). Same rows and seed, same forest.
    ///
    /// # Panics
    /// Without rows.
    pub fn grow(rows: ArrayView2<'_, u16>, seed: u64) -> Self {
        assert!(rows.nrows() > 0, "a forest needs rows");
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let trees = (0..TREES)
            .map(|_| {
                let mut sample = sample(&mut rng, rows.nrows());
                let mut tree = Tree {
                    nodes: [0; 256],
                    leaves: [0; 256],
                };
                grow(&mut tree, &mut rng, rows, &mut sample, 0, 0);
                tree
            })
            .collect();
        Self::of(trees)
    }

    fn of(trees: Vec<Tree>) -> Self {
        let blocks = trees.iter().map(BlockTree::new).collect();
        Self { trees, blocks }
    }

    /// Sum of path lengths over all trees, in 1/1024: the smaller, the easier an event is set apart.
    pub fn score(&self, rows: &[Row], out: &mut Vec<u32>) {
        out.clear();
        let (full, rest) = rows.as_chunks::<LANES>();
        for rows in full {
            out.extend(self.pass(rows));
        }
        if !rest.is_empty() {
            let mut padded = [[0; WIDTH]; LANES];
            padded[..rest.len()].copy_from_slice(rest);
            out.extend_from_slice(&self.pass(&padded)[..rest.len()]);
        }
    }

    /// One event alone; the same sum.
    pub(crate) fn score_one(&self, row: &Row) -> u32 {
        let path = |tree: &Tree| {
            let mut at = 0usize;
            for _ in 0..DEPTH {
                let node = tree.nodes[at & 255];
                let right = row[node as usize & (WIDTH - 1)] as u32 >= node >> 8;
                at = 2 * at + 1 + usize::from(right);
            }
            u32::from(tree.leaves[(at - INNER) & 255])
        };
        self.trees.iter().map(path).sum()
    }

    fn pass(&self, rows: &[Row; LANES]) -> [u32; LANES] {
        let (columns, steps) = (block::columns(rows), block::steps(rows));
        let mut sums = [0; LANES];
        for tree in &self.blocks {
            tree.add(&columns, &steps, &mut sums);
        }
        sums
    }

    /// How much each feature shortened the path of one event, against the middle of the children it could have
    /// gone to. Sums over trees; positive means "set it apart".
    pub(crate) fn contributions(&self, row: &Row) -> [f32; FEATURES] {
        let mut sums = [0.0f32; FEATURES];
        for tree in &self.trees {
            let mut at = 0usize;
            let mut here = tree.mean(0, 0);
            for depth in 0..DEPTH {
                let node = tree.nodes[at & 255];
                let feature = node as usize & (WIDTH - 1);
                let right = u32::from(row[feature]) >= node >> 8;
                at = 2 * at + 1 + usize::from(right);
                let there = tree.mean(at, depth + 1);
                if let Some(sum) = sums.get_mut(feature) {
                    *sum += here - there;
                }
                here = there;
            }
        }
        sums.map(|sum| sum / UNIT)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u32(self.trees.len() as u32);
        for tree in &self.trees {
            tree.nodes.iter().for_each(|&node| out.u32(node));
            tree.leaves.iter().for_each(|&leaf| out.u16(leaf));
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Truncated> {
        let trees = from.u32()? as usize;
        if trees != TREES {
            return Err(Truncated);
        }
        let mut grown = Vec::with_capacity(trees);
        for _ in 0..trees {
            let mut tree = Tree {
                nodes: [0; 256],
                leaves: [0; 256],
            };
            for node in &mut tree.nodes {
                *node = from.u32()?;
            }
            for leaf in &mut tree.leaves {
                *leaf = from.u16()?;
            }
            grown.push(tree);
        }
        Ok(Self::of(grown))
    }
}

impl Tree {
    /// Mean of the leaves below a node.
    fn mean(&self, at: usize, depth: u32) -> f32 {
        let span = 1usize << (DEPTH - depth);
        let first = (at + 1) * span - 1 - INNER;
        let leaves = &self.leaves[first..first + span];
        leaves.iter().map(|&leaf| f32::from(leaf)).sum::<f32>() / span as f32
    }
}

/// `SAMPLE` rows without repeats (all, if there are fewer), by Floyd's method.
fn sample(rng: &mut Xoshiro256PlusPlus, rows: usize) -> Vec<usize> {
    if rows <= SAMPLE {
        return (0..rows).collect();
    }
    let mut chosen = Vec::with_capacity(SAMPLE);
    for last in rows - SAMPLE..rows {
        let pick = below(rng, last + 1);
        chosen.push(if chosen.contains(&pick) { last } else { pick });
    }
    chosen
}

fn grow(
    tree: &mut Tree,
    rng: &mut Xoshiro256PlusPlus,
    rows: ArrayView2<'_, u16>,
    sample: &mut [usize],
    at: usize,
    depth: u32,
) {
    if depth == DEPTH {
        tree.leaves[at - INNER] = (mean_depth(sample.len()) * UNIT + f32::from(DEPTH as u8) * UNIT) as u16;
        return;
    }
    let mut candidates = [(0usize, 0u16, 0u16); FEATURES];
    let mut found = 0;
    if sample.len() > 1 {
        for feature in 0..FEATURES {
            let steps = sample.iter().map(|&row| rows[[row, feature]]);
            let (low, high) = steps.fold((u16::MAX, 0), |(low, high), step| (low.min(step), high.max(step)));
            if low < high {
                candidates[found] = (feature, low, high);
                found += 1;
            }
        }
    }
    if found == 0 {
        // Nothing tells these rows apart: the whole subtree is one leaf of this depth.
        let value = ((mean_depth(sample.len()) + depth as f32) * UNIT) as u16;
        let span = 1usize << (DEPTH - depth);
        let first = (at + 1) * span - 1 - INNER;
        tree.leaves[first..first + span].fill(value);
        return;
    }
    let (feature, low, high) = candidates[below(rng, found)];
    let threshold = low + 1 + below(rng, usize::from(high - low)) as u16;
    tree.nodes[at] = u32::from(threshold) << 8 | feature as u32;
    let mut left = 0;
    for i in 0..sample.len() {
        if rows[[sample[i], feature]] < threshold {
            sample.swap(i, left);
            left += 1;
        }
    }
    let (lower, upper) = sample.split_at_mut(left);
    grow(tree, rng, rows, lower, 2 * at + 1, depth + 1);
    grow(tree, rng, rows, upper, 2 * at + 2, depth + 1);
}

#[cfg(test)]
mod tests;
