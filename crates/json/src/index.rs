//! One pass over the bytes that checks the syntax and notes where each value stands.

use std::ops::Range;
use std::sync::Arc;

use bumpalo::Bump;

use crate::mask::Masks;
use crate::name::Seen;
use crate::pass::{self, Buffers, Pass};
use crate::value::{Kind, Value};
use crate::watch::{NOTHING, Watch};

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
    /// Bytes from there to the last; of a string or name without its quotes.
    pub(crate) length: u32,
    /// Of a value: index of the node after it and all that is in it. Of a name: hash of its bytes.
    pub(crate) next: u32,
}

impl Node {
    /// Where it stands.
    #[inline(always)]
    pub(crate) const fn range(&self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.length as usize
    }

    /// Whether it is a name without escapes that is not overruled.
    #[inline(always)]
    pub(crate) const fn is_plain_name(&self) -> bool {
        u16::from_le_bytes([self.kind as u8, self.flag as u8]) == NodeKind::Name as u16
    }

    /// What room is filled with.
    pub(crate) const EMPTY: Self = Self {
        kind: NodeKind::Null,
        flag: false,
        start: 0,
        length: 0,
        next: 0,
    };
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

/// A node that is to be looked at again, and the object or array around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noted {
    pub(crate) node: u32,
    pub(crate) around: u32,
}

/// A checked document. Cheap to copy: three slices.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    pub(crate) text: &'a str,
    /// The last one stands for nothing.
    pub(crate) nodes: &'a [Node],
    pub(crate) arena: &'a Bump,
    noted: &'a [Noted],
    repeated_names: bool,
    /// Names of the outermost object.
    pub(crate) seen: Seen,
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

    /// The names and strings that were [watched](Watch) for, and names with escapes, in the order of the bytes.
    #[inline]
    pub fn noted(&'a self) -> impl Iterator<Item = Piece<'a>> {
        self.noted.iter().filter_map(|&Noted { node: at, around }| {
            let node = self.nodes.get(at as usize)?;
            let name = |name| Piece::Name {
                name,
                value: Value::new(self, at + 1),
                object: Value::new(self, around),
            };
            match node.kind {
                NodeKind::String => Some(Piece::String(Value::new(self, at))),
                NodeKind::Name => Some(name(self.slice(node))),
                NodeKind::EscapedName => Some(name(Value::new(self, at + 1).unescaped(self.slice(node)))),
                _ => None,
            }
        })
    }

    /// This document in a text in which some of its strings and numbers are replaced by other strings: `patches` says which,
    /// in their order. Nothing is read anew. What was noted is not.
    pub fn patched(&self, arena: &'a Bump, text: &'a str, patches: &[Patch]) -> &'a Self {
        let nodes = arena.alloc_slice_copy(self.nodes);
        let mut patches_ahead = patches.iter().peekable();
        // How much longer the text is up to here.
        let mut longer = 0u32;
        for node in nodes.iter_mut() {
            while let Some(patch) = patches_ahead.next_if(|patch| patch.end <= node.start) {
                longer = longer.wrapping_add(patch.longer());
            }
            match patches_ahead.peek() {
                Some(patch) if patch.start <= node.start => {
                    *node = Node {
                        kind: NodeKind::String,
                        flag: false,
                        start: patch.start.wrapping_add(longer) + 1,
                        length: patch.length - 2,
                        next: node.next,
                    };
                }
                _ => {
                    if let NodeKind::Object | NodeKind::Array = node.kind {
                        let end = node.start + node.length;
                        let inside = patches
                            .iter()
                            .filter(|patch| patch.start > node.start && patch.end < end);
                        node.length =
                            inside.fold(node.length, |length, patch| length.wrapping_add(patch.longer()));
                    }
                    node.start = node.start.wrapping_add(longer);
                }
            }
        }
        arena.alloc(Self {
            text,
            nodes,
            arena,
            noted: &[],
            repeated_names: self.repeated_names,
            seen: self.seen,
        })
    }

    /// What stands between a node's offsets.
    #[inline]
    #[allow(
        unsafe_code,
        reason = "asking each slice for the borders of its characters costs more than the slice"
    )]
    pub(crate) fn slice(&self, node: &Node) -> &'a str {
        let Some(bytes) = self.text.as_bytes().get(node.range()) else {
            return nothing();
        };
        // SAFETY: the text is UTF-8, and a node begins and ends next to a quote, a bracket or another ASCII character,
        // which are borders between characters.
        unsafe { str::from_utf8_unchecked(bytes) }
    }
}

/// A string or number of a document that is replaced by a string without escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    start: u32,
    end: u32,
    length: u32,
}

impl Patch {
    /// Where the value stood, a string with its quotes, and the length of what is put there, with its quotes.
    pub fn new(range: Range<usize>, length: usize) -> Self {
        Self {
            start: range.start as u32,
            end: range.end as u32,
            length: length as u32,
        }
    }

    /// By how much the text grows; wraps where it shrinks.
    fn longer(&self) -> u32 {
        self.length.wrapping_sub(self.end - self.start)
    }
}

/// What is never asked for. A call, so that it costs the others nothing.
#[cold]
#[inline(never)]
fn nothing() -> &'static str {
    ""
}

/// A name or string.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'a> {
    /// A member's name.
    Name {
        /// The name.
        name: &'a str,
        /// The member's value.
        value: Value<'a>,
        /// The object that holds the member.
        object: Value<'a>,
    },
    /// A string that is a value.
    String(Value<'a>),
}

/// Makes documents; keeps its buffers between them.
#[derive(Debug, Default)]
pub struct Indexer {
    masks: Masks,
    buffers: Buffers,
    watch: Option<Arc<Watch>>,
}

impl Indexer {
    /// Notes in each document what `watch` says.
    pub fn watching(watch: Arc<Watch>) -> Self {
        Self {
            watch: Some(watch),
            ..Self::default()
        }
    }

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
        let end = pass::skip_space(bytes, end);
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
        // Offsets are kept in 32 bits, and a look goes a few bytes beyond.
        let limit = limits.bytes.min(u32::MAX as usize - 64);
        if bytes.len() > limit {
            return Err(Fault {
                kind: FaultKind::Size,
                at: limit,
            });
        }
        // ASCII is UTF-8: most documents need no second look.
        let text = if self.masks.fill(bytes) {
            #[allow(
                unsafe_code,
                reason = "checking again what was just seen costs as much as reading it"
            )]
            // SAFETY: `fill` has seen every byte of `bytes` and none had its high bit set.
            unsafe {
                str::from_utf8_unchecked(bytes)
            }
        } else {
            str::from_utf8(bytes).map_err(not_utf8)?
        };
        let buffers = std::mem::take(&mut self.buffers);
        let watch = self.watch.as_deref().unwrap_or(&NOTHING);
        let mut pass = Pass::new(bytes, self.masks.words(), watch, buffers, limits);
        let from = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let end = pass.run(from);
        let (repeated_names, seen) = (pass.repeated_names, pass.seen());
        let count;
        (self.buffers, count) = pass.into_buffers();
        let end = end?;
        // One more than there are, so that a pair can be read where the last one stands.
        let nodes = self.buffers.nodes.get(..=count).unwrap_or_default();
        let nodes = arena.alloc_slice_copy(nodes);
        let noted = arena.alloc_slice_copy(&self.buffers.noted);
        Ok((
            arena.alloc(Document {
                text,
                nodes,
                arena,
                noted,
                repeated_names,
                seen,
            }),
            end,
        ))
    }
}

/// An incomplete character at the very end is a cut, not another encoding.
fn not_utf8(error: std::str::Utf8Error) -> Fault {
    let kind = if error.error_len().is_none() {
        FaultKind::Truncated
    } else {
        FaultKind::Utf8
    };
    Fault {
        kind,
        at: error.valid_up_to(),
    }
}

impl From<NodeKind> for Kind {
    #[inline(always)]
    fn from(kind: NodeKind) -> Self {
        /// By the number of the other kind; a table costs less than cases.
        const KINDS: [Kind; 9] = [
            Kind::Null,
            Kind::Bool,
            Kind::Bool,
            Kind::Number,
            Kind::String,
            Kind::Array,
            Kind::Object,
            Kind::String,
            Kind::String,
        ];
        KINDS.get(kind as usize).copied().unwrap_or(Self::String)
    }
}
