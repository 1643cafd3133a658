//! Tokens whose shape gives them away, wherever they stand.

use std::ops::Range;

use changegate_json::Triples;

/// How far a token reaches from where its beginning was found.
enum Shape {
    /// The beginning belongs to it; at least so many token characters follow.
    Prefixed(usize),
    /// `name=value`: the value is the secret, at least so many characters.
    Assigned(usize),
    /// Three parts with dots, the second again base64 of `{"`.
    Jwt,
    /// `://user:secret@`.
    Credentials,
    /// `-----BEGIN … PRIVATE KEY-----` up to the end mark, or as far as the text goes.
    Pem,
}

/// Documented prefixes of the issuers named. Each needs three bytes in [`TRIPLES`].
const SHAPES: [(&str, Shape); 48] = [
    ("ghp_", Shape::Prefixed(20)), // GitHub
    ("gho_", Shape::Prefixed(20)),
    ("ghu_", Shape::Prefixed(20)),
    ("ghs_", Shape::Prefixed(20)),
    ("ghr_", Shape::Prefixed(20)),
    ("github_pat_", Shape::Prefixed(20)),
    ("glpat-", Shape::Prefixed(16)), // GitLab
    ("gldt-", Shape::Prefixed(16)),
    ("glrt-", Shape::Prefixed(16)),
    ("glptt-", Shape::Prefixed(16)),
    ("xoxb-", Shape::Prefixed(10)), // Slack
    ("xoxp-", Shape::Prefixed(10)),
    ("xoxa-", Shape::Prefixed(10)),
    ("xoxr-", Shape::Prefixed(10)),
    ("xoxs-", Shape::Prefixed(10)),
    ("xapp-", Shape::Prefixed(10)),
    ("hooks.slack.com/services/", Shape::Prefixed(20)),
    ("sk_live_", Shape::Prefixed(10)), // Stripe
    ("rk_live_", Shape::Prefixed(10)),
    ("AIza", Shape::Prefixed(30)), // Google
    ("ya29.", Shape::Prefixed(20)),
    ("hvs.", Shape::Prefixed(20)), // Vault
    ("npm_", Shape::Prefixed(30)),
    ("pypi-", Shape::Prefixed(40)),
    ("dop_v1_", Shape::Prefixed(40)),     // DigitalOcean
    ("ATATT3", Shape::Prefixed(30)),      // Atlassian
    ("SG.", Shape::Prefixed(40)),         // SendGrid
    ("AccountKey=", Shape::Assigned(20)), // Azure
    ("SharedAccessKey=", Shape::Assigned(20)),
    ("SharedAccessSignature=", Shape::Assigned(20)),
    ("sig=", Shape::Assigned(20)),
    ("SSWS ", Shape::Assigned(20)), // Okta
    ("Bearer ", Shape::Assigned(16)),
    ("Basic ", Shape::Assigned(12)),
    ("password=", Shape::Assigned(1)),
    ("Password=", Shape::Assigned(1)),
    ("passwd=", Shape::Assigned(1)),
    ("PASSWORD=", Shape::Assigned(1)),
    ("--password ", Shape::Assigned(1)),
    ("Pwd=", Shape::Assigned(1)),
    ("secret_access_key=", Shape::Assigned(8)),
    ("access_token=", Shape::Assigned(8)),
    // `stateToken=`, `private_token=` and their like in addresses.
    ("Token=", Shape::Assigned(16)),
    ("token=", Shape::Assigned(16)),
    ("secret=", Shape::Assigned(8)),
    ("eyJ", Shape::Jwt),
    ("://", Shape::Credentials),
    ("-----BEGIN ", Shape::Pem),
];

/// Three bytes of each head that stand in little else: they are looked for, the rest is compared where they are found.
/// Those that are alike share a group.
const TRIPLES: [&[&[u8; 3]]; 8] = [
    &[b"hp_", b"ho_", b"hu_", b"hs_", b"hr_", b"pm_", b"op_"],
    &[b"ey=", b"re=", b"ig=", b"rd=", b"wd=", b"RD=", b"en=", b"et="],
    &[b"b_p", b"k_l", b"pyp", b"SWS"],
    &[b"glp", b"ldt", b"lrt", b"ks.", b"vs."],
    &[b"xox", b"xap", b"ya2"],
    &[b"--p", b"---", b"://", b"eyJ"],
    &[b"AIz", b"TT3", b"SG."],
    &[b"Bea", b"Bas"],
];

/// A head, by the three bytes of it that are looked for.
#[derive(Clone, Copy, Debug)]
struct Head {
    triple: u32,
    /// Where in the head they stand.
    offset: usize,
    shape: usize,
}

const SLOTS: usize = 256;

/// What is looked for of [`Shape::Credentials`], and of nothing else.
const ADDRESS: u32 = key(b"://");

const _: () = assert!(SHAPES.len() < SLOTS, "a slot begins at a byte's worth of heads");

/// The slot of three bytes.
const fn slot(triple: u32) -> usize {
    (triple.wrapping_mul(0x9e37_79b1) >> 24) as usize
}

/// Finds tokens.
#[derive(Clone, Debug)]
pub(super) struct Finder {
    triples: Triples,
    /// Sorted by their slot.
    heads: Vec<Head>,
    /// Where the heads of each slot begin; most places that look like one fall into a slot without any.
    slots: [u8; SLOTS + 1],
}

impl Finder {
    pub(super) fn new() -> Self {
        let mut heads: Vec<_> = SHAPES
            .iter()
            .enumerate()
            .filter_map(|(shape, (head, _))| {
                let mut triples = TRIPLES.iter().copied().flatten();
                triples.find_map(|triple| {
                    let offset = memchr::memmem::find(head.as_bytes(), *triple)?;
                    Some(Head {
                        triple: key(triple),
                        offset,
                        shape,
                    })
                })
            })
            .collect();
        heads.sort_by_key(|head| slot(head.triple));
        let mut slots = [0; SLOTS + 1];
        for (number, begins) in slots.iter_mut().enumerate() {
            *begins = heads.partition_point(|head| slot(head.triple) < number) as u8;
        }
        Self {
            triples: Triples::new(&TRIPLES),
            heads,
            slots,
        }
    }

    /// Hands on the bytes of each token.
    pub(super) fn each(&self, bytes: &[u8], mut found: impl FnMut(Range<usize>)) {
        let mut names = NextAt { bytes, at: 0 };
        self.triples.each(bytes, |at| {
            let Some(triple) = bytes.get(at..).and_then(<[u8]>::first_chunk::<3>) else {
                return;
            };
            let triple = key(triple);
            // Most events hold addresses and no `@` behind them.
            if triple == ADDRESS && names.after(at) == usize::MAX {
                return;
            }
            let slot = self.slots.get(slot(triple)..).and_then(<[u8]>::first_chunk::<2>);
            let Some(&[from, to]) = slot else { return };
            let alike = self
                .heads
                .get(usize::from(from)..usize::from(to))
                .unwrap_or_default();
            for head in alike.iter().filter(|head| head.triple == triple) {
                let range = at
                    .checked_sub(head.offset)
                    .and_then(|start| extent(bytes, head.shape, start, &mut names));
                range.into_iter().for_each(&mut found);
            }
        });
    }
}

/// The first `@` behind a place. Most events have few, and many addresses that could have one.
struct NextAt<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl NextAt<'_> {
    /// Places are asked for in their order.
    fn after(&mut self, place: usize) -> usize {
        if self.at <= place {
            let rest = self.bytes.get(place..).unwrap_or_default();
            self.at = memchr::memchr(b'@', rest).map_or(usize::MAX, |found| place + found);
        }
        self.at
    }
}

const fn key([first, second, third]: &[u8; 3]) -> u32 {
    u32::from_be_bytes([0, *first, *second, *third])
}

const fn in_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'+' | b'=' | b'~' | b'%')
}

fn run(bytes: &[u8], from: usize, belongs: impl Fn(u8) -> bool) -> usize {
    from + bytes
        .get(from..)
        .unwrap_or_default()
        .iter()
        .take_while(|byte| belongs(**byte))
        .count()
}

/// Whether a name that goes on with `token` is that of a place in a list: `nextToken`, `page_token`.
fn is_page(before: &[u8]) -> bool {
    let before = before.strip_suffix(b"_").unwrap_or(before);
    [&b"next"[..], b"page", b"continuation", b"sync"]
        .iter()
        .any(|word| {
            let end = before
                .len()
                .checked_sub(word.len())
                .and_then(|from| before.get(from..));
            end.is_some_and(|end| end.eq_ignore_ascii_case(word))
        })
}

/// The bytes of the secret whose head (number `shape`) may stand at `start`; `None` where it only looks so.
fn extent(bytes: &[u8], shape: usize, start: usize, names: &mut NextAt<'_>) -> Option<Range<usize>> {
    let (head, shape) = SHAPES.get(shape)?;
    if !bytes.get(start..)?.starts_with(head.as_bytes()) {
        return None;
    }
    let after = start + head.len();
    let alone = start
        .checked_sub(1)
        .and_then(|before| bytes.get(before))
        .is_none_or(|before| !before.is_ascii_alphanumeric());
    match shape {
        Shape::Prefixed(least) => {
            let end = run(bytes, after, in_token);
            (alone && end - after >= *least).then_some(start..end)
        }
        Shape::Assigned(least) => {
            let end = run(bytes, after, |byte| {
                !byte.is_ascii_whitespace()
                    && !byte.is_ascii_control()
                    && !matches!(byte, b'"' | b'\'' | b'\\' | b'&' | b';' | b',' | b'<' | b'>')
            });
            let masked = bytes
                .get(after..end)
                .unwrap_or_default()
                .starts_with(super::COMMITMENT.as_bytes());
            let page = head.ends_with("oken=") && is_page(bytes.get(..start).unwrap_or_default());
            (end - after >= *least && !masked && !page).then_some(after..end)
        }
        Shape::Jwt => {
            let part = |from| {
                run(bytes, from, |byte| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
                })
            };
            let header = part(start);
            let payload = part(header + 1);
            let is_jwt = alone
                && bytes.get(header) == Some(&b'.')
                && bytes.get(header + 1..).unwrap_or_default().starts_with(b"eyJ");
            if !is_jwt {
                return None;
            }
            let end = if bytes.get(payload) == Some(&b'.') {
                part(payload + 1)
            } else {
                payload
            };
            Some(start..end)
        }
        Shape::Credentials => {
            let in_part = |byte: u8| {
                byte.is_ascii_graphic()
                    && !matches!(byte, b'/' | b'@' | b':' | b'"' | b'\\' | b'?' | b'#' | b'<')
            };
            // Most addresses name nobody: no `@` before the path.
            let host = bytes.get(after..names.after(after))?;
            if host.iter().any(|byte| matches!(byte, b'/' | b'"' | b'\\')) {
                return None;
            }
            let user = run(bytes, after, in_part);
            if bytes.get(user) != Some(&b':') {
                return None;
            }
            let end = run(bytes, user + 1, |byte| in_part(byte) || byte == b':');
            let masked = bytes
                .get(user + 1..end)
                .unwrap_or_default()
                .starts_with(super::COMMITMENT.as_bytes());
            let is_secret = bytes.get(end) == Some(&b'@') && end > user + 1;
            (is_secret && !masked).then_some(user + 1..end)
        }
        Shape::Pem => {
            let rest = bytes.get(after..)?;
            let line = rest.get(..40.min(rest.len()))?;
            memchr::memmem::find(line, b"PRIVATE KEY")?;
            let string_end = memchr::memchr(b'"', rest).unwrap_or(rest.len());
            let body = rest.get(..string_end)?;
            // Inside an escaped string the quote that ends it has a backslash before it.
            let body = body.strip_suffix(b"\\").unwrap_or(body);
            let end = memchr::memmem::find(body, b"-----END ").and_then(|mark| {
                let tail = body.get(mark + 9..)?;
                Some(mark + 9 + memchr::memmem::find(tail, b"-----")? + 5)
            });
            Some(start..after + end.unwrap_or(body.len()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_head_is_looked_for_and_found_wherever_it_stands() {
        let finder = Finder::new();
        assert_eq!(finder.heads.len(), SHAPES.len());
        let addresses = finder.heads.iter().filter(|head| head.triple == ADDRESS);
        assert!(
            addresses
                .into_iter()
                .all(|head| matches!(SHAPES[head.shape].1, Shape::Credentials))
        );
        let tail = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        for (head, shape) in &SHAPES {
            let token = match shape {
                Shape::Jwt => "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl".to_owned(),
                Shape::Credentials => "://bob:aaaa@".to_owned(),
                Shape::Pem => "-----BEGIN RSA PRIVATE KEY-----aaaa-----END RSA PRIVATE KEY-----".to_owned(),
                Shape::Prefixed(_) | Shape::Assigned(_) => format!("{head}{tail}"),
            };
            for before in 0..70 {
                let text = format!("{}{token} x", " ".repeat(before));
                let mut found = Vec::new();
                finder.each(text.as_bytes(), |range| found.push(text[range].to_owned()));
                assert!(
                    found
                        .iter()
                        .any(|secret| secret.contains("aaaa") || secret == &token),
                    "{text}: {found:?}"
                );
            }
        }
    }
}
