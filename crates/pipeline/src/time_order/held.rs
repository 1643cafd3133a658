//! A record of a backlog that may have waited for its turn.

use std::ops::Range;
use std::sync::Arc;

use changegate_types::TimeMicros;

use crate::log::Message;

/// A record that waits for its turn: topic and times as the log gave them, the bytes copied.
#[derive(Debug)]
pub struct Held {
    topic: Arc<str>,
    partition: i32,
    offset: i64,
    time: Option<TimeMicros>,
    pub(super) order: i64,
    bytes: Box<[u8]>,
    key: Option<Range<u32>>,
    value: Option<Range<u32>>,
    headers: Box<[(Range<u32>, Range<u32>)]>,
}

/// A record, straight from the log or held before.
#[derive(Debug)]
pub enum Ordered<M> {
    /// Still in the client's buffer.
    Direct(M),
    /// Copied.
    Held(Held),
}

impl Held {
    pub(super) fn new(message: &impl Message, topic: Arc<str>, order: i64) -> Self {
        let (key, value) = (message.key(), message.value());
        let mut bytes = Vec::with_capacity(key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len));
        let mut put = |part: &[u8]| {
            let start = bytes.len() as u32;
            bytes.extend_from_slice(part);
            start..bytes.len() as u32
        };
        let key = key.map(&mut put);
        let value = value.map(&mut put);
        let mut headers = Vec::new();
        message.headers(&mut |name, value| headers.push((put(name.as_bytes()), put(value))));
        Self {
            topic,
            partition: message.partition(),
            offset: message.offset(),
            time: message.time(),
            order,
            key,
            value,
            headers: headers.into(),
            bytes: bytes.into(),
        }
    }

    fn part(&self, range: &Range<u32>) -> &[u8] {
        &self.bytes[range.start as usize..range.end as usize]
    }

    pub(super) fn size(&self) -> usize {
        self.bytes.len() + size_of::<Self>()
    }
}

impl<M: Message> Message for Ordered<M> {
    fn topic(&self) -> &str {
        match self {
            Self::Direct(message) => message.topic(),
            Self::Held(held) => &held.topic,
        }
    }

    fn partition(&self) -> i32 {
        match self {
            Self::Direct(message) => message.partition(),
            Self::Held(held) => held.partition,
        }
    }

    fn offset(&self) -> i64 {
        match self {
            Self::Direct(message) => message.offset(),
            Self::Held(held) => held.offset,
        }
    }

    fn time(&self) -> Option<TimeMicros> {
        match self {
            Self::Direct(message) => message.time(),
            Self::Held(held) => held.time,
        }
    }

    fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Direct(message) => message.key(),
            Self::Held(held) => held.key.as_ref().map(|key| held.part(key)),
        }
    }

    fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Direct(message) => message.value(),
            Self::Held(held) => held.value.as_ref().map(|value| held.part(value)),
        }
    }

    fn headers<'m>(&'m self, each: &mut dyn FnMut(&'m str, &'m [u8])) {
        match self {
            Self::Direct(message) => message.headers(each),
            Self::Held(held) => {
                for (name, value) in &held.headers {
                    // The name was a `&str` when it was copied.
                    if let Ok(name) = std::str::from_utf8(held.part(name)) {
                        each(name, held.part(value));
                    }
                }
            }
        }
    }
}
