//! Texts with `<<holes>>`, parsed once, filled many times. The holes are a closed list, so a slip in a template
//! is found when the catalogue is built, not in an output.

use crate::put::escape;
use crate::secrets::SecretKind;

/// One hole of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hole {
    // The event
    Id,
    Link,
    Fresh,
    Number,
    Hex8,
    Hex17,
    Hex40,
    Hex64,
    Base36,
    Time,
    TimeMs,
    EpochMs,
    Expires,
    // The actor
    Email,
    Name,
    Login,
    Ip,
    // The other person
    OtherEmail,
    OtherName,
    OtherLogin,
    // The place
    Account,
    PlaceName,
    Region,
    Zone,
    Namespace,
    // The thing
    Target,
    App,
    AppTeam,
    Environment,
    Count,
    // The piece of work
    Ticket,
    Title,
    Branch,
    PullRequest,
    Commit,
    Run,
    Repo,
    Author,
    // Others
    Planted(SecretKind),
    Open(Wrap),
    Close,
}

/// How the text between `<<#…>>` and `<</>>` is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrap {
    /// As the inside of a JSON string.
    Text,
    /// In base64.
    Base64,
}

fn hole(name: &str) -> Option<Hole> {
    Some(match name {
        "id" => Hole::Id,
        "link" => Hole::Link,
        "uuid" => Hole::Fresh,
        "number" => Hole::Number,
        "hex8" => Hole::Hex8,
        "hex17" => Hole::Hex17,
        "hex40" => Hole::Hex40,
        "hex64" => Hole::Hex64,
        "base36" => Hole::Base36,
        "time" => Hole::Time,
        "time_ms" => Hole::TimeMs,
        "epoch_ms" => Hole::EpochMs,
        "expires" => Hole::Expires,
        "email" => Hole::Email,
        "name" => Hole::Name,
        "login" => Hole::Login,
        "ip" => Hole::Ip,
        "other.email" => Hole::OtherEmail,
        "other.name" => Hole::OtherName,
        "other.login" => Hole::OtherLogin,
        "account" => Hole::Account,
        "place" => Hole::PlaceName,
        "region" => Hole::Region,
        "zone" => Hole::Zone,
        "namespace" => Hole::Namespace,
        "target" => Hole::Target,
        "app" => Hole::App,
        "team" => Hole::AppTeam,
        "env" => Hole::Environment,
        "count" => Hole::Count,
        "ticket" => Hole::Ticket,
        "title" => Hole::Title,
        "branch" => Hole::Branch,
        "pr" => Hole::PullRequest,
        "commit" => Hole::Commit,
        "run" => Hole::Run,
        "repo" => Hole::Repo,
        "author" => Hole::Author,
        "#text" => Hole::Open(Wrap::Text),
        "#base64" => Hole::Open(Wrap::Base64),
        "/" => Hole::Close,
        other => Hole::Planted(SecretKind::from_name(other.strip_prefix("secret:")?)?),
    })
}

#[derive(Clone, Debug)]
enum Part {
    Literal(&'static str),
    Hole(Hole),
}

/// A parsed text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// # Panics
    /// On a hole that is not in the list: the text is a constant of this crate.
    pub(crate) fn parse(text: &'static str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find("<<") {
            if open > 0 {
                parts.push(Part::Literal(&rest[..open]));
            }
            let after = &rest[open + 2..];
            let close = after
                .find(">>")
                .unwrap_or_else(|| panic!("unclosed hole in {text}"));
            let name = &after[..close];
            parts.push(Part::Hole(
                hole(name).unwrap_or_else(|| panic!("unknown hole {name:?} in {text}")),
            ));
            rest = &after[close + 2..];
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest));
        }
        Self { parts }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Writes the text; `fill` writes what belongs into a hole.
    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>, mut fill: impl FnMut(Hole, &mut Vec<u8>)) {
        let mut open: [(usize, Wrap); 4] = [(0, Wrap::Text); 4];
        let mut depth = 0;
        for part in &self.parts {
            match *part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Hole(Hole::Open(wrap)) => {
                    open[depth] = (out.len(), wrap);
                    depth += 1;
                }
                Part::Hole(Hole::Close) => {
                    depth -= 1;
                    let (start, wrap) = open[depth];
                    wrap.tail(out, start);
                }
                Part::Hole(hole) => fill(hole, out),
            }
        }
    }
}

impl Wrap {
    /// Wraps everything from `start` on.
    pub(crate) fn tail(self, out: &mut Vec<u8>, start: usize) {
        let inner = out.split_off(start);
        match self {
            Self::Text => escape(&inner, out),
            Self::Base64 => base64_into(&inner, out),
        }
    }
}

/// Appends `bytes` in standard base64.
pub(crate) fn base64_into(bytes: &[u8], out: &mut Vec<u8>) {
    use base64::Engine as _;
    let engine = &base64::engine::general_purpose::STANDARD;
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = engine.encode_slice(bytes, &mut out[start..]);
    out.truncate(start + written.unwrap_or_default());
}
