//! One pass over the bytes that checks the syntax and notes where each value stands.

use bumpalo::Bump;

use crate::value::{Kind, Value};
use crate::{escape, scan};

/// Bounds on what is read.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nesting of objects and arrays.
    pub depth: usize,
    /// Bytes of one document.
    pub bytes: usize,
    /// Values and names in one document.
    pub values: usize,
}

impl Default for Limits {
    /// Depth 64, 64 MiB, 8 million values.
    fn default() -> Self {
        Self {
            depth: 64,
            bytes: 64 << 20,
            values: 8 << 20,
        }
    }
}

/// Why bytes are no document, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// Offset of the first byte that cannot be, from 0.
    pub at: usize,
}

/// Kinds of [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A byte that JSON does not allow there.
    Syntax,
    /// The bytes end inside the value (or there are none).
    Truncated,
    /// Something follows the value.
    Trailing,
    /// Not UTF-8.
    Utf8,
    /// Deeper than [`Limits::depth`].
    Depth,
    /// Larger than [`Limits::bytes`].
    Size,
    /// More values than [`Limits::values`].
    Count,
}

/// A value or a member's name: where it stands and where the next one at the same level does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    /// The string holds escapes; the object holds a name twice; the name is overruled by a later one.
    pub(crate) flag: bool,
    /// Offset of the first byte; of a string or name, of the byte after its quote.
    pub(crate) start: u32,
    /// Offset after the last byte; of a string or name, of the closing quote.
    pub(crate) end: u32,
    /// Of a value: index of the node after it and all that is in it. Of a name: hash of its bytes.
    pub(crate) next: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum NodeKind {
    Null,
    False,
    True,
    Number,
    String,
    Array,
    Object,
    /// A member's name; its value is the next node.
    Name,
    /// The same with escapes in it.
    EscapedName,
}

/// A checked document. Cheap to copy: two slices.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    pub(crate) text: &'a str,
    pub(crate) nodes: &'a [Node],
    pub(crate) arena: &'a Bump,
    repeated_names: bool,
}

impl<'a> Document<'a> {
    /// The outermost value.
    pub fn root(&'a self) -> Value<'a> {
        Value::new(self, 0)
    }

    /// The bytes that were read.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Whether some object holds a name twice.
    pub fn has_repeated_names(&self) -> bool {
        self.repeated_names
    }

    /// All names of members, in the order of the bytes, with their values.
    pub fn names(&'a self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        let names = self.nodes.iter().enumerate();
        names
            .filter(|(_, node)| matches!(node.kind, NodeKind::Name | NodeKind::EscapedName))
            .map(|(at, node)| {
                (
                    self.text
                        .get(node.start as usize..node.end as usize)
                        .unwrap_or_default(),
                    Value::new(self, at as u32 + 1),
                )
            })
    }

    /// All values that hold no others, in the order of the bytes; names are none.
    pub fn leaves(&'a self) -> impl Iterator<Item = Value<'a>> {
        let values = self.nodes.iter().enumerate();
        values
            .filter(|(_, node)| (node.kind as u8) < NodeKind::Array as u8)
            .map(|(at, _)| Value::new(self, at as u32))
    }
}

/// Makes documents; keeps its buffers between them.
#[derive(Debug, Default)]
pub struct Indexer {
    nodes: Vec<Node>,
    open: Vec<Open>,
}

/// An object or array whose end has not come yet.
#[derive(Clone, Copy, Debug)]
struct Open {
    node: u32,
    object: bool,
    /// One bit for each of 256 classes of names seen in this object.
    seen: [u64; 4],
}

impl Indexer {
    /// Reads one document that fills `bytes`.
    ///
    /// # Errors
    /// The [`Fault`] that comes first.
    pub fn index<'a>(
        &mut self,
        arena: &'a Bump,
        bytes: &'a [u8],
        limits: &Limits,
    ) -> Result<&'a Document<'a>, Fault> {
        let (document, end) = self.index_first(arena, bytes, limits)?;
        let end = skip_space(bytes, end);
        if end < bytes.len() {
            Err(Fault {
                kind: FaultKind::Trailing,
                at: end,
            })
        } else {
            Ok(document)
        }
    }

    /// Reads the first document of `bytes` and says where it ends: for values that follow one another.
    ///
    /// # Errors
    /// The [`Fault`] that comes first.
    pub fn index_first<'a>(
        &mut self,
        arena: &'a Bump,
        bytes: &'a [u8],
        limits: &Limits,
    ) -> Result<(&'a Document<'a>, usize), Fault> {
        let limit = limits.bytes.min(u32::MAX as usize - 1);
        if bytes.len() > limit {
            return Err(Fault {
                kind: FaultKind::Size,
                at: limit,
            });
        }
        let text = str::from_utf8(bytes).map_err(|error| {
            // An incomplete character at the very end is a cut, not another encoding.
            let kind = if error.error_len().is_none() {
                FaultKind::Truncated
            } else {
                FaultKind::Utf8
            };
            Fault {
                kind,
                at: error.valid_up_to(),
            }
        })?;
        self.nodes.clear();
        self.open.clear();
        let mut pass = Pass {
            bytes,
            nodes: &mut self.nodes,
            open: &mut self.open,
            limits,
            repeated_names: false,
        };
        let from = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let end = pass.run(from)?;
        let repeated_names = pass.repeated_names;
        let nodes = arena.alloc_slice_copy(&self.nodes);
        Ok((
            arena.alloc(Document {
                text,
                nodes,
                arena,
                repeated_names,
            }),
            end,
        ))
    }
}

struct Pass<'p> {
    bytes: &'p [u8],
    nodes: &'p mut Vec<Node>,
    open: &'p mut Vec<Open>,
    limits: &'p Limits,
    repeated_names: bool,
}

#[inline]
fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

impl Pass<'_> {
    fn run(&mut self, from: usize) -> Result<usize, Fault> {
        let mut at = self.value(skip_space(self.bytes, from))?;
        // Each turn stands after a value: close what ends here, or go on to the next value.
        while let Some(open) = self.open.last().copied() {
            at = skip_space(self.bytes, at);
            match (self.bytes.get(at), open.object) {
                (Some(b','), true) => at = self.member(skip_space(self.bytes, at + 1))?,
                (Some(b','), false) => at = self.value(skip_space(self.bytes, at + 1))?,
                (Some(b'}'), true) | (Some(b']'), false) => at = self.close(open, at),
                _ => return Err(self.unexpected(at)),
            }
        }
        Ok(at)
    }

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
        if self.nodes.len() >= self.limits.values {
            return Err(Fault {
                kind: FaultKind::Count,
                at: start,
            });
        }
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node {
            kind,
            flag,
            start: start as u32,
            end: end as u32,
            next,
        });
        Ok(())
    }

    /// Reads the value at `at`, of an object or array only its beginning. Returns the offset after it.
    #[inline]
    fn value(&mut self, at: usize) -> Result<usize, Fault> {
        match self.bytes.get(at) {
            Some(b'"') => {
                let (end, escaped) = self.string(at + 1)?;
                self.push(NodeKind::String, escaped, at + 1, end)?;
                Ok(end + 1)
            }
            Some(b'{') => self.enter(NodeKind::Object, at),
            Some(b'[') => self.enter(NodeKind::Array, at),
            Some(b't') => self.literal(at, b"true", NodeKind::True),
            Some(b'f') => self.literal(at, b"false", NodeKind::False),
            Some(b'n') => self.literal(at, b"null", NodeKind::Null),
            Some(b'-' | b'0'..=b'9') => {
                let end = self.number(at)?;
                self.push(NodeKind::Number, false, at, end)?;
                Ok(end)
            }
            _ => Err(self.unexpected(at)),
        }
    }

    fn enter(&mut self, kind: NodeKind, at: usize) -> Result<usize, Fault> {
        if self.open.len() >= self.limits.depth {
            return Err(Fault {
                kind: FaultKind::Depth,
                at,
            });
        }
        let object = kind == NodeKind::Object;
        let open = Open {
            node: self.nodes.len() as u32,
            object,
            seen: [0; 4],
        };
        self.push(kind, false, at, at)?;
        let inside = skip_space(self.bytes, at + 1);
        let closer = if object { b'}' } else { b']' };
        if self.bytes.get(inside) == Some(&closer) {
            return Ok(self.close(open, inside));
        }
        self.open.push(open);
        if object {
            self.member(inside)
        } else {
            self.value(inside)
        }
    }

    /// `open` may be on the stack (then it is its top) or never have got there (an empty container).
    fn close(&mut self, open: Open, at: usize) -> usize {
        if self.open.last().is_some_and(|top| top.node == open.node) {
            self.open.pop();
        }
        let next = self.nodes.len() as u32;
        if let Some(node) = self.nodes.get_mut(open.node as usize) {
            node.end = at as u32 + 1;
            node.next = next;
        }
        at + 1
    }

    /// Reads a name, the colon and the beginning of the value.
    #[inline]
    fn member(&mut self, at: usize) -> Result<usize, Fault> {
        if self.bytes.get(at) != Some(&b'"') {
            return Err(self.unexpected(at));
        }
        let (end, escaped) = self.string(at + 1)?;
        let hash = name_hash(self.bytes.get(at + 1..end).unwrap_or_default());
        let kind = if escaped {
            NodeKind::EscapedName
        } else {
            NodeKind::Name
        };
        self.push(kind, false, at + 1, end)?;
        if let Some(node) = self.nodes.last_mut() {
            node.next = hash;
        }
        if let Some(open) = self.open.last_mut()
            && let Some(word) = open.seen.get_mut(hash as usize >> 6 & 3)
        {
            let bit = 1u64 << (hash & 63);
            let maybe_seen = *word & bit != 0;
            *word |= bit;
            let object = open.node;
            if maybe_seen {
                self.overrule(object, hash, at + 1, end);
            }
        }
        let colon = if self.bytes.get(end + 1) == Some(&b':') {
            end + 1
        } else {
            skip_space(self.bytes, end + 1)
        };
        if self.bytes.get(colon) != Some(&b':') {
            return Err(self.unexpected(colon));
        }
        self.value(skip_space(self.bytes, colon + 1))
    }

    /// Marks earlier members of this object that have the name at `start..end`. Names are compared as spelled.
    #[cold]
    fn overrule(&mut self, object: u32, hash: u32, start: usize, end: usize) {
        let name = self.bytes.get(start..end);
        let last = self.nodes.len().saturating_sub(1);
        let mut at = object as usize + 1;
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
            self.repeated_names = true;
            if let Some(node) = self.nodes.get_mut(object as usize) {
                node.flag = true;
            }
        }
    }

    /// Offset of the closing quote, and whether there are escapes before it.
    #[inline]
    fn string(&self, from: usize) -> Result<(usize, bool), Fault> {
        let at = scan::special(self.bytes, from);
        if self.bytes.get(at) == Some(&b'"') {
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
                    at = scan::special(self.bytes, after);
                }
                _ => return Err(self.unexpected(at)),
            }
        }
    }

    fn literal(&mut self, at: usize, word: &[u8], kind: NodeKind) -> Result<usize, Fault> {
        for (offset, expected) in word.iter().enumerate() {
            if self.bytes.get(at + offset) != Some(expected) {
                return Err(self.unexpected(at + offset));
            }
        }
        let end = at + word.len();
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

/// Good enough to tell the names of one object apart, and blind to the case of letters, so that a name in another
/// case is found in the same pass. Names with equal hashes are compared byte by byte.
#[inline]
pub(crate) fn name_hash(name: &[u8]) -> u32 {
    /// Sets the bit that upper-case ASCII letters lack.
    const LOWER: u64 = 0x2020_2020_2020_2020;
    let length = name.len() as u64;
    let (head, tail) = if let (Some(head), Some(tail)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
    } else if let (Some(head), Some(tail)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (
            u64::from(u32::from_le_bytes(*head)),
            u64::from(u32::from_le_bytes(*tail)),
        )
    } else {
        (name.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0)
    };
    let mixed =
        ((head | LOWER) ^ (tail | LOWER).rotate_left(23) ^ length << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u32
}

impl From<NodeKind> for Kind {
    fn from(kind: NodeKind) -> Self {
        match kind {
            NodeKind::Null => Self::Null,
            NodeKind::False | NodeKind::True => Self::Bool,
            NodeKind::Number => Self::Number,
            NodeKind::String | NodeKind::Name | NodeKind::EscapedName => Self::String,
            NodeKind::Array => Self::Array,
            NodeKind::Object => Self::Object,
        }
    }
}
