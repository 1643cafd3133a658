//! The pass itself: from the bytes of one document to its nodes.

use crate::escape;
use crate::index::{Fault, FaultKind, Limits, Node, NodeKind, Noted, name_hash};
use crate::mask::Masks;
use crate::watch::Watch;

/// Objects with more members than this find their repeated names by sorting, at their end.
const FEW_MEMBERS: u32 = 64;

/// An object or array whose end has not come yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    node: u32,
    /// Members so far; of an array it stays 0.
    members: u32,
    object: bool,
    /// One bit for each of 256 classes of names seen in this object.
    seen: [u64; 4],
}

/// What a pass fills, kept from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) nodes: Vec<Node>,
    pub(crate) noted: Vec<Noted>,
    pub(crate) open: Vec<Open>,
}

pub(crate) struct Pass<'p> {
    bytes: &'p [u8],
    masks: &'p Masks,
    watch: &'p Watch,
    pub(crate) nodes: Vec<Node>,
    /// Of what is watched.
    pub(crate) noted: Vec<Noted>,
    /// What lies around `top`.
    pub(crate) open: Vec<Open>,
    top: Open,
    depth: usize,
    limits: &'p Limits,
    pub(crate) repeated_names: bool,
}

#[inline]
pub(crate) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

impl<'p> Pass<'p> {
    pub(crate) fn new(
        bytes: &'p [u8],
        masks: &'p Masks,
        watch: &'p Watch,
        buffers: Buffers,
        limits: &'p Limits,
    ) -> Self {
        let Buffers {
            mut nodes,
            mut noted,
            mut open,
        } = buffers;
        nodes.clear();
        noted.clear();
        open.clear();
        Self {
            bytes,
            masks,
            watch,
            nodes,
            noted,
            open,
            top: Open {
                node: 0,
                members: 0,
                object: false,
                seen: [0; 4],
            },
            depth: 0,
            limits,
            repeated_names: false,
        }
    }

    /// Reads the value that begins at or after `from`. Returns the offset after it. Nesting costs no stack.
    pub(crate) fn run(&mut self, from: usize) -> Result<usize, Fault> {
        let mut at = self.after_space(from);
        let mut named = false;
        loop {
            if named {
                at = self.name(at)?;
            }
            // Here stands a value; of an object or array its beginning is read, and what stands before its first value.
            at = match self.byte(at) {
                b'"' => {
                    let (end, escaped) = self.string(at + 1)?;
                    if self.watch.string(self.byte(at + 1)) {
                        self.note();
                    }
                    self.push(NodeKind::String, escaped, at + 1, end)?;
                    end + 1
                }
                b'{' => {
                    let inside = self.after_space(at + 1);
                    if self.byte(inside) != b'}' {
                        self.enter(NodeKind::Object, at)?;
                        (at, named) = (inside, true);
                        continue;
                    }
                    self.empty(NodeKind::Object, at, inside + 1)?
                }
                b'[' => {
                    let inside = self.after_space(at + 1);
                    if self.byte(inside) != b']' {
                        self.enter(NodeKind::Array, at)?;
                        (at, named) = (inside, false);
                        continue;
                    }
                    self.empty(NodeKind::Array, at, inside + 1)?
                }
                b't' => self.literal(at, b"true", NodeKind::True)?,
                b'f' => self.literal(at, b"false", NodeKind::False)?,
                b'n' => self.literal(at, b"null", NodeKind::Null)?,
                b'-' | b'0'..=b'9' => {
                    let end = self.number(at)?;
                    self.push(NodeKind::Number, false, at, end)?;
                    end
                }
                _ => return Err(self.unexpected(at)),
            };
            // Here one ended: close what ends with it, or go on to the next value.
            loop {
                if self.depth == 0 {
                    return Ok(at);
                }
                at = self.after_space(at);
                named = self.top.object;
                match (self.byte(at), named) {
                    (b',', _) => {
                        at = self.after_space(at + 1);
                        break;
                    }
                    (b'}', true) | (b']', false) => at = self.close(at),
                    _ => return Err(self.unexpected(at)),
                }
            }
        }
    }

    /// The byte there, or zero, which stands for nothing in JSON.
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// Written by machines, most values have no space before them.
    #[inline]
    fn after_space(&self, at: usize) -> usize {
        if self.byte(at) <= b' ' {
            skip_space(self.bytes, at)
        } else {
            at
        }
    }

    #[cold]
    fn unexpected(&self, at: usize) -> Fault {
        let kind = if at >= self.bytes.len() {
            FaultKind::Truncated
        } else {
            FaultKind::Syntax
        };
        Fault {
            kind,
            at: at.min(self.bytes.len()),
        }
    }

    #[inline]
    fn push(&mut self, kind: NodeKind, flag: bool, start: usize, end: usize) -> Result<(), Fault> {
        let next = self.nodes.len() as u32 + 1;
        self.push_with(kind, flag, start, end, next)
    }

    #[inline]
    fn push_with(
        &mut self,
        kind: NodeKind,
        flag: bool,
        start: usize,
        end: usize,
        next: u32,
    ) -> Result<(), Fault> {
        if self.nodes.len() >= self.limits.values {
            return Err(Fault {
                kind: FaultKind::Count,
                at: start,
            });
        }
        self.nodes.push(Node {
            kind,
            flag,
            start: start as u32,
            end: end as u32,
            next,
        });
        Ok(())
    }

    /// The node that comes next is to be looked at again.
    #[inline]
    fn note(&mut self) {
        self.noted.push(Noted {
            node: self.nodes.len() as u32,
            around: self.top.node,
        });
    }

    fn too_deep(&self, at: usize) -> Result<(), Fault> {
        if self.depth < self.limits.depth {
            return Ok(());
        }
        Err(Fault {
            kind: FaultKind::Depth,
            at,
        })
    }

    /// An object or array with nothing in it. Returns the offset after it.
    fn empty(&mut self, kind: NodeKind, at: usize, end: usize) -> Result<usize, Fault> {
        self.too_deep(at)?;
        self.push(kind, false, at, end)?;
        Ok(end)
    }

    #[inline]
    fn enter(&mut self, kind: NodeKind, at: usize) -> Result<(), Fault> {
        self.too_deep(at)?;
        if self.depth > 0 {
            self.open.push(self.top);
        }
        self.depth += 1;
        self.top = Open {
            node: self.nodes.len() as u32,
            members: 0,
            object: kind == NodeKind::Object,
            seen: [0; 4],
        };
        self.push(kind, false, at, at)
    }

    #[inline]
    fn close(&mut self, at: usize) -> usize {
        let next = self.nodes.len() as u32;
        if let Some(node) = self.nodes.get_mut(self.top.node as usize) {
            node.end = at as u32 + 1;
            node.next = next;
        }
        if self.top.members > FEW_MEMBERS {
            self.overrule_among_many();
        }
        self.depth -= 1;
        if let Some(around) = self.open.pop() {
            self.top = around;
        }
        at + 1
    }

    /// Reads a name and the colon. Returns the offset of the value.
    #[inline(always)]
    fn name(&mut self, at: usize) -> Result<usize, Fault> {
        if self.byte(at) != b'"' {
            return Err(self.unexpected(at));
        }
        let start = at + 1;
        let (end, escaped) = self.string(start)?;
        let name = self.bytes.get(start..end).unwrap_or_default();
        let hash = name_hash(name);
        if escaped || self.watch.name(name) {
            self.note();
        }
        let kind = if escaped {
            NodeKind::EscapedName
        } else {
            NodeKind::Name
        };
        self.push_with(kind, false, start, end, hash)?;
        self.top.members += 1;
        if let Some(word) = self.top.seen.get_mut(hash as usize >> 6 & 3) {
            let bit = 1u64 << (hash & 63);
            let maybe_seen = *word & bit != 0;
            *word |= bit;
            if maybe_seen && self.top.members <= FEW_MEMBERS {
                self.overrule(hash, start, end);
            }
        }
        let mut colon = end + 1;
        if self.byte(colon) != b':' {
            colon = skip_space(self.bytes, colon);
            if self.byte(colon) != b':' {
                return Err(self.unexpected(colon));
            }
        }
        Ok(self.after_space(colon + 1))
    }

    /// Marks earlier members of this object that have the name at `start..end`. Names are compared as spelled.
    #[cold]
    fn overrule(&mut self, hash: u32, start: usize, end: usize) {
        let name = self.bytes.get(start..end);
        let last = self.nodes.len().saturating_sub(1);
        let mut at = self.top.node as usize + 1;
        let mut found = false;
        while at < last {
            let Some(node) = self.nodes.get_mut(at) else { break };
            if node.next == hash && self.bytes.get(node.start as usize..node.end as usize) == name {
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
    fn overrule_among_many(&mut self) {
        let end = self.nodes.len();
        let mut names = Vec::with_capacity(self.top.members as usize);
        let mut at = self.top.node as usize + 1;
        while at < end
            && let Some(node) = self.nodes.get(at)
        {
            let name = self.bytes.get(node.start as usize..node.end as usize);
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

    /// Offset of the closing quote, and whether there are escapes before it.
    #[inline]
    fn string(&self, from: usize) -> Result<(usize, bool), Fault> {
        let at = self.masks.special(from, self.bytes.len());
        if self.byte(at) == b'"' {
            Ok((at, false))
        } else {
            self.string_slow(at)
        }
    }

    #[cold]
    fn string_slow(&self, mut at: usize) -> Result<(usize, bool), Fault> {
        let mut escaped = false;
        loop {
            match self.bytes.get(at) {
                Some(b'"') => return Ok((at, escaped)),
                Some(b'\\') => {
                    escaped = true;
                    let after = escape::check(self.bytes, at).map_err(|fault| self.unexpected(fault))?;
                    at = self.masks.special(after, self.bytes.len());
                }
                _ => return Err(self.unexpected(at)),
            }
        }
    }

    fn literal(&mut self, at: usize, word: &[u8], kind: NodeKind) -> Result<usize, Fault> {
        let end = at + word.len();
        if self.bytes.get(at..end) != Some(word) {
            let alike = self.bytes.get(at..).unwrap_or_default().iter().zip(word);
            return Err(self.unexpected(at + alike.take_while(|(own, expected)| own == expected).count()));
        }
        self.push(kind, false, at, end)?;
        Ok(end)
    }

    fn number(&self, from: usize) -> Result<usize, Fault> {
        let mut at = from + usize::from(self.bytes.get(from) == Some(&b'-'));
        at = match self.bytes.get(at) {
            Some(b'0') => at + 1,
            Some(b'1'..=b'9') => self.digits(at),
            _ => return Err(self.unexpected(at)),
        };
        if self.bytes.get(at) == Some(&b'.') {
            at = self.some_digits(at + 1)?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(at) {
            let signed = matches!(self.bytes.get(at + 1), Some(b'+' | b'-'));
            at = self.some_digits(at + 1 + usize::from(signed))?;
        }
        Ok(at)
    }

    fn digits(&self, mut at: usize) -> usize {
        while self.bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    }

    fn some_digits(&self, at: usize) -> Result<usize, Fault> {
        let end = self.digits(at);
        if end == at {
            Err(self.unexpected(at))
        } else {
            Ok(end)
        }
    }
}
