//! What was found out about a pair of texts is kept: few pairs make up most of what a source sends.

use std::cell::RefCell;

use changegate_json::name_hash;

/// How many pairs are kept; one that comes takes the place of another.
const SLOTS: usize = 1024;
/// Longer texts are not kept: they come from foreign hands.
const LONGEST: usize = 128;

struct Kept<T> {
    first: Box<str>,
    second: Box<str>,
    found: T,
}

/// For values that follow from the two texts alone.
pub(crate) struct Memo<T>(RefCell<Vec<Option<Kept<T>>>>);

impl<T: Copy> Memo<T> {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// What is known of the two texts, or what `find` says.
    #[inline]
    pub(crate) fn get(&self, first: &str, second: &str, find: impl FnOnce() -> T) -> T {
        let slot = (name_hash(first).rotate_left(5) ^ name_hash(second)) as usize % SLOTS;
        if let Some(Some(kept)) = self.0.borrow().get(slot)
            && *kept.second == *second
            && *kept.first == *first
        {
            return kept.found;
        }
        let found = find();
        if first.len() <= LONGEST && second.len() <= LONGEST {
            self.keep(slot, first, second, found);
        }
        found
    }

    #[cold]
    fn keep(&self, slot: usize, first: &str, second: &str, found: T) {
        let mut slots = self.0.borrow_mut();
        if slots.is_empty() {
            slots.resize_with(SLOTS, || None);
        }
        if let Some(room) = slots.get_mut(slot) {
            *room = Some(Kept {
                first: first.into(),
                second: second.into(),
                found,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_its_own() {
        let memo = Memo::new();
        let long = "x".repeat(LONGEST + 1);
        for _ in 0..3 {
            for number in 0..5_000 {
                let (first, second) = (format!("service {}", number % 7), format!("operation {number}"));
                assert_eq!(memo.get(&first, &second, || number), number);
            }
            assert_eq!(memo.get(&long, "", || 1), 1);
            assert_eq!(memo.get(&long, "", || 2), 2, "not kept");
        }
        assert_eq!(memo.get("a", "b", || 1), 1);
        assert_eq!(memo.get("a", "b", || 2), 1, "kept");
        assert_eq!(memo.get("b", "a", || 2), 2);
    }
}
