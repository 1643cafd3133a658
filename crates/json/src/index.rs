//! One pass over the bytes that checks the syntax and notes where each value stands.

use std::sync::Arc;

use bumpalo::Bump;

use crate::mask::Masks;
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
    /// Offset after the last byte; of a string or name, of the closing quote.
    pub(crate) end: u32,
    /// Of a value: index of the node after it and all that is in it. Of a name: hash of its bytes.
    pub(crate) next: u32,
}

impl Node {
    /// What room is filled with.
    pub(crate) const EMPTY: Self = Self {
        kind: NodeKind::Null,
        flag: false,
        start: 0,
        end: 0,
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
    pub(crate) nodes: &'a [Node],
    pub(crate) arena: &'a Bump,
    noted: &'a [Noted],
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

    /// What stands between a node's offsets.
    #[inline]
    #[allow(
        unsafe_code,
        reason = "asking each slice for the borders of its characters costs more than the slice"
    )]
    pub(crate) fn slice(&self, node: &Node) -> &'a str {
        let bytes = self.text.as_bytes().get(node.start as usize..node.end as usize);
        // SAFETY: the text is UTF-8, and a node begins and ends next to a quote, a bracket or another ASCII character,
        // which are borders between characters.
        unsafe { str::from_utf8_unchecked(bytes.unwrap_or_default()) }
    }
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
        let limit = limits.bytes.min(u32::MAX as usize - 1);
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
        let mut pass = Pass::new(bytes, &self.masks, watch, buffers, limits);
        let from = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let end = pass.run(from);
        let repeated_names = pass.repeated_names;
        let count;
        (self.buffers, count) = pass.into_buffers();
        let end = end?;
        let nodes = self.buffers.nodes.get(..count).unwrap_or_default();
        let nodes = arena.alloc_slice_copy(nodes);
        let noted = arena.alloc_slice_copy(&self.buffers.noted);
        Ok((
            arena.alloc(Document {
                text,
                nodes,
                arena,
                noted,
                repeated_names,
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
