//! Going through all that a value holds.

use crate::index::{Document, Node, NodeKind};
use crate::value::{Kind, Value};

/// What to do with the leaves below a value: each has a path, made of the names and numbers on the way to it.
pub trait Leaves<'a> {
    /// What stands for a path.
    type Path: Copy;
    /// The path of a member.
    fn member(&self, path: Self::Path, name: &str) -> Self::Path;
    /// The path of an item, counted from 1.
    fn item(&self, path: Self::Path, number: u64) -> Self::Path;
    /// A value that holds no others, as it is spelled; an empty object or array as its brackets without space.
    fn leaf(&mut self, path: Self::Path, kind: Kind, spelled: &'a str);
}

impl<'a> Value<'a> {
    /// Hands on every leaf below this value; `path` is that of the value itself.
    pub fn leaves<L: Leaves<'a>>(self, path: L::Path, to: &mut L) {
        let (Some(document), Some(node)) = (self.document, self.node()) else {
            return to.leaf(path, Kind::Missing, "");
        };
        match node.kind {
            NodeKind::Object | NodeKind::Array if self.at + 1 < node.next => {
                document.leaves(self.at + 1, node.next, path, to);
            }
            _ => document.leaf(node, path, to),
        }
    }
}

/// An object or array that is gone through after what stands in it.
#[derive(Clone, Copy)]
struct Around<P> {
    path: P,
    end: u32,
    /// Items that came before, of an array.
    number: u32,
}

/// Levels that are gone into without a call.
const LEVELS: usize = 8;

impl<'a> Document<'a> {
    /// Those of the members or items from `from` to `end`. Recursion is bounded by the depth limit.
    fn leaves<L: Leaves<'a>>(&'a self, from: u32, end: u32, path: L::Path, to: &mut L) {
        let mut top = Around { path, end, number: 0 };
        let mut around = [top; LEVELS];
        let mut level = 0;
        let mut at = from;
        loop {
            while at < top.end {
                let Some([node, next]) = self.pair(at) else {
                    return;
                };
                let (value, path) = if node.is_plain_name() {
                    at += 1;
                    (next, to.member(top.path, self.slice(node)))
                } else if let NodeKind::Name | NodeKind::EscapedName = node.kind {
                    if node.flag {
                        at = next.next;
                        continue;
                    }
                    at += 1;
                    let plain = Value::new(self, at).unescaped(self.slice(node));
                    (next, to.member(top.path, plain))
                } else {
                    top.number += 1;
                    (node, to.item(top.path, u64::from(top.number)))
                };
                if !matches!(value.kind, NodeKind::Object | NodeKind::Array) {
                    to.leaf(path, value.kind.into(), self.slice(value));
                } else if at + 1 == value.next {
                    self.leaf(value, path, to);
                } else if let Some(outer) = around.get_mut(level) {
                    *outer = top;
                    level += 1;
                    top = Around {
                        path,
                        end: value.next,
                        number: 0,
                    };
                    at += 1;
                    continue;
                } else {
                    self.leaves(at + 1, value.next, path, to);
                }
                at = value.next;
            }
            let Some(outer) = level.checked_sub(1).and_then(|level| around.get(level)) else {
                return;
            };
            level -= 1;
            top = *outer;
        }
    }

    /// A value that holds no others.
    #[inline(never)]
    fn leaf<L: Leaves<'a>>(&'a self, node: &Node, path: L::Path, to: &mut L) {
        let spelled = match node.kind {
            NodeKind::Object => "{}",
            NodeKind::Array => "[]",
            _ => self.slice(node),
        };
        to.leaf(path, node.kind.into(), spelled);
    }
}
