//! The pass itself: from the bytes of one document to its nodes.

mod repeated;

use crate::escape;
use crate::index::{Fault, FaultKind, Limits, Node, NodeKind, Noted};
use crate::mask::Words;
use crate::name::{Name, Seen};
use crate::watch::Watch;

/// A name that may repeat in an object that already holds more nodes than this is looked for at its end, by sorting.
const FEW_NODES: u32 = 256;

/// An object or array whose end has not come yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    node: u32,
    object: bool,
    /// A name may stand twice in this object, and it was too large to look for the other one.
    unsorted: bool,
    /// Names in this object.
    seen: Seen,
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
    masks: Words<'p>,
    watch: &'p Watch,
    nodes: Vec<Node>,
    /// How many of `nodes` are filled.
    count: usize,
    /// Of what is watched.
    noted: Vec<Noted>,
    /// What lies around `top`; behind it there may be more, which say nothing.
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
        masks: Words<'p>,
        watch: &'p Watch,
        buffers: Buffers,
        limits: &'p Limits,
    ) -> Self {
        let Buffers {
            mut nodes,
            mut noted,
            open,
        } = buffers;
        // Another document's limit may have been higher.
        nodes.truncate(limits.values);
        noted.clear();
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
                object: false,
                unsorted: false,
                seen: Seen::default(),
            },
            limits,
            repeated_names: false,
        }
    }

    /// The buffers, and how many nodes are filled; there is room for one more.
    pub(crate) fn into_buffers(self) -> (Buffers, usize) {
        let Self {
            mut nodes,
            noted,
            open,
            count,
            ..
        } = self;
        if nodes.len() == count {
            nodes.push(Node::EMPTY);
        }
        (Buffers { nodes, noted, open }, count)
    }

    /// Reads the value that begins at or after `from`. Returns the offset after it. Nesting costs no stack.
    pub(crate) fn run(&mut self, from: usize) -> Result<usize, Fault> {
        let (mut at, mut byte) = self.token(from as u32);
        if byte != b'{' && byte != b'[' {
            return self.alone(at, byte);
        }
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
                    self.note_string(start);
                    let length = self.masks.plain(start);
                    let end = start + length;
                    // Another string or name comes next, as a rule, and there is no space before it.
                    if self.string_follows(end) {
                        self.push(NodeKind::String, false, start, length)?;
                        (at, byte) = (end + 2, b'"');
                        continue;
                    }
                    self.string(start, end)?
                }
                b'{' | b'[' => {
                    if depth >= self.limits.depth {
                        return Err(Fault {
                            kind: FaultKind::Depth,
                            at: at as usize,
                        });
                    }
                    let (kind, closing) = if byte == b'{' {
                        (NodeKind::Object, b'}')
                    } else {
                        (NodeKind::Array, b']')
                    };
                    let (inside, first) = self.token(at + 1);
                    if first != closing {
                        self.enter(kind, at, depth)?;
                        depth += 1;
                        named = kind == NodeKind::Object;
                        (at, byte) = (inside, first);
                        continue;
                    }
                    self.push(kind, false, at, inside + 1 - at)?;
                    if depth == 0 {
                        return Ok(inside as usize + 1);
                    }
                    inside + 1
                }
                _ => self.scalar(at, byte)?,
            };
            // Here one ended: close what ends with it, or go on to the next value.
            loop {
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
                if depth == 0 {
                    return Ok(at as usize + 1);
                }
                self.leave(depth);
                named = self.top.object;
                end = at + 1;
            }
        }
    }

    /// A value that neither is an object or array nor stands in one.
    #[cold]
    fn alone(&mut self, at: u32, byte: u8) -> Result<usize, Fault> {
        let end = if byte == b'"' {
            self.note_string(at + 1);
            self.string(at + 1, at + 1 + self.masks.plain(at + 1))?
        } else {
            self.scalar(at, byte)?
        };
        Ok(end as usize)
    }

    /// A string that begins at `start`, whose first special byte is at `end`. Returns the offset after it.
    #[inline(always)]
    fn string(&mut self, start: u32, end: u32) -> Result<u32, Fault> {
        if self.byte(end) == b'"' {
            self.push(NodeKind::String, false, start, end - start)?;
            return Ok(end + 1);
        }
        let (end, escaped) = self.string_slow(end)?;
        self.push(NodeKind::String, escaped, start, end - start)?;
        Ok(end + 1)
    }

    /// Notes a string whose first byte is watched for.
    #[inline(always)]
    fn note_string(&mut self, start: u32) {
        if let Some(first) = self.bytes.get(start as usize)
            && self.watch.string(*first)
        {
            self.note_string_closer(*first, start);
        }
    }

    #[cold]
    fn note_string_closer(&mut self, first: u8, start: u32) {
        if self.watch.string_closer([first, self.byte(start + 1)]) {
            self.note();
        }
    }

    /// Whether a string ends there and another one begins after a comma. Something follows that, or the bytes are cut.
    #[inline(always)]
    fn string_follows(&self, end: u32) -> bool {
        const THREE: u32 = 0xff_ffff;
        let end = end as usize;
        let four = self.bytes.get(end..end + 4).and_then(<[u8]>::first_chunk);
        four.is_some_and(|four| u32::from_le_bytes(*four) & THREE == u32::from_le_bytes(*b"\",\"\0"))
    }

    /// A number or a word. Returns the offset after it.
    fn scalar(&mut self, at: u32, byte: u8) -> Result<u32, Fault> {
        match byte {
            b't' => self.literal(at, b"true", NodeKind::True),
            b'f' => self.literal(at, b"false", NodeKind::False),
            b'n' => self.literal(at, b"null", NodeKind::Null),
            b'-' | b'0'..=b'9' => {
                let end = self.number(at)?;
                self.push(NodeKind::Number, false, at, end - at)?;
                Ok(end)
            }
            _ => Err(self.unexpected(at)),
        }
    }

    /// The byte there, or zero, which stands for nothing in JSON.
    #[inline(always)]
    fn byte(&self, at: u32) -> u8 {
        self.bytes.get(at as usize).copied().unwrap_or(0)
    }

    /// Eight bytes from there on, the first of them lowest. `None` where there are not so many.
    #[inline(always)]
    fn eight(&self, at: u32) -> Option<u64> {
        let at = at as usize;
        let bytes = self.bytes.get(at..at + 8)?;
        Some(u64::from_le_bytes(*bytes.first_chunk()?))
    }

    /// The first byte at or after `at` that is no space, and its offset. Written by machines, most values have no space
    /// before them.
    #[inline(always)]
    fn token(&self, at: u32) -> (u32, u8) {
        let byte = self.byte(at);
        if byte <= b' ' {
            self.token_after_space(at)
        } else {
            (at, byte)
        }
    }

    #[cold]
    fn token_after_space(&self, at: u32) -> (u32, u8) {
        let at = skip_space(self.bytes, at as usize) as u32;
        (at, self.byte(at))
    }

    #[cold]
    fn unexpected(&self, at: u32) -> Fault {
        let at = at as usize;
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
    fn push(&mut self, kind: NodeKind, flag: bool, start: u32, length: u32) -> Result<(), Fault> {
        let next = self.count as u32 + 1;
        self.push_with(kind, flag, start, length, next)
    }

    #[inline(always)]
    fn push_with(
        &mut self,
        kind: NodeKind,
        flag: bool,
        start: u32,
        length: u32,
        next: u32,
    ) -> Result<(), Fault> {
        let count = self.count;
        if let Some(room) = self.nodes.get_mut(count) {
            *room = Node {
                kind,
                flag,
                start,
                length,
                next,
            };
            self.count = count + 1;
            return Ok(());
        }
        self.push_beyond(kind, flag, start, length, next)
    }

    #[cold]
    fn push_beyond(
        &mut self,
        kind: NodeKind,
        flag: bool,
        start: u32,
        length: u32,
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
        self.push_with(kind, flag, start, length, next)
    }

    /// The name that comes next is to be looked at again, if a closer look says so too.
    #[cold]
    fn note_name(&mut self, name: &Name) {
        if self.watch.name_closer(name) {
            self.note();
        }
    }

    /// The node that comes next is to be looked at again.
    #[cold]
    fn note(&mut self) {
        self.noted.push(Noted {
            node: self.count as u32,
            around: self.top.node,
        });
    }

    /// Goes into an object or array; `around` is how many lie around it.
    #[inline(always)]
    fn enter(&mut self, kind: NodeKind, at: u32, around: usize) -> Result<(), Fault> {
        match self.open.get_mut(around) {
            Some(room) => *room = self.top,
            None => self.enter_beyond(),
        }
        self.top = Open {
            node: self.count as u32,
            object: kind == NodeKind::Object,
            unsorted: false,
            seen: Seen::default(),
        };
        self.push(kind, false, at, 0)
    }

    #[cold]
    fn enter_beyond(&mut self) {
        self.open.push(self.top);
    }

    /// Ends one.
    #[inline(always)]
    fn close(&mut self, at: u32) {
        let next = self.count as u32;
        if let Some(node) = self.nodes.get_mut(self.top.node as usize) {
            node.length = at + 1 - node.start;
            node.next = next;
        }
        if self.top.unsorted {
            self.overrule_among_many();
        }
    }

    /// Goes out of it; `around` is how many lie around it.
    #[inline(always)]
    fn leave(&mut self, around: usize) {
        if let Some(around) = self.open.get(around) {
            self.top = *around;
        }
    }

    /// Names of the outermost object, once all is read.
    pub(crate) fn seen(&self) -> Seen {
        self.top.seen
    }

    /// Reads a name, whose first byte is given, and the colon. Returns where the value begins, and its first byte.
    #[inline(always)]
    fn name(&mut self, at: u32, byte: u8) -> Result<(u32, u8), Fault> {
        const QUOTE_AND_COLON: u16 = u16::from_le_bytes(*b"\":");
        if byte != b'"' {
            return Err(self.unexpected(at));
        }
        let start = at + 1;
        let length = self.masks.plain(start);
        let end = start + length;
        // One word for the name's tail, the quote, the colon and the first byte of the value.
        let (Some(head), Some(tail)) = (self.eight(start), self.eight(end.wrapping_sub(Name::TAIL as u32)))
        else {
            return self.name_slow(at);
        };
        if (tail >> (8 * Name::TAIL)) as u16 != QUOTE_AND_COLON {
            return self.name_slow(at);
        }
        let name = Name::between(head, tail, length as usize);
        if self.watch.name(&name) {
            self.note_name(&name);
        }
        self.push_name(NodeKind::Name, start, length, name.hash())?;
        let value = (tail >> (8 * (Name::TAIL + 2))) as u8;
        if value <= b' ' {
            return Ok(self.token_after_space(end + 2));
        }
        Ok((end + 2, value))
    }

    /// The same for names with escapes in them, with space around the colon, and near the end of the bytes.
    #[cold]
    fn name_slow(&mut self, at: u32) -> Result<(u32, u8), Fault> {
        let start = at + 1;
        let mut end = start + self.masks.plain(start);
        let mut kind = NodeKind::Name;
        if self.byte(end) != b'"' {
            let escaped;
            (end, escaped) = self.string_slow(end)?;
            if escaped {
                kind = NodeKind::EscapedName;
                self.note();
            }
        }
        let spelled = self.bytes.get(start as usize..end as usize).unwrap_or_default();
        let name = Name::of(spelled);
        let mut hash = name.hash();
        if self.watch.name(&name) && kind == NodeKind::Name {
            self.note_name(&name);
        }
        if kind == NodeKind::EscapedName {
            hash = hash_unescaped(spelled);
        }
        self.push_name(kind, start, end - start, hash)?;
        let (colon, byte) = self.token(end + 1);
        if byte != b':' {
            return Err(self.unexpected(colon));
        }
        Ok(self.token(colon + 1))
    }

    #[inline(always)]
    fn push_name(&mut self, kind: NodeKind, start: u32, length: u32, hash: u32) -> Result<(), Fault> {
        self.push_with(kind, false, start, length, hash)?;
        let (word, bit) = Seen::place(hash);
        if let Some(word) = self.top.seen.0.get_mut(word) {
            let maybe_seen = *word & bit != 0;
            *word |= bit;
            if maybe_seen {
                self.overrule(hash, start as usize..(start + length) as usize);
            }
        }
        Ok(())
    }

    /// Offset of the closing quote, and whether there are escapes before it; `at` is that of the first special byte.
    #[cold]
    fn string_slow(&self, mut at: u32) -> Result<(u32, bool), Fault> {
        let mut escaped = false;
        loop {
            match self.byte(at) {
                b'"' => return Ok((at, escaped)),
                b'\\' => {
                    escaped = true;
                    let after = escape::check(self.bytes, at as usize);
                    let after = after.map_err(|fault| self.unexpected(fault as u32))? as u32;
                    at = after + self.masks.plain(after);
                }
                _ => return Err(self.unexpected(at)),
            }
        }
    }

    #[inline(always)]
    fn literal(&mut self, at: u32, word: &[u8], kind: NodeKind) -> Result<u32, Fault> {
        let start = at as usize;
        let end = start + word.len();
        if self.bytes.get(start..end) != Some(word) {
            let alike = self.bytes.get(start..).unwrap_or_default().iter().zip(word);
            let alike = alike.take_while(|(own, expected)| own == expected).count();
            return Err(self.unexpected(at + alike as u32));
        }
        self.push(kind, false, at, word.len() as u32)?;
        Ok(end as u32)
    }

    fn number(&self, from: u32) -> Result<u32, Fault> {
        let mut at = from + u32::from(self.byte(from) == b'-');
        at = match self.byte(at) {
            b'0' => at + 1,
            b'1'..=b'9' => self.digits(at),
            _ => return Err(self.unexpected(at)),
        };
        if self.byte(at) == b'.' {
            at = self.some_digits(at + 1)?;
        }
        if let b'e' | b'E' = self.byte(at) {
            let signed = matches!(self.byte(at + 1), b'+' | b'-');
            at = self.some_digits(at + 1 + u32::from(signed))?;
        }
        Ok(at)
    }

    fn digits(&self, mut at: u32) -> u32 {
        const HIGH: u64 = 0x8080_8080_8080_8080;
        while let Some(word) = self.eight(at) {
            // What is no digit gets its high bit, by itself or by what is added, up to the first that is none.
            let word = word ^ u64::from_le_bytes([b'0'; 8]);
            let others = (((word & !HIGH) + u64::from_le_bytes([0x7f - 9; 8])) | word) & HIGH;
            if others != 0 {
                return at + others.trailing_zeros() / 8;
            }
            at += 8;
        }
        while self.byte(at).is_ascii_digit() {
            at += 1;
        }
        at
    }

    fn some_digits(&self, at: u32) -> Result<u32, Fault> {
        let end = self.digits(at);
        if end == at {
            Err(self.unexpected(at))
        } else {
            Ok(end)
        }
    }
}
