//! What a source module works with: the record, its settings, and the few operations that all sources share.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use changegate_json::{Indexer, Kind, Limits, Value};
use changegate_types::{
    ChangeEvent, Mark, Marks, RawRecord, Reject, RejectCode, Resource, SkipReason, TimeMicros,
};

use crate::secret::Inner;
use crate::settings::{TenantSettings, TopicSettings};
use crate::{decode, text, ticket, time};

/// A list that grows in the arena.
pub(crate) type List<'a, T> = ArenaVec<'a, T>;

/// Most resources, tickets and delegates that a row keeps; the rest is in the raw bytes (`list_cut`).
pub(crate) const LIST_MAX: usize = 64;

/// One change found in a record.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a> {
    /// The child itself.
    pub(crate) value: Value<'a>,
    /// What it came in: the EventBridge event around `detail`, the push message around `data`, …
    pub(crate) envelope: Value<'a>,
    /// Whether `value` is part of the record's kept bytes; else it was decoded from inside a string.
    pub(crate) in_record: bool,
}

/// What unwrapping one record gives, in order.
pub(crate) enum Unwrapped<'a> {
    Child(Found<'a>),
    Skip(SkipReason),
    Reject(Reject<'a>),
}

impl<'a> Unwrapped<'a> {
    /// Refuses what begins at `value`.
    pub(crate) fn reject(value: Value<'a>, code: RejectCode, reason: &'a str) -> Self {
        Self::Reject(Reject {
            code,
            reason,
            at_byte: value.span().start as u32,
        })
    }
}

/// A normalized event and what its ids are made of.
pub(crate) struct Draft<'a> {
    /// In the arena: it is large, and stays where it was made.
    pub(crate) event: &'a mut ChangeEvent<'a>,
    /// What names the source's event; the content where all are empty.
    pub(crate) uid: [&'a str; 5],
    /// What names the change; `event_uid` and `content_hash` where all are empty.
    pub(crate) change: [&'a str; 5],
}

impl<'a> Draft<'a> {
    /// A draft whose event is known by its native id alone.
    pub(crate) fn by_native_uid(event: &'a mut ChangeEvent<'a>) -> Self {
        let uid = [event.native_uid, "", "", "", ""];
        Self {
            event,
            uid,
            change: [""; 5],
        }
    }
}

/// Where the one indexer of a normalizer lies while nobody reads.
pub(crate) struct Shelf(Cell<Option<Box<Indexer>>>);

impl Shelf {
    pub(crate) fn new(indexer: Indexer) -> Self {
        Self(Cell::new(Some(Box::new(indexer))))
    }

    /// What lies there; nothing is left.
    pub(crate) fn take(&self) -> Self {
        Self(Cell::new(self.0.take()))
    }

    /// Puts back what was taken.
    pub(crate) fn put(&self, taken: &Self) {
        self.0.set(taken.0.take());
    }

    /// Reads with it. Where a panic has kept it from coming back, one made anew is used this once: what is watched for
    /// depends on who reads.
    #[inline]
    pub(crate) fn lend<R>(&self, anew: impl FnOnce() -> Indexer, read: impl FnOnce(&mut Indexer) -> R) -> R {
        let own = self.0.take();
        let is_own = own.is_some();
        let mut indexer = own.unwrap_or_else(|| Box::new(anew()));
        let done = read(&mut indexer);
        self.0.set(is_own.then_some(indexer));
        done
    }
}

/// One record while it is normalized.
pub(crate) struct Context<'a> {
    pub(crate) arena: &'a Bump,
    pub(crate) record: RawRecord<'a>,
    pub(crate) topic: &'a TopicSettings,
    pub(crate) tenant: &'a TenantSettings,
    /// What came in around the child; for webhooks `{"headers":…,"body":…}`.
    pub(crate) envelope: Value<'a>,
    pub(crate) marks: Marks,
    pub(crate) tickets: List<'a, &'a str>,
    pub(crate) indexer: &'a Shelf,
    /// What was read from strings already.
    pub(crate) inner: &'a [Inner<'a>],
}

impl<'a> Context<'a> {
    pub(crate) fn mark(&mut self, mark: Mark) {
        self.marks.set(mark);
    }

    /// An empty list in the arena.
    pub(crate) fn list<T>(&self) -> List<'a, T> {
        ArenaVec::new_in(self.arena)
    }

    /// The same with room for one item, for what has one as a rule.
    pub(crate) fn list_of_one<T>(&self) -> List<'a, T> {
        ArenaVec::with_capacity_in(1, self.arena)
    }

    /// Text, or a number or word as spelled. An object or array leaves the field empty and is marked.
    #[inline]
    pub(crate) fn text(&mut self, value: Value<'a>) -> &'a str {
        let text = value.text();
        if text.is_empty() && matches!(value.kind(), Kind::Object | Kind::Array) {
            self.mark(Mark::WrongType);
        }
        text
    }

    /// A time in any of the spellings of [`time::parse`]. Marked where it is there and is none.
    pub(crate) fn time(&mut self, value: Value<'a>) -> Option<TimeMicros> {
        let text = self.text(value);
        if text.is_empty() {
            return None;
        }
        let parsed = time::parse(text);
        if parsed.is_none() {
            let looks_like_number = text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'+' | b'e' | b'E'));
            self.mark(if looks_like_number {
                Mark::NumberOutOfRange
            } else if time::is_unstorable(text) {
                Mark::TimeOutOfRange
            } else {
                Mark::WrongType
            });
        }
        parsed
    }

    /// A whole number that fits `T`. Marked where it is there and is none, or does not fit.
    pub(crate) fn number<T: TryFrom<i64>>(&mut self, value: Value<'a>) -> Option<T> {
        let text = self.text(value);
        if text.is_empty() {
            return None;
        }
        let number = value.i64();
        let fitting = number.and_then(|number| T::try_from(number).ok());
        if fitting.is_none() {
            let is_number = number.is_some() || value.kind() == Kind::Number;
            self.mark(if is_number {
                Mark::NumberOutOfRange
            } else {
                Mark::WrongType
            });
        }
        fitting
    }

    /// The parts as one text.
    pub(crate) fn join(&self, parts: &[&str]) -> &'a str {
        let length = parts.iter().map(|part| part.len()).sum();
        let mut joined = bumpalo::collections::String::with_capacity_in(length, self.arena);
        let parts = parts.iter().filter(|part| !part.is_empty());
        parts.for_each(|part| joined.push_str(part));
        joined.into_bump_str()
    }

    /// In lower case; borrowed where it is so already.
    pub(crate) fn lower(&self, text: &'a str) -> &'a str {
        if text::has_upper(text) {
            let mut lower = bumpalo::collections::String::from_str_in(text, self.arena);
            lower.make_ascii_lowercase();
            lower.into_bump_str()
        } else {
            text
        }
    }

    /// An HTTP header of the webhook: from Kafka's headers, else from `{"headers":…}`. Empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &'a str {
        self.record.header(name).unwrap_or_else(|| {
            let value = self.envelope.get("headers").get(name);
            // Some bridges keep a list of values for each name.
            value.items().next().unwrap_or(value).text()
        })
    }

    /// The JSON inside a string. A string that holds none, or more than the bounds, is marked; an object or
    /// array is taken as it is, since some producers leave out the inner encoding.
    pub(crate) fn nested(&mut self, value: Value<'a>) -> Value<'a> {
        if value.kind() != Kind::String {
            return value;
        }
        let spelled = value.spelled();
        if let Some(known) = self
            .inner
            .iter()
            .find(|known| std::ptr::eq(known.spelled, spelled))
        {
            return known.document.root();
        }
        let text = value.str().unwrap_or_default();
        if text.trim_ascii().is_empty() {
            return Value::MISSING;
        }
        match self.read(text.as_bytes()) {
            Ok(inner) => inner,
            Err(_) => {
                self.mark(Mark::NestedUnparsed);
                Value::MISSING
            }
        }
    }

    /// The JSON inside base64 inside a string.
    pub(crate) fn nested_base64(&mut self, value: Value<'a>) -> Result<Value<'a>, Reject<'a>> {
        let bytes = decode::base64(self.arena, value.text().as_bytes()).map_err(|at| Reject {
            code: RejectCode::InvalidBase64,
            reason: "this byte of the message's data is no base64",
            at_byte: (value.span().start + 1 + at) as u32,
        })?;
        self.read(bytes)
    }

    /// Reads decoded bytes within the record's limits.
    pub(crate) fn read(&self, bytes: &'a [u8]) -> Result<Value<'a>, Reject<'a>> {
        let limits = Limits {
            depth: self.topic.limits.depth,
            bytes: self.topic.limits.unpacked_bytes,
            ..Limits::default()
        };
        let document = self.indexer.lend(Indexer::default, |indexer| {
            indexer.index(self.arena, bytes, &limits)
        });
        document
            .map(|document| document.root())
            .map_err(crate::reject::fault)
    }

    /// Sets `src_ip`, or `src_domain` where the address is a name. A port is cut off.
    pub(crate) fn address(&mut self, event: &mut ChangeEvent<'a>, value: Value<'a>) {
        let text = self.text(value).trim_ascii();
        if text.is_empty() || text == "-" {
            return;
        }
        if let Some(address) = dotted(text.as_bytes()) {
            event.src_ip = Some(address.to_ipv6_mapped());
            return;
        }
        let ip = text.parse::<IpAddr>().ok().or_else(|| {
            let bare = text.strip_prefix('[').and_then(|rest| rest.split(']').next());
            let without_port = bare.or_else(|| {
                text.split_once(':')
                    .filter(|(_, port)| !port.contains(':'))
                    .map(|(host, _)| host)
            });
            without_port?.parse().ok()
        });
        match ip {
            Some(IpAddr::V4(address)) => event.src_ip = Some(address.to_ipv6_mapped()),
            Some(IpAddr::V6(address)) => event.src_ip = Some(address),
            None => {
                event.src_domain = text;
                self.mark(Mark::AddressIsName);
            }
        }
    }

    /// Notes the ticket references in a text that a person or a pipeline wrote.
    pub(crate) fn tickets_in(&mut self, text: &'a str) {
        // Without an upper-case letter there is none; most texts end here.
        if text.len() < 3 {
            return;
        }
        let (tickets, mut cut) = (&mut self.tickets, false);
        ticket::find(text, &self.tenant.ticket_patterns, |found| {
            if !tickets.contains(&found) {
                if tickets.len() < LIST_MAX {
                    tickets.push(found)
                } else {
                    cut = true
                }
            }
        });
        if cut {
            self.mark(Mark::ListCut);
        }
    }

    /// Notes the ticket references in every text below `value`.
    pub(crate) fn tickets_below(&mut self, value: Value<'a>) {
        match value.kind() {
            Kind::String => self.tickets_in(value.text()),
            Kind::Array => value.items().for_each(|item| self.tickets_below(item)),
            Kind::Object => value.members().for_each(|(_, member)| self.tickets_below(member)),
            _ => {}
        }
    }

    /// The list as the event keeps it, cut at [`LIST_MAX`].
    pub(crate) fn resources(&mut self, mut list: List<'a, Resource<'a>>) -> &'a [Resource<'a>] {
        if list.len() > LIST_MAX {
            list.truncate(LIST_MAX);
            self.mark(Mark::ListCut);
        }
        list.into_bump_slice()
    }

    /// The list as the event keeps it, cut at [`LIST_MAX`].
    pub(crate) fn texts(&mut self, mut list: List<'a, &'a str>) -> &'a [&'a str] {
        if list.len() > LIST_MAX {
            list.truncate(LIST_MAX);
            self.mark(Mark::ListCut);
        }
        list.into_bump_slice()
    }
}

/// Four numbers with dots between them, as most addresses are spelled; `None` for all else.
fn dotted(text: &[u8]) -> Option<Ipv4Addr> {
    let digit = |at: usize| {
        text.get(at)
            .map(|byte| byte.wrapping_sub(b'0'))
            .filter(|digit| *digit < 10)
    };
    let mut at = 0;
    let mut octets = [0; 4];
    for octet in &mut octets {
        if at > 0 {
            if text.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
        let mut number = u32::from(digit(at)?);
        at += 1;
        if let Some(second) = digit(at) {
            // No number begins with a zero that it could do without.
            if number == 0 {
                return None;
            }
            number = number * 10 + u32::from(second);
            at += 1;
            if let Some(third) = digit(at) {
                number = number * 10 + u32::from(third);
                at += 1;
            }
        }
        *octet = u8::try_from(number).ok()?;
    }
    (at == text.len()).then(|| Ipv4Addr::from_octets(octets))
}

/// The first text that is not empty.
pub(crate) fn first<'t>(texts: &[&'t str]) -> &'t str {
    texts
        .iter()
        .copied()
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

/// Gives `member` each member of `object`, and one that it does not know a second time, under the name of `known` that
/// is meant.
#[inline]
pub(crate) fn each_member<'a>(
    object: Value<'a>,
    known: &[&str],
    mut member: impl FnMut(&str, Value<'a>) -> bool,
) {
    for (name, value) in object.members() {
        // One place that calls `member`, so that it is compiled into this loop.
        let (mut called, mut is_meant) = (name, false);
        while !member(called, value) && !is_meant {
            let Some(meant) = respelled(object, known, name) else {
                break;
            };
            (called, is_meant) = (meant, true);
        }
    }
}

/// Which of these names a member means that is spelled in another case or with underscores. `None` where `object`
/// holds that name as documented too: the documented spelling counts.
#[cold]
fn respelled<'n>(object: Value<'_>, known: &[&'n str], name: &str) -> Option<&'n str> {
    let plain = |text: &'_ str| -> usize { text.bytes().filter(|byte| *byte != b'_').count() };
    let length = plain(name);
    known.iter().copied().find(|known| {
        known.len() == length
            && known
                .bytes()
                .zip(name.bytes().filter(|byte| *byte != b'_'))
                .all(|(left, right)| left.eq_ignore_ascii_case(&right))
            && *known != name
            && !object.members().any(|(member, _)| member == *known)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_addresses_are_those_of_the_standard_library() {
        let texts = [
            "0.0.0.0",
            "1.2.3.4",
            "255.255.255.255",
            "256.1.1.1",
            "1.1.1.256",
            "01.1.1.1",
            "1.1.1.00",
            "1.1.1",
            "1.1.1.1.1",
            "1..1.1",
            ".1.1.1",
            "1.1.1.",
            "1.1.1.1 ",
            "1.1.1.a",
            "",
            "1111.1.1.1",
            "000.0.0.0",
            "10.139.111.34",
            "4294967296.1.1",
            "é",
        ];
        for text in texts {
            assert_eq!(dotted(text.as_bytes()), text.parse().ok(), "{text}");
        }
    }
}
