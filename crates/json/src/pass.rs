//! The pass itself: from the bytes of one document to its nodes.

use crate::escape;
use crate::index::{Fault, FaultKind, Limits, Node, NodeKind, Noted};
use crate::mask::Masks;
use crate::name::Name;
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
    /// Room: its length says nothing of how many are filled.
    pub(crate) nodes: Vec<Node>,
    pub(crate) noted: Vec<Noted>,
    pub(crate) open: Vec<Open>,
}

pub(crate) struct Pass<'p> {
    bytes: &'p [u8],
    masks: &'p Masks,
    watch: &'p Watch,
    nodes: Vec<Node>,
    /// How many of `nodes` are filled.
    count: usize,
    /// Of what is watched.
    noted: Vec<Noted>,
    /// What lies around `top`.
    open: Vec<Open>,
    top: Open,
    limits: &'p Limits,
    pub(crate) repeated_names: bool,
}

/// Nodes that there is room for at first.
const ROOM: usize = 256;

/// A name with escapes in it is found by what it means.
#[cold]
fn hash_unescaped(spelled: &[u8]) -> u32 {
    let mut plain = String::with_capacity(spelled.len());
    if let Ok(spelled) = str::from_utf8(spelled) {
        escape::unescape(spelled, |piece| plain.push_str(piece));
    }
    Name::of(plain.as_bytes()).hash()
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
        // Another document's limit may have been higher.
        nodes.truncate(limits.values);
        noted.clear();
        open.clear();
        Self {
            bytes,
            masks,
            watch,
            nodes,
            count: 0,
            noted,
            open,
            top: Open {
                node: 0,
                members: 0,
                object: false,
                seen: [0; 4],
            },
            limits,
            repeated_names: false,
        }
    }

    /// The buffers, and how many nodes are filled.
    pub(crate) fn into_buffers(self) -> (Buffers, usize) {
        let Self {
            nodes, noted, open, ..
        } = self;
        (Buffers { nodes, noted, open }, self.count)
    }

    /// Reads the value that begins at or after `from`. Returns the offset after it. Nesting costs no stack.
    pub(crate) fn run(&mut self, from: usize) -> Result<usize, Fault> {
        let (mut at, mut byte) = self.token(from);
        // Whether a member comes next, which has a name.
        let mut named = false;
        let mut depth = 0;
        loop {
            if named {
                (at, byte) = self.name(at, byte)?;
            }
            // Here stands a value; of an object or array its beginning is read, and what stands before its first value.
            let mut end = match byte {
                b'"' => {
                    let start = at + 1;
                    if self.watch.string(self.byte(start)) {
                        self.note();
                    }
                    let end = start + self.masks.plain(start);
                    if self.byte(end) == b'"' {
                        self.push(NodeKind::String, false, start, end)?;
                        end + 1
                    } else {
                        let (end, escaped) = self.string_slow(end)?;
                        self.push(NodeKind::String, escaped, start, end)?;
                        end + 1
                    }
                }
                b'{' | b'[' => {
                    if depth >= self.limits.depth {
                        return Err(Fault {
                            kind: FaultKind::Depth,
                            at,
                        });
                    }
                    let (kind, closing) = if byte == b'{' {
                        (NodeKind::Object, b'}')
                    } else {
                        (NodeKind::Array, b']')
                    };
                    let (inside, first) = self.token(at + 1);
                    if first != closing {
                        self.enter(kind, at, depth > 0)?;
                        depth += 1;
                        named = kind == NodeKind::Object;
                        (at, byte) = (inside, first);
                        continue;
                    }
                    self.push(kind, false, at, inside + 1)?;
                    inside + 1
                }
                _ => self.scalar(at, byte)?,
            };
            // Here one ended: close what ends with it, or go on to the next value.
            loop {
                if depth == 0 {
                    return Ok(end);
                }
                (at, byte) = self.token(end);
                if byte == b',' {
                    (at, byte) = self.token(at + 1);
                    break;
                }
                if byte != if named { b'}' } else { b']' } {
                    return Err(self.unexpected(at));
                }
                self.close(at);
                depth -= 1;
                named = self.top.object;
                end = at + 1;
            }
        }
    }

    /// A number or a word. Returns the offset after it.
    fn scalar(&mut self, at: usize, byte: u8) -> Result<usize, Fault> {
        match byte {
            b't' => self.literal(at, b"true", NodeKind::True),
            b'f' => self.literal(at, b"false", NodeKind::False),
            b'n' => self.literal(at, b"null", NodeKind::Null),
            b'-' | b'0'..=b'9' => {
                let end = self.number(at)?;
                self.push(NodeKind::Number, false, at, end)?;
                Ok(end)
            }
            _ => Err(self.unexpected(at)),
        }
    }

    /// The byte there, or zero, which stands for nothing in JSON.
    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// The first byte at or after `at` that is no space, and its offset. Written by machines, most values have no space
    /// before them.
    #[inline(always)]
    fn token(&self, at: usize) -> (usize, u8) {
        let byte = self.byte(at);
        if byte <= b' ' {
            self.token_after_space(at)
        } else {
            (at, byte)
        }
    }

    #[cold]
    fn token_after_space(&self, at: usize) -> (usize, u8) {
        let at = skip_space(self.bytes, at);
        (at, self.byte(at))
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

    #[inline(always)]
    fn push(&mut self, kind: NodeKind, flag: bool, start: usize, end: usize) -> Result<(), Fault> {
        let next = self.count as u32 + 1;
        self.push_with(kind, flag, start as u32, end as u32, next)
    }

    #[inline(always)]
    fn push_with(
        &mut self,
        kind: NodeKind,
        flag: bool,
        start: u32,
        end: u32,
        next: u32,
    ) -> Result<(), Fault> {
        let count = self.count;
        if let Some(room) = self.nodes.get_mut(count) {
            *room = Node {
                kind,
                flag,
                start,
                end,
                next,
            };
            self.count = count + 1;
            return Ok(());
        }
        self.push_beyond(kind, flag, start, end, next)
    }

    #[cold]
    fn push_beyond(
        &mut self,
        kind: NodeKind,
        flag: bool,
        start: u32,
        end: u32,
        next: u32,
    ) -> Result<(), Fault> {
        if self.count >= self.limits.values {
            return Err(Fault {
                kind: FaultKind::Count,
                at: start as usize,
            });
        }
        let room = (self.count * 2).max(ROOM).min(self.limits.values);
        self.nodes.resize(room, Node::EMPTY);
        self.push_with(kind, flag, start, end, next)
    }

    /// The node that comes next is to be looked at again.
    #[cold]
    fn note(&mut self) {
        self.noted.push(Noted {
            node: self.count as u32,
            around: self.top.node,
        });
    }

    #[inline]
    fn enter(&mut self, kind: NodeKind, at: usize, inside_another: bool) -> Result<(), Fault> {
        if inside_another {
            self.open.push(self.top);
        }
        self.top = Open {
            node: self.count as u32,
            members: 0,
            object: kind == NodeKind::Object,
            seen: [0; 4],
        };
        self.push(kind, false, at, at)
    }

    #[inline]
    fn close(&mut self, at: usize) {
        let next = self.count as u32;
        if let Some(node) = self.nodes.get_mut(self.top.node as usize) {
            node.end = at as u32 + 1;
            node.next = next;
        }
        if self.top.members > FEW_MEMBERS {
            self.overrule_among_many();
        }
        if let Some(around) = self.open.pop() {
            self.top = around;
        }
    }

    /// Reads a name, whose first byte is given, and the colon. Returns where the value begins, and its first byte.
    #[inline(always)]
    fn name(&mut self, at: usize, byte: u8) -> Result<(usize, u8), Fault> {
        if byte != b'"' {
            return Err(self.unexpected(at));
        }
        let start = at + 1;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let mut length = self.masks.plain(start);
        let mut kind = NodeKind::Name;
        if rest.get(length) != Some(&b'"') {
            let (end, escaped) = self.string_slow(start + length)?;
            length = end - start;
            if escaped {
                kind = NodeKind::EscapedName;
                self.note();
            }
        }
        let end = start + length;
        let spelled = rest.get(..length).unwrap_or_default();
        let name = Name::of(spelled);
        let mut hash = name.hash();
        if self.watch.name(&name) && kind == NodeKind::Name {
            self.note();
        }
        if kind == NodeKind::EscapedName {
            hash = hash_unescaped(spelled);
        }
        self.push_with(kind, false, start as u32, end as u32, hash)?;
        self.top.members += 1;
        if let Some(word) = self.top.seen.get_mut(hash as usize >> 6 & 3) {
            let bit = 1u64 << (hash & 63);
            let maybe_seen = *word & bit != 0;
            *word |= bit;
            if maybe_seen {
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
        Ok(self.token(colon + 1))
    }

    /// Marks earlier members of this object that have the name at `start..end`. Names are compared as spelled.
    #[cold]
    fn overrule(&mut self, hash: u32, start: usize, end: usize) {
        if self.top.members > FEW_MEMBERS {
            return;
        }
        let name = self.bytes.get(start..end);
        let last = self.count.saturating_sub(1);
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
        let end = self.count;
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

    /// Offset of the closing quote, and whether there are escapes before it; `at` is that of the first special byte.
    #[cold]
    fn string_slow(&self, mut at: usize) -> Result<(usize, bool), Fault> {
        let mut escaped = false;
        loop {
            match self.bytes.get(at) {
                Some(b'"') => return Ok((at, escaped)),
                Some(b'\\') => {
                    escaped = true;
                    let after = escape::check(self.bytes, at).map_err(|fault| self.unexpected(fault))?;
                    at = after + self.masks.plain(after);
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
