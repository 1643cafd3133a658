//! Secrets: by the names of keys, below keys that hold them by nature in one source, and by shape.

use std::collections::HashSet;

use changegate_normalize::COMMITMENT;
use hmac::{Hmac, KeyInit as _, Mac as _};
use regex::{Captures, Regex};
use serde_json::{Map, Value};
use sha2::Sha256;

use super::names;

/// The shapes of `tokens.rs`. What stands in parentheses is the secret, else the whole match.
const TOKENS: &str = r#"(?x)
    (?-u:\b)(?: gh[pousr]_ | github_pat_ | hooks\.slack\.com/services/ | ya29\. | hvs\. )[0-9A-Za-z_./+=~%-]{20,}
  | (?-u:\b)(?: glpat- | gldt- | glrt- | glptt- )[0-9A-Za-z_./+=~%-]{16,}
  | (?-u:\b)(?: xox[bpars]- | xapp- | [sr]k_live_ )[0-9A-Za-z_./+=~%-]{10,}
  | (?-u:\b)(?: AIza | npm_ | ATATT3 )[0-9A-Za-z_./+=~%-]{30,}
  | (?-u:\b)(?: pypi- | dop_v1_ | SG\. )[0-9A-Za-z_./+=~%-]{40,}
  | (?: AccountKey= | SharedAccessKey= | SharedAccessSignature= | sig= | SSWS\x20 )([^\x00-\x20"'\\&;,<>]{20,})
  | (?: Bearer\x20 | [Tt]oken= )([^\x00-\x20"'\\&;,<>]{16,})
  | Basic\x20([^\x00-\x20"'\\&;,<>]{12,})
  | (?: [Pp]assword= | passwd= | PASSWORD= | --password\x20 | Pwd= )([^\x00-\x20"'\\&;,<>]+)
  | (?: secret_access_key= | access_token= | secret= )([^\x00-\x20"'\\&;,<>]{8,})
  | (?-u:\b)eyJ[0-9A-Za-z_-]*\.eyJ[0-9A-Za-z_-]*(?:\.[0-9A-Za-z_-]*)?
  | ://[^\x00-\x20/@:"\\?\#<]*:([^\x00-\x20/@"\\?\#<]+)@
  | -----BEGIN\x20[A-Z\x20]*PRIVATE\x20KEY[^"]*
"#;

/// What carries secrets by nature in one source. Names are compared in lower case and without separators.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Further names whose text is a secret.
    pub(super) names: &'static [&'static str],
    /// Whether a document may be about secrets.
    pub(super) about_secrets: fn(&Value) -> bool,
    /// The members of one object below which all are secrets, given the above.
    pub(super) held: fn(bool, &Map<String, Value>) -> &'static [&'static str],
    /// What lies below a name in any object.
    pub(super) below: fn(&str) -> Below,
}

/// Which leaves below a key are secrets by nature.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Below {
    None,
    All,
    /// Those of this name: `value` in lists of names and values.
    Leaf(&'static str),
}

#[derive(Debug)]
pub(super) struct Masker {
    key: Hmac<Sha256>,
    rules: Rules,
    names: HashSet<String>,
    tokens: Regex,
}

/// A walk over one tree.
struct Walk<'m> {
    masker: &'m Masker,
    /// Whether any token is in the record's text.
    tokens: bool,
    about_secrets: bool,
    name: String,
    masked: u32,
}

impl Masker {
    pub(super) fn new(key: &[u8], rules: Rules) -> anyhow::Result<Self> {
        let all = names::EVERYWHERE.iter().chain(rules.names);
        Ok(Self {
            key: Hmac::new_from_slice(key)?,
            rules,
            names: all.map(|name| name.to_ascii_lowercase()).collect(),
            tokens: Regex::new(TOKENS)?,
        })
    }

    /// Masks the tree of a record, and counts what it found.
    pub(super) fn record(&self, text: &str, tree: &mut Value) -> u32 {
        let mut walk = Walk {
            masker: self,
            // Nearly no record has a token: one search in all of its text is cheaper than one in each value.
            tokens: self.tokens.is_match(text),
            about_secrets: (self.rules.about_secrets)(tree),
            name: String::new(),
            masked: 0,
        };
        walk.value(tree, Below::None, false);
        walk.masked
    }

    fn commit(&self, secret: &str) -> String {
        let mut mac = self.key.clone();
        mac.update(b"changegate secret v1");
        mac.update(secret.as_bytes());
        let digits = mac.finalize().into_bytes();
        digits
            .iter()
            .fold(COMMITMENT.to_owned(), |text, byte| text + &format!("{byte:02x}"))
    }
}

impl Walk<'_> {
    /// `named`: the value stands, or the list that it is in, under the name of a secret.
    fn value(&mut self, value: &mut Value, below: Below, named: bool) {
        match value {
            Value::Object(members) => {
                let held = (self.masker.rules.held)(self.about_secrets, members);
                for (name, member) in members {
                    self.member(name, member, below, held);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item, below, named)),
            Value::String(text) if named && !text.is_empty() && !text.starts_with(COMMITMENT) => {
                *text = self.masker.commit(text);
                self.masked += 1;
            }
            Value::Number(number) if named => {
                *value = Value::String(self.masker.commit(&number.to_string()));
                self.masked += 1;
            }
            Value::String(text) if !named => self.text(text),
            _ => {}
        }
    }

    fn member(&mut self, name: &str, member: &mut Value, below: Below, held: &[&str]) {
        // One buffer for all names: in lower case and without separators, as they stand in the list.
        self.name.clear();
        if name.contains(['_', '-', '.']) {
            self.name.extend(name.split(['_', '-', '.']));
        } else {
            self.name.push_str(name);
        }
        self.name.make_ascii_lowercase();
        let name = self.name.as_str();
        let below = match (self.masker.rules.below)(name) {
            _ if below == Below::All || held.contains(&name) => Below::All,
            Below::None => below,
            more => more,
        };
        let named = match below {
            Below::All => true,
            Below::Leaf(leaf) => name == leaf || self.masker.names.contains(name),
            Below::None => self.masker.names.contains(name),
        };
        self.value(member, below, named);
    }

    /// A text that is no secret as a whole: JSON inside, tokens.
    fn text(&mut self, text: &mut String) {
        if text.len() >= 8
            && text.starts_with(['{', '['])
            && let Ok(mut inner) = serde_json::from_str(text)
        {
            let (before, outer) = (self.masked, self.about_secrets);
            self.about_secrets = (self.masker.rules.about_secrets)(&inner);
            self.value(&mut inner, Below::None, false);
            self.about_secrets = outer;
            if self.masked > before {
                *text = inner.to_string();
            }
        } else if self.tokens {
            let mut found = 0;
            let masked = self.masker.tokens.replace_all(text, |token: &Captures<'_>| {
                found += 1;
                let whole = token.get(0).map_or("", |all| all.as_str());
                let secret = token
                    .iter()
                    .skip(1)
                    .flatten()
                    .next()
                    .map_or(whole, |part| part.as_str());
                whole.replacen(secret, &self.masker.commit(secret), 1)
            });
            if found > 0 {
                *text = masked.into_owned();
                self.masked += found;
            }
        }
    }
}
