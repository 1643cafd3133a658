//! Names that stand twice in one object: the last one counts.

use std::ops::Range;

use super::{FEW_NODES, Pass};

impl Pass<'_> {
    /// Marks earlier members of this object that have the name at `range`. Names are compared as spelled.
    #[cold]
    pub(super) fn overrule(&mut self, hash: u32, range: Range<usize>) {
        if self.count as u32 - self.top.node > FEW_NODES {
            self.top.unsorted = true;
            return;
        }
        let name = self.bytes.get(range);
        let last = self.count.saturating_sub(1);
        let mut at = self.top.node as usize + 1;
        let mut found = false;
        while at < last {
            let Some(node) = self.nodes.get_mut(at) else { break };
            if node.next == hash && self.bytes.get(node.range()) == name {
                found |= !node.flag;
                node.flag = true;
            }
            at = self.nodes.get(at + 1).map_or(last, |value| value.next as usize);
        }
        if found {
            self.has_repeated();
        }
    }

    /// The same for all names of a large object at once: comparing each with each would let a sender of a hundred
    /// thousand names hold up everyone.
    #[cold]
    pub(super) fn overrule_among_many(&mut self) {
        let end = self.count;
        let mut names = Vec::new();
        let mut at = self.top.node as usize + 1;
        while at < end
            && let Some(node) = self.nodes.get(at)
        {
            let name = self.bytes.get(node.range());
            names.push((node.next, name.unwrap_or_default(), at));
            at = self.nodes.get(at + 1).map_or(end, |value| value.next as usize);
        }
        names.sort_unstable();
        let mut found = false;
        for pair in names.windows(2) {
            if let [(hash, name, at), (next_hash, next_name, _)] = pair
                && hash == next_hash
                && name == next_name
                && let Some(node) = self.nodes.get_mut(*at)
            {
                node.flag = true;
                found = true;
            }
        }
        if found {
            self.has_repeated();
        }
    }

    fn has_repeated(&mut self) {
        self.repeated_names = true;
        if let Some(node) = self.nodes.get_mut(self.top.node as usize) {
            node.flag = true;
        }
    }
}
