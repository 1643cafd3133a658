use std::fmt;

use crate::TimeMicros;

/// One place in the log. `incarnation` tells a topic from one of the same name that was deleted before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Which life of that topic and partition, ours, from 0.
    pub incarnation: u32,
    /// Partition.
    pub partition: i32,
    /// Offset of the record.
    pub offset: i64,
}

impl fmt::Display for Position<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}@{}",
            self.topic, self.incarnation, self.partition, self.offset
        )
    }
}

/// One Kafka record as received. A line of a file is given the same shape.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    /// Where it stands.
    pub position: Position<'a>,
    /// Kafka's record time.
    pub kafka_time: TimeMicros,
    /// Record key.
    pub key: Option<&'a [u8]>,
    /// Record headers in their order; names may repeat.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Record value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

impl<'a> RawRecord<'a> {
    /// A value that stands in no topic, such as a line of a file, without key and headers.
    pub const fn of_no_topic(value: &'a [u8], kafka_time: TimeMicros) -> Self {
        Self {
            position: Position {
                topic: "",
                incarnation: 0,
                partition: 0,
                offset: 0,
            },
            kafka_time,
            key: None,
            headers: &[],
            value: Some(value),
        }
    }

    /// The last header of this name, compared without case, where it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let found = self
            .headers
            .iter()
            .rev()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| str::from_utf8(value).ok())
    }
}
