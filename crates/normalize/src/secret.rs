//! Secrets are never stored: before anything is written or logged, each is replaced by a keyed commitment.
//!
//! Found are values by the name of their key, what lies under keys that carry secrets by nature in one source
//! ([`SecretRules`]), the tenant's own names and patterns, and tokens whose shape gives them away in any text.
//! The same secret under the same key gives the same bytes, so "was the password changed?" can still be asked.

mod bytes;
mod names;
mod tokens;

use std::ops::Range;
use std::sync::Arc;

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use changegate_json::{Document, Indexer, Kind, Limits, Patch, Piece, Value, Watch, escape_into};
use regex::Regex;

use crate::decode;
use crate::hash::hmac_sha256;

pub(crate) use names::Names;

/// What stands in a secret's place, before 64 hex digits of HMAC-SHA256.
pub const COMMITMENT: &str = "cg-hmac-sha256:";

/// What carries secrets by nature in one source, beside the names that do so everywhere.
pub(crate) struct SecretRules {
    /// Further names of keys whose text is a secret.
    pub(crate) names: &'static [&'static str],
    /// Parts of the event below which every leaf is one.
    pub(crate) subtrees: &'static [Subtree],
}

impl SecretRules {
    /// Nothing beyond the common names.
    pub(crate) const COMMON: Self = Self {
        names: &[],
        subtrees: &[],
    };
}

/// A part of an event below which leaves are secrets.
pub(crate) struct Subtree {
    /// Key of the part.
    pub(crate) names: &'static [&'static str],
    /// Given the document's root and the object that holds the key: whether it applies.
    pub(crate) when: fn(root: Value<'_>, object: Value<'_>) -> bool,
    /// Only leaves with this key; every leaf where empty.
    pub(crate) leaf: &'static str,
}

/// Finds and replaces secrets, for one source and one tenant.
#[derive(Clone)]
pub(crate) struct Masker {
    key: Vec<u8>,
    names: Names,
    subtree_names: Names,
    /// For all of these names, and strings that [`nested`](Self::nested) has to look at.
    watch: Arc<Watch>,
    subtrees: &'static [Subtree],
    tokens: tokens::Finder,
    patterns: Vec<Regex>,
}

/// The bytes with commitments in the secrets' places, and how many there are.
pub(crate) struct Masked<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) secrets: u32,
    /// What was put in which values' places; empty where less than whole values was replaced, or by what holds escapes.
    pub(crate) patches: &'a [Patch],
}

/// A document that stands in a string of another, with nothing to mask in it.
#[derive(Clone, Copy)]
pub(crate) struct Inner<'a> {
    /// The string, as and where it stands.
    pub(crate) spelled: &'a str,
    pub(crate) document: &'a Document<'a>,
}

struct Edit<'a> {
    range: Range<usize>,
    text: &'a [u8],
    secrets: u32,
    /// Whether it replaces a whole value by a string without escapes.
    is_patch: bool,
}

/// Documents inside documents: a string of JSON in a string of JSON, no deeper than this.
const NESTING: u8 = 3;

impl Masker {
    pub(crate) fn new(key: &[u8], rules: &SecretRules, more_names: &[String], patterns: Vec<Regex>) -> Self {
        let names = names::EVERYWHERE.iter().chain(rules.names).copied();
        let names = names.chain(more_names.iter().map(String::as_str));
        let subtree_names = rules.subtrees.iter().flat_map(|subtree| subtree.names).copied();
        let mut watch = Names::new(names.clone().chain(subtree_names.clone()))
            .watch()
            .clone();
        if patterns.is_empty() {
            for (first, seconds) in NESTED {
                watch.add_first(first, seconds);
            }
        } else {
            (0..=u8::MAX).for_each(|first| watch.add_first(first, &[]));
        }
        Self {
            key: key.to_vec(),
            names: Names::new(names),
            subtree_names: Names::new(subtree_names),
            watch: Arc::new(watch),
            subtrees: rules.subtrees,
            tokens: tokens::Finder::new(),
            patterns,
        }
    }

    /// An indexer whose documents note all that may have to be masked.
    pub(crate) fn indexer(&self) -> Indexer {
        Indexer::watching(Arc::clone(&self.watch))
    }

    /// The commitment to one secret.
    fn commit<'a>(&self, arena: &'a Bump, secret: &[u8]) -> &'a str {
        let mut text = bumpalo::collections::String::with_capacity_in(COMMITMENT.len() + 64, arena);
        text.push_str(COMMITMENT);
        for byte in hmac_sha256(&self.key, &[b"changegate secret v1", secret]) {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
        text.into_bump_str()
    }

    /// Masks a document of its [`indexer`](Self::indexer). `None`: nothing to mask. What was read from its strings comes
    /// to `inner`.
    pub(crate) fn document<'a>(
        &self,
        arena: &'a Bump,
        indexer: &mut Indexer,
        document: &'a Document<'a>,
        inner: &mut ArenaVec<'a, Inner<'a>>,
    ) -> Option<Masked<'a>> {
        self.masked(arena, indexer, document, NESTING, inner)
    }

    fn masked<'a>(
        &self,
        arena: &'a Bump,
        indexer: &mut Indexer,
        document: &'a Document<'a>,
        nesting: u8,
        inner: &mut ArenaVec<'a, Inner<'a>>,
    ) -> Option<Masked<'a>> {
        let mut edits = ArenaVec::new_in(arena);
        // Up to here every leaf is masked, since it lies below a key that makes all of them secrets.
        let mut done = 0;
        for piece in document.noted() {
            match piece {
                Piece::Name { name, value, object } => {
                    let holds_text = matches!(value.kind(), Kind::String | Kind::Number | Kind::Array);
                    if holds_text && self.names.contains(name) {
                        self.secret_value(arena, value, &mut edits);
                    }
                    if self.subtree_names.contains(name) && value.span().start >= done {
                        let subtree = self.subtree(document.root(), object, name);
                        if let Some(subtree) = subtree {
                            self.leaves_below(arena, subtree.leaf, "", value, &mut edits);
                        }
                        if subtree.is_some_and(|subtree| subtree.leaf.is_empty()) {
                            done = value.span().end;
                        }
                    }
                }
                Piece::String(value) => self.nested(arena, indexer, value, nesting, &mut edits, inner),
            }
        }
        self.shapes(arena, document.text().as_bytes(), &mut edits);
        apply(arena, document.text().as_bytes(), edits)
    }

    /// A value under the name of a secret: text, a number, or a list of them. An object is looked into by name.
    fn secret_value<'a>(&self, arena: &'a Bump, value: Value<'a>, edits: &mut ArenaVec<'a, Edit<'a>>) {
        match value.kind() {
            Kind::String | Kind::Number => {
                let secret = value.text();
                if secret.is_empty() || is_masked(secret) {
                    return;
                }
                let text = bumpalo::format!(in arena, "\"{}\"", self.commit(arena, secret.as_bytes()));
                edits.push(Edit {
                    range: value.span(),
                    text: text.into_bump_str().as_bytes(),
                    secrets: 1,
                    is_patch: true,
                });
            }
            Kind::Array => value
                .items()
                .for_each(|item| self.secret_value(arena, item, edits)),
            Kind::Missing | Kind::Null | Kind::Bool | Kind::Object => {}
        }
    }

    /// The rule for what lies under this name in this object.
    fn subtree(&self, root: Value<'_>, object: Value<'_>, name: &str) -> Option<&'static Subtree> {
        self.subtrees.iter().find(|subtree| {
            subtree.names.iter().any(|own| own.eq_ignore_ascii_case(name)) && (subtree.when)(root, object)
        })
    }

    fn leaves_below<'a>(
        &self,
        arena: &'a Bump,
        leaf: &str,
        name: &str,
        value: Value<'a>,
        edits: &mut ArenaVec<'a, Edit<'a>>,
    ) {
        match value.kind() {
            Kind::Object => value
                .members()
                .for_each(|(name, member)| self.leaves_below(arena, leaf, name, member, edits)),
            Kind::Array => value
                .items()
                .for_each(|item| self.leaves_below(arena, leaf, name, item, edits)),
            _ if leaf.is_empty() || leaf.eq_ignore_ascii_case(name) => self.secret_value(arena, value, edits),
            _ => {}
        }
    }

    /// JSON inside a string, as it is or in base64; and the tenant's patterns in any text.
    fn nested<'a>(
        &self,
        arena: &'a Bump,
        indexer: &mut Indexer,
        leaf: Value<'a>,
        nesting: u8,
        edits: &mut ArenaVec<'a, Edit<'a>>,
        inner: &mut ArenaVec<'a, Inner<'a>>,
    ) {
        let spelled = leaf.spelled();
        if leaf.kind() != Kind::String {
            return;
        }
        let start = leaf.span().start + 1;
        for found in self
            .patterns
            .iter()
            .flat_map(|pattern| pattern.find_iter(spelled))
            .filter(|_| !is_masked(spelled))
        {
            let range = start + found.start()..start + found.end();
            let text = self.commit(arena, found.as_str().as_bytes()).as_bytes();
            edits.push(Edit {
                range,
                text,
                secrets: 1,
                is_patch: false,
            });
        }
        if nesting == 0 || spelled.len() < 8 {
            return;
        }
        let in_base64 = match spelled.as_bytes() {
            [b'{' | b'[', ..] => false,
            [b'\\', ..] if spelled.trim_start_matches("\\n").starts_with(['{', '[']) => false,
            // Base64 of `{"`, of a brace and white space, of `[{`.
            [b'e', b'y' | b'w', ..] | [b'W', b'3' | b'w', ..] if !spelled.contains('.') => true,
            _ => return,
        };
        let plain = if in_base64 {
            decode::base64(arena, spelled.as_bytes()).unwrap_or_default()
        } else {
            leaf.str().unwrap_or_default().as_bytes()
        };
        let masked = match indexer.index(arena, plain, &Limits::default()) {
            Ok(document) => {
                let masked = self.masked(arena, indexer, document, nesting - 1, inner);
                if masked.is_none() && !in_base64 {
                    inner.push(Inner { spelled, document });
                }
                masked
            }
            Err(_) => self.bytes(arena, plain),
        };
        let Some(masked) = masked else { return };
        let text = if in_base64 {
            let encoded = decode::to_base64(masked.bytes);
            quoted(arena, &encoded)
        } else {
            quoted(arena, &String::from_utf8_lossy(masked.bytes))
        };
        edits.push(Edit {
            range: leaf.span(),
            text,
            secrets: masked.secrets,
            is_patch: false,
        });
    }

    /// Tokens whose shape gives them away.
    fn shapes<'a>(&self, arena: &'a Bump, bytes: &[u8], edits: &mut ArenaVec<'a, Edit<'a>>) {
        self.tokens.each(bytes, |range| {
            let secret = bytes.get(range.clone()).unwrap_or_default();
            edits.push(Edit {
                range,
                text: self.commit(arena, secret).as_bytes(),
                secrets: 1,
                is_patch: false,
            });
        });
    }

    /// Masks bytes that are no JSON: by the names of keys and by shape.
    pub(crate) fn bytes<'a>(&self, arena: &'a Bump, bytes: &'a [u8]) -> Option<Masked<'a>> {
        let view = bytes::View::of(bytes);
        let mut edits = ArenaVec::new_in(arena);
        for range in bytes::named_values(view.bytes(), &self.names, &self.subtree_names) {
            let (before, rest) = view.bytes().split_at_checked(range.start).unwrap_or_default();
            let secret = rest.get(..range.len()).unwrap_or_default();
            // Its head ends in a colon, so that a name right before it makes its digits look like a value.
            let is_digits = before.ends_with(COMMITMENT.as_bytes())
                && secret.len() >= 64
                && secret.iter().take(64).all(u8::is_ascii_hexdigit);
            if !secret.starts_with(COMMITMENT.as_bytes()) && !is_digits {
                edits.push(Edit {
                    range,
                    text: self.commit(arena, secret).as_bytes(),
                    secrets: 1,
                    is_patch: false,
                });
            }
        }
        self.shapes(arena, view.bytes(), &mut edits);
        let text = String::from_utf8_lossy(view.bytes());
        if matches!(text, std::borrow::Cow::Borrowed(_)) {
            for found in self.patterns.iter().flat_map(|pattern| pattern.find_iter(&text)) {
                let secret = self.commit(arena, found.as_str().as_bytes());
                edits.push(Edit {
                    range: found.range(),
                    text: secret.as_bytes(),
                    secrets: 1,
                    is_patch: false,
                });
            }
        }
        for edit in &mut edits {
            edit.range = view.original(edit.range.clone());
        }
        apply(arena, bytes, edits)
    }
}

/// How strings begin that [`Masker::nested`] has to look at, with the second bytes where few count.
const NESTED: [(u8, &[u8]); 5] = [
    (b'{', b""),
    (b'[', b""),
    (b'\\', b""),
    (b'e', b"yw"),
    (b'W', b"3w"),
];

fn is_masked(text: &str) -> bool {
    text.starts_with(COMMITMENT)
}

fn quoted<'a>(arena: &'a Bump, text: &str) -> &'a [u8] {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    quoted.push(b'"');
    escape_into(&mut quoted, text);
    quoted.push(b'"');
    arena.alloc_slice_copy(&quoted)
}

/// Where edits overlap, the one that begins first holds; of those that begin together, the longest.
fn apply<'a>(arena: &'a Bump, bytes: &[u8], mut edits: ArenaVec<'a, Edit<'a>>) -> Option<Masked<'a>> {
    if edits.is_empty() {
        return None;
    }
    edits.sort_by_key(|edit| (edit.range.start, usize::MAX - edit.range.end));
    let mut out = ArenaVec::with_capacity_in(bytes.len() + edits.len() * (COMMITMENT.len() + 64), arena);
    let mut done = 0;
    let mut secrets = 0;
    let mut patches = ArenaVec::with_capacity_in(edits.len(), arena);
    let mut all_patches = true;
    for edit in &edits {
        if edit.range.start < done {
            continue;
        }
        all_patches &= edit.is_patch;
        patches.push(Patch::new(edit.range.clone(), edit.text.len()));
        out.extend_from_slice_copy(bytes.get(done..edit.range.start).unwrap_or_default());
        out.extend_from_slice_copy(edit.text);
        done = edit.range.end;
        secrets += edit.secrets;
    }
    out.extend_from_slice_copy(bytes.get(done..).unwrap_or_default());
    Some(Masked {
        bytes: out.into_bump_slice(),
        secrets,
        patches: if all_patches {
            patches.into_bump_slice()
        } else {
            &[]
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: SecretRules = SecretRules {
        names: &["hookToken"],
        subtrees: &[
            Subtree {
                names: &["data"],
                when: |_, object| object.get("kind").text() == "Secret",
                leaf: "",
            },
            Subtree {
                names: &["environment"],
                when: |_, _| true,
                leaf: "value",
            },
            Subtree {
                names: &["variables"],
                when: |_, _| true,
                leaf: "",
            },
        ],
    };

    fn mask(text: &str) -> (String, u32) {
        let arena = Bump::new();
        let masker = Masker::new(
            b"key",
            &RULES,
            &["x_own".to_owned()],
            vec![Regex::new("S3CR3T-[0-9]+").unwrap()],
        );
        let mut indexer = masker.indexer();
        let masked = match indexer.index(&arena, text.as_bytes(), &Limits::default()) {
            Ok(document) => {
                let mut inner = ArenaVec::new_in(&arena);
                masker.document(&arena, &mut indexer, document, &mut inner)
            }
            Err(_) => masker.bytes(&arena, text.as_bytes()),
        };
        let (bytes, secrets) = masked.map_or((text.as_bytes(), 0), |masked| (masked.bytes, masked.secrets));
        (String::from_utf8(bytes.to_vec()).unwrap(), secrets)
    }

    #[test]
    fn nothing_to_mask_is_left_alone() {
        for text in [
            r#"{"a":"b","password":"","token":null,"secret":{"secretName":"x"},"nextToken2":"y","id":"AKIAIOSFODNN7EXAMPLE"}"#,
            r#"{"kind":"ConfigMap","data":{"a":"b"},"uri":"https://example.com/a@b","text":"eyJub3QiOg"}"#,
            r#"{"uri":"/x?pageToken=aaaaaaaaaaaaaaaaaaaaaaaa&next_token=aaaaaaaaaaaaaaaaaaaaaaaa&token=short"}"#,
        ] {
            assert_eq!(mask(text), (text.to_owned(), 0));
        }
    }

    #[test]
    fn each_way_to_carry_a_secret() {
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLWhlcmU";
        let table = [
            (r#"{"password":"hunter2-hunter2"}"#.to_owned(), 1),
            (r#"{"Master_User-Password":"hunter2-hunter2"}"#.to_owned(), 1),
            (r#"{"pin":1,"token":12345678}"#.to_owned(), 1),
            (r#"{"tokens":{"token":["hunter2-a","hunter2-b"]}}"#.to_owned(), 2),
            (r#"{"hookToken":"hunter2","x_own":"hunter2"}"#.to_owned(), 2),
            (
                r#"{"kind":"Secret","data":{"a":"aHVudGVyMg==","b":{"c":"hunter2"}}}"#.to_owned(),
                2,
            ),
            (
                r#"{"environment":[{"name":"A","value":"hunter2"}]}"#.to_owned(),
                1,
            ),
            (
                r#"{"environment":{"variables":{"A":"hunter2"},"value":"hunter2"}}"#.to_owned(),
                2,
            ),
            (
                r#"{"body":"{\"password\":\"hunter2\",\"deep\":\"{\\\"token\\\":\\\"hunter2\\\"}\"}"}"#
                    .to_owned(),
                2,
            ),
            (r#"{"body":"{\"password\":\"hunter2\",\"broken"}"#.to_owned(), 1),
            (
                format!(
                    r#"{{"data":"{}"}}"#,
                    decode::to_base64(br#"{"password":"hunter2"}"#)
                ),
                1,
            ),
            (format!(r#"{{"text":"use {jwt} please"}}"#), 1),
            (
                r#"{"text":"see ghp_abcdefghijklmnopqrstuvwxyz0123456789 and S3CR3T-hunter2 S3CR3T-77"}"#
                    .to_owned(),
                2,
            ),
            (r#"{"url":"https://bob:hunter2@example.com/x"}"#.to_owned(), 1),
            (
                r#"{"uri":"/login?stateToken=00hunter2hunter2hunter2&x=1"}"#.to_owned(),
                1,
            ),
            (r#"{"cmd":"mysql --password=hunter2 -u root"}"#.to_owned(), 1),
            (
                r#"{"pem":"-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"}"#.to_owned(),
                1,
            ),
            (r#"{"password":"hunter2","cut"#.to_owned(), 1),
            (r#"{"a":1 "password" : "hunter2"#.to_owned(), 1),
            (r#"{"x":"{\"password\":\"hunter2\"#.to_owned(), 1),
            ("{\"apikey\0\0:hunter2\" ".to_owned(), 1),
            (r#"{"pass\u0077ord":"hunter2"}"#.to_owned(), 1),
            ("{apikey\0\0hunter2=apikey\0\0:hunter2\" ".to_owned(), 1),
        ];
        for (text, secrets) in table {
            let (masked, found) = mask(&text);
            assert_eq!(found, secrets, "{text} -> {masked}");
            assert!(
                masked.contains(COMMITMENT) || text.contains("eyJwYXNzd29yZ"),
                "{text} -> {masked}"
            );
            for secret in [
                "hunter2\"",
                "hunter2@",
                "hunter2 ",
                "aHVudGVyMg",
                "ghp_",
                jwt,
                "hunter2\\n",
                "12345678,",
            ] {
                assert!(
                    !masked.contains(secret) || secret == "hunter2 ",
                    "{text} -> {masked}"
                );
            }
            assert_eq!(
                mask(&masked),
                (masked.clone(), 0),
                "masking what is masked changes nothing"
            );
        }
    }

    #[test]
    fn the_same_secret_gives_the_same_bytes() {
        let (one, _) = mask(r#"{"password":"hunter2"}"#);
        let (two, _) = mask(r#"{"other":1,"token":"hunter2"}"#);
        let commitment = one.split('"').nth(3).unwrap();
        assert_eq!(commitment.len(), COMMITMENT.len() + 64);
        assert!(two.contains(commitment));
    }

    #[test]
    fn sixteen_bit_text_is_masked_too() {
        let arena = Bump::new();
        let masker = Masker::new(b"key", &RULES, &[], Vec::new());
        let wide: Vec<u8> = r#"{"password":"hunter2"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let masked = masker.bytes(&arena, &wide).unwrap();
        let narrow: Vec<u8> = masked.bytes.iter().copied().filter(|byte| *byte != 0).collect();
        assert!(!String::from_utf8(narrow).unwrap().contains("hunter2"));
    }
}
