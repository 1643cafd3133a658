use crate::ledger::Stamp;
use crate::rows::Why;

/// A row at a position, and what `superseded` says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which write it came from.
    pub stamp: Stamp,
    /// It is named as a late insert or as a redelivery: the views leave it out.
    pub hidden: bool,
    /// It is named as identical: the views show one row of this stamp, whatever else is said of it.
    pub shown_once: bool,
}

/// What is to be put into `superseded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Of which row.
    pub stamp: Stamp,
    /// Why.
    pub why: Why,
    /// The row that stays; zero where it is one of another position.
    pub of: Stamp,
}

/// What is missing in `superseded`, so that of one position one row is shown: the one with the largest stamp. Of a
/// redelivery none is.
///
/// Who wrote the largest looked before, and the others were not there: what it asked and decided was sent. What the
/// others would have sent was not, because a batch sends nothing before its rows are known to be there. A row that
/// lands late is of a smaller batch, so the answer stays the same whatever comes, and two who look at the same time do
/// not contradict each other.
///
/// A row that is named as identical is shown whatever else is said of it, so it makes way for none, not even for a larger
/// one that comes later.
///
/// What was set aside stays so, also where versions did it that kept the smallest. A position of which everything was
/// set aside, by versions that contradict each other, shows its largest again.
pub fn settle(rows: &[Row], is_redelivery: bool) -> Vec<Verdict> {
    let mut stamps: Vec<Stamp> = rows.iter().map(|row| row.stamp).collect();
    stamps.sort_unstable();
    stamps.dedup();
    let any = |stamp: &Stamp, is: fn(&Row) -> bool| rows.iter().any(|row| row.stamp == *stamp && is(row));
    let hidden = |stamp: &Stamp| any(stamp, |row| row.hidden);
    let shown_once = |stamp: &Stamp| any(stamp, |row| row.shown_once);
    let aside = |why: Why, of: Stamp| {
        let rest = stamps.iter().filter(|stamp| !hidden(stamp) && **stamp != of);
        rest.map(|stamp| Verdict {
            stamp: *stamp,
            why,
            of,
        })
        .collect::<Vec<_>>()
    };
    if is_redelivery {
        return aside(Why::Redelivery, Stamp::default());
    }
    // A row that is shown whatever is said of it cannot make way for another one.
    let pinned = stamps.iter().rfind(|stamp| shown_once(stamp));
    let largest = stamps.iter().rfind(|stamp| !hidden(stamp)).or(stamps.last());
    let Some(stays) = pinned.or(largest).copied() else {
        return Vec::new();
    };
    let mut verdicts = aside(Why::LateInsert, stays);
    let count = rows.iter().filter(|row| row.stamp == stays).count();
    if (count > 1 || hidden(&stays)) && !shown_once(&stays) {
        verdicts.push(Verdict {
            stamp: stays,
            why: Why::Identical,
            of: stays,
        });
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::ledger::BatchId;

    fn stamp(batch: u64) -> Stamp {
        Stamp {
            batch: BatchId(batch),
            attempt: 1,
        }
    }

    /// One position: its rows, and what `superseded` says.
    #[derive(Clone, Debug, Default)]
    struct Position {
        rows: Vec<Stamp>,
        notes: BTreeSet<(Stamp, Why)>,
    }

    impl Position {
        fn of(rows: &[u64]) -> Self {
            Self {
                rows: rows.iter().map(|batch| stamp(*batch)).collect(),
                notes: BTreeSet::new(),
            }
        }

        fn verdicts(&self, is_redelivery: bool) -> Vec<Verdict> {
            let says = |stamp: Stamp, is: fn(Why) -> bool| {
                self.notes.iter().any(|(of, why)| *of == stamp && is(*why))
            };
            let row = |stamp: &Stamp| Row {
                stamp: *stamp,
                hidden: says(*stamp, |why| why != Why::Identical),
                shown_once: says(*stamp, |why| why == Why::Identical),
            };
            let rows: Vec<Row> = self.rows.iter().map(row).collect();
            settle(&rows, is_redelivery)
        }

        fn note(&mut self, verdicts: &[Verdict]) {
            let notes = verdicts.iter().map(|verdict| (verdict.stamp, verdict.why));
            self.notes.extend(notes);
        }

        /// As earlier versions did it: all but the smallest.
        fn note_as_before(&mut self) {
            let mut rows = self.rows.clone();
            rows.sort_unstable();
            let smallest = rows.first().copied();
            for stamp in rows.into_iter().skip(1) {
                let why = if Some(stamp) == smallest {
                    Why::Identical
                } else {
                    Why::LateInsert
                };
                self.notes.insert((stamp, why));
            }
        }

        /// What the views show.
        fn shown(&self) -> Vec<u64> {
            let is_named = |stamp: &Stamp| self.notes.iter().any(|(of, _)| of == stamp);
            let whole = self.rows.iter().filter(|stamp| !is_named(stamp));
            let once = self
                .rows
                .iter()
                .find(|stamp| self.notes.contains(&(**stamp, Why::Identical)));
            whole.chain(once).map(|stamp| stamp.batch.0).collect()
        }

        #[track_caller]
        fn settled(mut self, shown: &[u64]) -> Self {
            let verdicts = self.verdicts(false);
            self.note(&verdicts);
            assert_eq!(self.shown(), shown);
            assert_eq!(self.verdicts(false), [], "settled is settled");
            self
        }
    }

    #[test]
    fn the_largest_stays_and_is_shown_once() {
        Position::of(&[]).settled(&[]);
        Position::of(&[5]).settled(&[5]);
        Position::of(&[5, 6, 4]).settled(&[6]);
        Position::of(&[6, 5, 6]).settled(&[6]);
        let mut later = Position::of(&[5, 6]).settled(&[6]);
        later.rows.push(stamp(4));
        later.settled(&[6]);
    }

    /// Three deaths over one batch: docs/delivery.md names it.
    #[test]
    fn what_is_named_identical_makes_way_for_none() {
        let mut later = Position::of(&[5, 5]).settled(&[5]);
        later.rows.push(stamp(7));
        later.settled(&[5]);
    }

    #[test]
    fn a_second_attempt_is_larger_than_the_first() {
        let second = Stamp {
            attempt: 2,
            ..stamp(5)
        };
        let mut position = Position::of(&[5]);
        position.rows.push(second);
        let verdicts = position.verdicts(false);
        assert_eq!(verdicts.len(), 1);
        assert_eq!((verdicts[0].stamp, verdicts[0].of), (stamp(5), second));
    }

    #[test]
    fn what_an_earlier_version_kept_stays() {
        let mut before = Position::of(&[5, 6]);
        before.note_as_before();
        let mut before = before.settled(&[5]);
        before.rows.push(stamp(4));
        before.settled(&[5]);
    }

    #[test]
    fn versions_that_contradict_each_other_lose_nothing() {
        let mut position = Position::of(&[5, 6]);
        let verdicts = position.verdicts(false);
        position.note(&verdicts);
        position.note_as_before();
        assert!(position.shown().is_empty(), "both are set aside");
        position.settled(&[6]);
    }

    #[test]
    fn of_a_redelivery_nothing_is_left() {
        let mut position = Position::of(&[5, 6, 6]);
        let verdicts = position.verdicts(true);
        assert!(verdicts.iter().all(|verdict| verdict.why == Why::Redelivery));
        position.note(&verdicts);
        assert!(position.shown().is_empty());
        assert_eq!(position.verdicts(true), []);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Lands(u64),
        Settled,
        /// By somebody who looked so many steps ago.
        SettledLate(usize),
        SettledAsBefore,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (1..6u64).prop_map(Step::Lands),
            2 => Just(Step::Settled),
            2 => (0..6usize).prop_map(Step::SettledLate),
            1 => Just(Step::SettledAsBefore),
        ];
        proptest::collection::vec(step, 1..12)
    }

    proptest! {
        #[test]
        fn whoever_looks_when_one_row_is_shown_in_the_end(steps in steps()) {
            let mut position = Position::default();
            let mut looks = vec![Vec::new()];
            for step in &steps {
                match step {
                    Step::Lands(batch) => position.rows.push(stamp(*batch)),
                    Step::Settled => {
                        let verdicts = position.verdicts(false);
                        position.note(&verdicts);
                    }
                    Step::SettledLate(ago) => {
                        let look = looks[looks.len().saturating_sub(1 + ago)].clone();
                        position.note(&look);
                    }
                    Step::SettledAsBefore => position.note_as_before(),
                }
                looks.push(position.verdicts(false));
            }
            let verdicts = position.verdicts(false);
            position.note(&verdicts);
            prop_assert_eq!(position.shown().len(), usize::from(!position.rows.is_empty()));
            prop_assert_eq!(position.verdicts(false), []);
            let rows: BTreeSet<Stamp> = position.rows.iter().copied().collect();
            let alone = rows.len() == position.rows.len();
            let agreed = !steps.iter().any(|step| matches!(step, Step::SettledAsBefore));
            if alone && agreed && let Some(largest) = rows.last() {
                prop_assert_eq!(position.shown(), [largest.batch.0]);
            }
        }
    }
}
