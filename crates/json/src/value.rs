//! Walking a document.

use std::ops::Range;

use crate::index::{Document, Node, NodeKind};
use crate::name::{Name, Names};

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
    pub(crate) document: Option<&'a Document<'a>>,
    pub(crate) at: u32,
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
    pub(crate) fn node(&self) -> Option<&'a Node> {
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

    /// This, or where it is missing or `null` what comes next.
    #[inline(always)]
    pub fn or(self, next: impl FnOnce() -> Self) -> Self {
        if self.is_some() { self } else { next() }
    }

    /// Where its bytes stand in the document; a string with its quotes. Empty for what is missing.
    #[inline]
    pub fn span(&self) -> std::ops::Range<usize> {
        self.node().map_or(0..0, |node| match node.kind {
            NodeKind::String | NodeKind::Name | NodeKind::EscapedName => {
                let Range { start, end } = node.range();
                start - 1..end + 1
            }
            _ => node.range(),
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
        match self.node()?.kind {
            NodeKind::True => Some(true),
            NodeKind::False => Some(false),
            NodeKind::String if self.text().eq_ignore_ascii_case("true") => Some(true),
            NodeKind::String if self.text().eq_ignore_ascii_case("false") => Some(false),
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
        let Some(document) = self.document else {
            return Self::MISSING;
        };
        // Of a name that stands in the code the compiler knows the hash.
        self.named(document, name, Name::of(name.as_bytes()).hash())
    }

    fn named(&self, document: &'a Document<'a>, name: &str, hash: u32) -> Self {
        let (from, end) = self.inside(NodeKind::Object);
        let at = document.find(from, end, hash);
        if at >= end {
            return Self::MISSING;
        }
        let Some([member, _]) = document.pair(at) else {
            return Self::MISSING;
        };
        if member.kind == NodeKind::Name && same(document.slice(member).as_bytes(), name.as_bytes()) {
            return Self::new(document, at + 1);
        }
        Self::named_alike(document, at, end, name, hash)
    }

    /// The same from the first member on whose hash this is, where that is not the one.
    #[cold]
    fn named_alike(document: &'a Document<'a>, from: u32, end: u32, name: &str, hash: u32) -> Self {
        let mut alike = Self::MISSING;
        let mut at = from;
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

    /// The members of these names, each as [`get`](Self::get) finds it, in one walk over all members.
    #[inline(always)]
    pub fn all<const N: usize>(&self, names: &'static Names<N>) -> [Self; N] {
        let Some(document) = self.document else {
            return [Self::MISSING; N];
        };
        // No member's value stands at 0.
        let mut places = [0; N];
        let (mut at, end) = self.inside(NodeKind::Object);
        while at < end
            && let Some([member, value]) = document.pair(at)
        {
            for ((name, hash), place) in names.names.iter().zip(&mut places) {
                if member.next == *hash {
                    document.place(member, at + 1, name, place);
                    break;
                }
            }
            at = value.next;
        }
        let mut values = [Self::MISSING; N];
        for (value, at) in values.iter_mut().zip(places) {
            if at != 0 {
                *value = Self::new(document, at);
            }
        }
        values
    }

    /// The same as [`all`](Self::all), at less cost where this is the document itself and has none of them.
    #[inline(always)]
    pub fn all_rare<const N: usize>(&self, names: &'static Names<N>) -> [Self; N] {
        let may_have = |document: &Document<'_>| self.at > 0 || names.may_be_in(&document.seen);
        if self.document.is_some_and(may_have) {
            self.all(names)
        } else {
            [Self::MISSING; N]
        }
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
    pub(crate) fn pair(&self, at: u32) -> Option<[&'a Node; 2]> {
        let at = at as usize;
        match self.nodes.get(at..at + 2)? {
            [name, value] => Some([name, value]),
            _ => None,
        }
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

    /// Notes in `place` the member whose value is at `at`, if it has this name; one in another case only where none is noted.
    #[inline]
    fn place(&'a self, member: &Node, at: u32, name: &str, place: &mut u32) {
        if member.flag {
            return;
        }
        match self.same_name(member, at, name) {
            Some(true) => *place = at,
            Some(false) if *place == 0 => *place = at,
            _ => {}
        }
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

/// Names are short: two words that may overlap hold most of them, and a call would cost more than that.
#[inline(always)]
fn same(left: &[u8], right: &[u8]) -> bool {
    /// Whether both begin and end alike, which is all of them where they are no longer than `2 * N`.
    #[inline(always)]
    fn ends<const N: usize>(left: &[u8], right: &[u8]) -> bool {
        left.first_chunk::<N>() == right.first_chunk() && left.last_chunk::<N>() == right.last_chunk()
    }
    left.len() == right.len()
        && match left.len() {
            8..=16 => ends::<8>(left, right),
            4..8 => ends::<4>(left, right),
            17..=32 => ends::<16>(left, right),
            _ => left == right,
        }
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
            let value = Value::new(document, at);
            if name.is_plain_name() {
                return Some((document.slice(name), value));
            }
            if !name.flag {
                return Some((value.unescaped(document.slice(name)), value));
            }
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

#[cfg(test)]
mod tests {
    use bumpalo::Bump;

    use crate::{Indexer, Limits, Patch, members, rare_members};

    #[test]
    fn members_are_found_together_as_alone() {
        let texts = [
            r#"{"a":1,"bc":2,"Bc":3,"longName":4,"somewhatLongerNameThanThat":5,"aVeryMuchLongerNameThanThatOne":6}"#,
            r#"{"BC":2,"LongName":4,"bc":3,"A":1,"a":5,"somewhatLongerNAMEThanThat":6}"#,
            r#"{"a":1,"a":2,"\u0062c":3,"longName":null,"LONGNAME":4}"#,
            r#"{"x":{"a":1}}"#,
            r#"[{"a":1}]"#,
            "{}",
            "1",
        ];
        for text in texts {
            let arena = Bump::new();
            let document = Indexer::default().index(&arena, text.as_bytes(), &Limits::default());
            let root = document.unwrap().root();
            for object in [root, root.get("x"), root.items().next().unwrap_or_default()] {
                let found = members!(
                    object,
                    "a",
                    "bc",
                    "longName",
                    "somewhatLongerNameThanThat",
                    "aVeryMuchLongerNameThanThatOne",
                    "none"
                );
                let rare = rare_members!(
                    object,
                    "a",
                    "bc",
                    "longName",
                    "somewhatLongerNameThanThat",
                    "aVeryMuchLongerNameThanThatOne",
                    "none"
                );
                let alone = [
                    object.get("a"),
                    object.get("bc"),
                    object.get("longName"),
                    object.get("somewhatLongerNameThanThat"),
                    object.get("aVeryMuchLongerNameThanThatOne"),
                    object.get("none"),
                ];
                for (alone, [found, rare]) in alone
                    .iter()
                    .zip(found.into_iter().zip(rare).map(|(one, two)| [one, two]))
                {
                    assert_eq!((found.at, found.kind()), (alone.at, alone.kind()), "{text}");
                    assert_eq!((rare.at, rare.kind()), (alone.at, alone.kind()), "{text}");
                }
            }
        }
    }

    #[test]
    fn what_is_patched_is_as_if_read_anew() {
        let text = r#"{"a":["x",12,{"b":"\n","c":[]}],"d":"yy","e":{"f":-1.5e3},"a":true} "#;
        let values = [r#""x""#, "12", r#""\n""#, r#""yy""#, "-1.5e3"];
        for chosen in 1..1 << values.len() {
            for by in [r#""""#, r#""longer than it was""#] {
                let (mut new, mut patches, mut done) = (String::new(), Vec::new(), 0);
                for (number, value) in values.iter().enumerate() {
                    if chosen >> number & 1 == 1 {
                        let start = text.find(value).unwrap();
                        patches.push(Patch::new(start..start + value.len(), by.len()));
                        new.push_str(&text[done..start]);
                        new.push_str(by);
                        done = start + value.len();
                    }
                }
                new.push_str(&text[done..]);
                let arena = Bump::new();
                let mut indexer = Indexer::default();
                let limits = Limits::default();
                let old = indexer.index(&arena, text.as_bytes(), &limits).unwrap();
                let patched = old.patched(&arena, &new, &patches);
                let anew = indexer.index(&arena, new.as_bytes(), &limits).unwrap();
                let nodes = |document: &super::Document<'_>| {
                    format!("{:?}", &document.nodes[..document.nodes.len() - 1])
                };
                assert_eq!(nodes(patched), nodes(anew), "{new}");
                assert_eq!(patched.has_repeated_names(), anew.has_repeated_names());
            }
        }
    }
}
