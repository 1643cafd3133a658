//! Walking a document.

use crate::index::{Document, Node, NodeKind};
use crate::name::Name;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not there at all.
    Missing,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// One value of a document, or [`Kind::Missing`]: members of what is missing are missing, so that paths can be
/// walked without asking at each step.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    document: Option<&'a Document<'a>>,
    at: u32,
}

impl<'a> Value<'a> {
    /// No value.
    pub const MISSING: Self = Self {
        document: None,
        at: 0,
    };

    pub(crate) fn new(document: &'a Document<'a>, at: u32) -> Self {
        Self {
            document: Some(document),
            at,
        }
    }

    #[inline]
    fn node(&self) -> Option<&'a Node> {
        self.document?.nodes.get(self.at as usize)
    }

    /// What it is.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.node().map_or(Kind::Missing, |node| node.kind.into())
    }

    /// Neither missing nor `null`.
    #[inline]
    pub fn is_some(&self) -> bool {
        !matches!(self.kind(), Kind::Missing | Kind::Null)
    }

    /// Missing or `null`.
    #[inline]
    pub fn is_none(&self) -> bool {
        !self.is_some()
    }

    /// Where its bytes stand in the document; a string with its quotes. Empty for what is missing.
    #[inline]
    pub fn span(&self) -> std::ops::Range<usize> {
        self.node().map_or(0..0, |node| match node.kind {
            NodeKind::String | NodeKind::Name | NodeKind::EscapedName => {
                node.start as usize - 1..node.end as usize + 1
            }
            _ => node.start as usize..node.end as usize,
        })
    }

    /// Its bytes as they stand in the document; a string with its quotes.
    #[inline]
    pub fn raw(&self) -> &'a str {
        self.document
            .and_then(|document| document.text.get(self.span()))
            .unwrap_or_default()
    }

    /// As it is spelled: the inside of a string with its escapes, a number, a word. Of an object or array all of it.
    #[inline]
    pub fn spelled(&self) -> &'a str {
        let (Some(document), Some(node)) = (self.document, self.node()) else {
            return "";
        };
        document.slice(node)
    }

    /// The string; `None` for anything else.
    #[inline]
    pub fn str(&self) -> Option<&'a str> {
        let node = self.node()?;
        if node.kind != NodeKind::String {
            return None;
        }
        let spelled = self.document?.slice(node);
        Some(if node.flag {
            self.unescaped(spelled)
        } else {
            spelled
        })
    }

    #[cold]
    pub(crate) fn unescaped(&self, spelled: &'a str) -> &'a str {
        let Some(document) = self.document else {
            return spelled;
        };
        let mut plain = bumpalo::collections::String::with_capacity_in(spelled.len(), document.arena);
        crate::unescape(spelled, |piece| plain.push_str(piece));
        plain.into_bump_str()
    }

    /// The string, or a number or word as spelled; empty for everything else. An id is an id in either form.
    #[inline]
    pub fn text(&self) -> &'a str {
        let (Some(document), Some(node)) = (self.document, self.node()) else {
            return "";
        };
        match node.kind {
            NodeKind::String if node.flag => self.unescaped(document.slice(node)),
            NodeKind::String | NodeKind::Number | NodeKind::True | NodeKind::False => document.slice(node),
            _ => "",
        }
    }

    /// `true` or `false`, also as a string of that word in any case.
    #[inline]
    pub fn bool(&self) -> Option<bool> {
        match self.text() {
            text if text.eq_ignore_ascii_case("true") => Some(true),
            text if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    /// A whole number, also as a string of digits or with a fraction of zero. `None` where it does not fit.
    pub fn i64(&self) -> Option<i64> {
        let text = self.text();
        text.parse().ok().or_else(|| {
            let float: f64 = text.parse().ok()?;
            let whole = float.trunc();
            (whole == float && whole.abs() < 9.007e15).then_some(whole as i64)
        })
    }

    /// A number, also as a string of one. `None` where it is none or not finite.
    pub fn f64(&self) -> Option<f64> {
        self.text().parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// The member of this name: exactly so spelled, else the first one that differs in case only.
    #[inline(always)]
    pub fn get(&self, name: &str) -> Self {
        // Of a name that stands in the code the compiler knows the hash.
        self.named(name, Name::of(name.as_bytes()).hash())
    }

    fn named(&self, name: &str, hash: u32) -> Self {
        let Some(document) = self.document else {
            return Self::MISSING;
        };
        let (from, end) = self.inside(NodeKind::Object);
        let mut alike = Self::MISSING;
        let mut at = document.find(from, end, hash);
        while at < end
            && let Some([member, value]) = document.pair(at)
        {
            match document.same_name(member, at + 1, name) {
                Some(true) => return Self::new(document, at + 1),
                Some(false) if alike.document.is_none() => alike = Self::new(document, at + 1),
                _ => {}
            }
            at = document.find(value.next, end, hash);
        }
        alike
    }

    /// The member at the end of a path of names.
    #[inline(always)]
    pub fn at(&self, path: &[&str]) -> Self {
        path.iter().fold(*self, |value, name| value.get(name))
    }

    /// The first of these members that is there and not `null`.
    pub fn any(&self, names: &[&str]) -> Self {
        names
            .iter()
            .map(|name| self.get(name))
            .find(Self::is_some)
            .unwrap_or(Self::MISSING)
    }

    /// The members of an object, in their order; none for anything else. Overruled ones are left out.
    #[inline]
    pub fn members(&self) -> Members<'a> {
        let (at, end) = self.inside(NodeKind::Object);
        Members {
            document: self.document,
            at,
            end,
        }
    }

    /// The items of an array, in their order; none for anything else.
    #[inline]
    pub fn items(&self) -> Items<'a> {
        let (at, end) = self.inside(NodeKind::Array);
        Items {
            document: self.document,
            at,
            end,
        }
    }

    #[inline]
    fn inside(&self, kind: NodeKind) -> (u32, u32) {
        match self.node() {
            Some(node) if node.kind == kind => (self.at + 1, node.next),
            _ => (0, 0),
        }
    }

    /// Whether this object itself holds a name twice.
    pub fn has_repeated_names(&self) -> bool {
        self.node()
            .is_some_and(|node| node.kind == NodeKind::Object && node.flag)
    }
}

impl Default for Value<'_> {
    fn default() -> Self {
        Self::MISSING
    }
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.kind(), self.raw())
    }
}

impl<'a> Document<'a> {
    /// A member's name and value.
    #[inline(always)]
    fn pair(&self, at: u32) -> Option<[&'a Node; 2]> {
        let value = self.nodes.get(at as usize + 1)?;
        Some([self.nodes.get(at as usize)?, value])
    }

    /// The first name at or after `at` and before `end` whose hash this is and that is not overruled; `end` where none is.
    #[inline(always)]
    fn find(&self, mut at: u32, end: u32, hash: u32) -> u32 {
        while at < end
            && let Some([member, value]) = self.pair(at)
        {
            if member.next == hash && !member.flag {
                return at;
            }
            at = value.next;
        }
        end
    }

    /// Whether the member's name is `name` exactly (`Some(true)`) or but for case; `None` where it is another. `at` is
    /// the index of the member's value.
    #[inline(always)]
    fn same_name(&'a self, member: &Node, at: u32, name: &str) -> Option<bool> {
        let spelled = self.slice(member);
        if member.kind == NodeKind::Name && same(spelled.as_bytes(), name.as_bytes()) {
            return Some(true);
        }
        self.alike(member, at, name, spelled)
    }

    #[cold]
    fn alike(&'a self, member: &Node, at: u32, name: &str, spelled: &'a str) -> Option<bool> {
        let own = if member.kind == NodeKind::EscapedName {
            Value::new(self, at).unescaped(spelled)
        } else {
            spelled
        };
        own.eq_ignore_ascii_case(name).then(|| own == name)
    }
}

/// Names are short: two words tell most of them apart, and a call would cost more than that.
#[inline(always)]
fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() > 16 {
        return left == right;
    }
    Name::of(left) == Name::of(right)
}

/// Iterator over the members of an object.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    document: Option<&'a Document<'a>>,
    at: u32,
    end: u32,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let document = self.document?;
        while self.at < self.end {
            let [name, value] = document.pair(self.at)?;
            let at = self.at + 1;
            self.at = value.next;
            if name.flag {
                continue;
            }
            let value = Value::new(document, at);
            let spelled = document.slice(name);
            let plain = if name.kind == NodeKind::EscapedName {
                value.unescaped(spelled)
            } else {
                spelled
            };
            return Some((plain, value));
        }
        None
    }
}

/// Iterator over the items of an array.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    document: Option<&'a Document<'a>>,
    at: u32,
    end: u32,
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let value = Value::new(self.document?, self.at);
        self.at = value.node()?.next;
        Some(value)
    }
}

/// What to do with the leaves below a value: each has a path, made of the names and numbers on the way to it.
pub trait Leaves {
    /// What stands for a path.
    type Path: Copy;
    /// The path of a member.
    fn member(&self, path: Self::Path, name: &str) -> Self::Path;
    /// The path of an item, counted from 1.
    fn item(&self, path: Self::Path, number: u64) -> Self::Path;
    /// A value that holds no others, as it is spelled; an empty object or array as its brackets without space.
    fn leaf(&mut self, path: Self::Path, kind: Kind, spelled: &str);
}

impl<'a> Value<'a> {
    /// Hands on every leaf below this value; `path` is that of the value itself.
    pub fn leaves<L: Leaves>(self, path: L::Path, to: &mut L) {
        let (Some(document), Some(node)) = (self.document, self.node()) else {
            return to.leaf(path, Kind::Missing, "");
        };
        document.leaves(self.at, node, path, to);
    }
}

impl<'a> Document<'a> {
    /// Recursion is bounded by the depth limit.
    fn leaves<L: Leaves>(&'a self, at: u32, node: &Node, path: L::Path, to: &mut L) {
        let mut inside = at + 1;
        match node.kind {
            NodeKind::Object if inside == node.next => to.leaf(path, Kind::Object, "{}"),
            NodeKind::Array if inside == node.next => to.leaf(path, Kind::Array, "[]"),
            NodeKind::Object => {
                while inside < node.next
                    && let Some([name, value]) = self.pair(inside)
                {
                    if !name.flag {
                        let spelled = self.slice(name);
                        let plain = if name.kind == NodeKind::EscapedName {
                            Value::new(self, inside + 1).unescaped(spelled)
                        } else {
                            spelled
                        };
                        self.leaf_or_below(inside + 1, value, to.member(path, plain), to);
                    }
                    inside = value.next;
                }
            }
            NodeKind::Array => {
                let mut number = 0;
                while inside < node.next
                    && let Some(item) = self.nodes.get(inside as usize)
                {
                    number += 1;
                    self.leaf_or_below(inside, item, to.item(path, number), to);
                    inside = item.next;
                }
            }
            kind => to.leaf(path, kind.into(), self.slice(node)),
        }
    }

    /// A call only where there is something to go into: most values are leaves.
    #[inline(always)]
    fn leaf_or_below<L: Leaves>(&'a self, at: u32, node: &Node, path: L::Path, to: &mut L) {
        match node.kind {
            NodeKind::Object | NodeKind::Array => self.leaves(at, node, path, to),
            kind => to.leaf(path, kind.into(), self.slice(node)),
        }
    }
}
