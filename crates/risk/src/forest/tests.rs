//! The flat forest against a plain one with boxed nodes and floats, and against what the method should find.

use ndarray::Array2;

use super::*;
use crate::train::roc_auc;

enum Node {
    Leaf(f64),
    Split {
        feature: usize,
        at: f64,
        below: Box<Node>,
        above: Box<Node>,
    },
}

/// Liu, Ting, Zhou 2008, word by word.
fn plain_tree(rng: &mut Xoshiro256PlusPlus, rows: Vec<&[f64]>, depth: u32) -> Node {
    let leaf = f64::from(depth) + f64::from(mean_depth(rows.len()));
    let ranges: Vec<(usize, f64, f64)> = (0..FEATURES)
        .map(|feature| {
            let low = rows.iter().map(|row| row[feature]).fold(f64::INFINITY, f64::min);
            let high = rows
                .iter()
                .map(|row| row[feature])
                .fold(f64::NEG_INFINITY, f64::max);
            (feature, low, high)
        })
        .filter(|(_, low, high)| low < high)
        .collect();
    if depth == DEPTH || rows.len() <= 1 || ranges.is_empty() {
        return Node::Leaf(leaf);
    }
    let (feature, low, high) = ranges[below(rng, ranges.len())];
    let at = low + (high - low) * (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    let (left, right): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row[feature] <= at);
    Node::Split {
        feature,
        at,
        below: Box::new(plain_tree(rng, left, depth + 1)),
        above: Box::new(plain_tree(rng, right, depth + 1)),
    }
}

fn plain_path(node: &Node, row: &[f64]) -> f64 {
    match node {
        Node::Leaf(path) => *path,
        Node::Split {
            feature,
            at,
            below,
            above,
        } if row[*feature] <= *at => {
            let _ = above;
            plain_path(below, row)
        }
        Node::Split { above, .. } => plain_path(above, row),
    }
}

fn plain_scores(data: &[Vec<f64>], seed: u64) -> Vec<f64> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let trees: Vec<Node> = (0..TREES)
        .map(|_| {
            let picked = sample(&mut rng, data.len());
            plain_tree(
                &mut rng,
                picked.into_iter().map(|row| &data[row][..]).collect(),
                0,
            )
        })
        .collect();
    let score = |row: &Vec<f64>| -trees.iter().map(|tree| plain_path(tree, row)).sum::<f64>();
    data.iter().map(score).collect()
}

/// About normal: a sum of twelve uniforms.
fn normal(rng: &mut Xoshiro256PlusPlus) -> f64 {
    (0..12)
        .map(|_| (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64)
        .sum::<f64>()
        - 6.0
}

/// Rows in steps, and which of them are planted.
fn planted(kind: &str, seed: u64) -> (Vec<Vec<f64>>, Vec<bool>) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut rows = Vec::new();
    let mut truth = Vec::new();
    for at in 0..2_000 {
        let odd = at % 50 == 0;
        let centre = if kind == "two clusters" && at % 2 == 0 {
            300.0
        } else {
            500.0
        };
        let row = (0..FEATURES).map(|feature| {
            let shift = match kind {
                "far in five features" if odd && feature < 5 => 200.0,
                "wide in all" if odd => normal(&mut rng) * 80.0,
                "two clusters" if odd => 100.0,
                "on one in thirty" if odd && feature == at / 50 % FEATURES => 450.0,
                _ => 0.0,
            };
            (centre + shift + normal(&mut rng) * 40.0)
                .clamp(0.0, 1_023.0)
                .floor()
        });
        rows.push(row.collect());
        truth.push(odd);
    }
    (rows, truth)
}

fn steps(rows: &[Vec<f64>]) -> (Array2<u16>, Vec<Row>) {
    let matrix = Array2::from_shape_fn((rows.len(), FEATURES), |(row, feature)| rows[row][feature] as u16);
    let flat = rows.iter().map(|row| {
        let mut steps = [0; WIDTH];
        steps
            .iter_mut()
            .zip(row)
            .for_each(|(step, value)| *step = *value as u16);
        steps
    });
    let flat = flat.collect();
    (matrix, flat)
}

#[test]
fn it_finds_planted_rows_as_well_as_the_plain_method() {
    for (kind, expected) in [
        ("far in five features", 0.99),
        ("wide in all", 0.99),
        ("two clusters", 0.9),
        ("on one in thirty", 0.7),
    ] {
        let (mut ours, mut plain) = (0.0, 0.0);
        for seed in 0..3 {
            let (rows, truth) = planted(kind, seed);
            let (matrix, flat) = steps(&rows);
            let mut sums = Vec::new();
            Forest::grow(matrix.view(), seed).score(&flat, &mut sums);
            let pairs = |scores: Vec<f32>| -> Vec<(f32, bool)> {
                scores.into_iter().zip(truth.iter().copied()).collect()
            };
            ours += roc_auc(&pairs(sums.iter().map(|&sum| -(sum as f32)).collect())) / 3.0;
            plain += roc_auc(&pairs(
                plain_scores(&rows, seed).iter().map(|&s| s as f32).collect(),
            )) / 3.0;
        }
        println!("{kind}: ROC-AUC {ours:.4}, plain {plain:.4}");
        assert!(
            ours > expected && ours > plain - 0.02,
            "{kind}: {ours} against {plain}"
        );
    }
}

#[test]
fn same_rows_and_seed_give_the_same_forest_and_another_seed_another() {
    let (rows, _) = planted("two clusters", 7);
    let (matrix, _) = steps(&rows);
    let bytes = |seed| {
        let mut out = Writer::default();
        Forest::grow(matrix.view(), seed).write(&mut out);
        out.bytes
    };
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
    let bytes = bytes(1);
    assert_eq!(
        Forest::read(&mut Reader::new(&bytes)),
        Ok(Forest::grow(matrix.view(), 1))
    );
    assert_eq!(
        Forest::read(&mut Reader::new(&bytes[..bytes.len() - 1])),
        Err(Truncated)
    );
}

#[test]
fn blocks_and_single_events_score_alike() {
    let (rows, _) = planted("wide in all", 3);
    let (matrix, flat) = steps(&rows);
    let forest = Forest::grow(matrix.view(), 3);
    let mut sums = Vec::new();
    for len in [0, 1, 31, 32, 33, 100] {
        forest.score(&flat[..len], &mut sums);
        let single: Vec<u32> = flat[..len].iter().map(|row| forest.score_one(row)).collect();
        assert_eq!(sums, single);
    }
}

#[test]
fn a_path_is_put_down_to_the_features_that_cut_it_short() {
    let (rows, truth) = planted("far in five features", 5);
    let (matrix, flat) = steps(&rows);
    let forest = Forest::grow(matrix.view(), 5);
    let odd = truth
        .iter()
        .position(|&odd| odd)
        .map(|at| forest.contributions(&flat[at]));
    let odd = odd.unwrap_or([0.0; FEATURES]);
    let (shifted, others): (f32, f32) = (odd[..5].iter().sum(), odd[5..].iter().sum());
    assert!(shifted > others, "{shifted} {others}");
}

#[test]
fn rows_that_nothing_tells_apart_make_a_tree_of_one_leaf() {
    let matrix = Array2::from_elem((1_000, FEATURES), 7);
    let forest = Forest::grow(matrix.view(), 1);
    let one = forest.score_one(&[7; WIDTH]);
    assert_eq!(one, forest.score_one(&[900; WIDTH]));
    assert_eq!(one, TREES as u32 * (mean_depth(SAMPLE) * UNIT) as u32);
}
