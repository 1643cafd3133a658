use super::dictionary::Dictionary;
use super::stream::Stream;

/// How one value is taken off a row, and to which streams of its column it goes.
#[derive(Debug)]
pub(super) enum Reader {
    Fixed { width: usize, to: usize },
    Text { to: usize },
    Low { width: Option<usize>, to: usize },
    Nullable { nulls: usize, value: Box<Self> },
    Array { ends: usize, item: Box<Self> },
    Tuple(Vec<Self>),
}

impl Reader {
    /// For a column of this type.
    ///
    /// # Panics
    /// On a type that no column of ours has: say here how wide it is.
    pub(super) fn new(written: &str, streams: &mut Vec<Stream>) -> Self {
        let mut stream = |stream| {
            streams.push(stream);
            streams.len() - 1
        };
        let (name, arguments) = match written.split_once('(') {
            Some((name, rest)) => (name, rest.strip_suffix(')').unwrap_or(rest)),
            None => (written, ""),
        };
        match name {
            "String" => Self::Text {
                to: stream(Stream::Texts(Vec::new())),
            },
            "LowCardinality" => Self::Low {
                width: (arguments != "String").then(|| fixed_width(arguments)),
                to: stream(Stream::Low(Dictionary::default())),
            },
            "Nullable" => Self::Nullable {
                nulls: stream(Stream::Bytes(Vec::new())),
                value: Box::new(Self::new(arguments, streams)),
            },
            "Array" => Self::Array {
                ends: stream(Stream::Bytes(Vec::new())),
                item: Box::new(Self::new(arguments, streams)),
            },
            // As it is stored: an array of pairs.
            "Map" => Self::Array {
                ends: stream(Stream::Bytes(Vec::new())),
                item: Box::new(Self::tuple(arguments, streams)),
            },
            "Tuple" => Self::tuple(arguments, streams),
            _ => Self::Fixed {
                width: fixed_width(written),
                to: stream(Stream::Bytes(Vec::new())),
            },
        }
    }

    /// Fields of types without commas, each with or without its name.
    fn tuple(fields: &str, streams: &mut Vec<Stream>) -> Self {
        let types = fields
            .split(", ")
            .map(|field| field.split_once(' ').map_or(field, |(_, written)| written));
        Self::Tuple(types.map(|written| Self::new(written, streams)).collect())
    }

    #[inline]
    pub(super) fn take(&self, from: &mut Cursor<'_>, streams: &mut [Stream]) {
        match self {
            Self::Fixed { width, to } => push(&mut streams[*to], from.take(*width)),
            Self::Text { to } => {
                let begin = u32::try_from(from.at).expect("a batch is far below 4 GiB");
                from.text();
                begins(&mut streams[*to]).push(begin);
            }
            Self::Low { width, to } => {
                let key = match width {
                    Some(width) => from.take(*width),
                    None => from.text(),
                };
                let Stream::Low(dictionary) = &mut streams[*to] else {
                    unreachable!("made together");
                };
                dictionary.push(key);
            }
            Self::Nullable { nulls, value } => {
                let is_null = from.take(1);
                push(&mut streams[*nulls], is_null);
                if is_null == [0] {
                    value.take(from, streams);
                } else {
                    value.default(streams);
                }
            }
            Self::Array { ends, item } => {
                let count = from.length();
                let Stream::Bytes(bytes) = &mut streams[*ends] else {
                    unreachable!("made together");
                };
                let before = bytes.last_chunk().map_or(0, |last| u64::from_le_bytes(*last));
                bytes.extend_from_slice(&(before + count as u64).to_le_bytes());
                (0..count).for_each(|_| item.take(from, streams));
            }
            Self::Tuple(fields) => fields.iter().for_each(|field| field.take(from, streams)),
        }
    }

    /// What stands in the place of a null.
    fn default(&self, streams: &mut [Stream]) {
        match self {
            Self::Fixed { width, to } => push(&mut streams[*to], &[0; 32][..*width]),
            Self::Text { to } => begins(&mut streams[*to]).push(Stream::NOTHING),
            Self::Low { .. } | Self::Nullable { .. } | Self::Array { .. } | Self::Tuple(_) => {
                unreachable!("no column of ours is a Nullable of these")
            }
        }
    }
}

/// Bytes of a value of a type that has always as many.
fn fixed_width(written: &str) -> usize {
    match written.split(['(', ',']).next() {
        Some("UInt8" | "Bool" | "Enum8") => 1,
        Some("UInt16") => 2,
        Some("UInt32" | "Int32" | "Float32") => 4,
        Some("UInt64" | "Int64" | "DateTime64") => 8,
        Some("IPv6") => 16,
        Some("FixedString") => {
            let width = written.trim_start_matches("FixedString(").trim_end_matches(')');
            width.parse().expect("FixedString has a width")
        }
        _ => panic!("no width is known of a {written}"),
    }
}

#[inline]
fn push(stream: &mut Stream, value: &[u8]) {
    let Stream::Bytes(bytes) = stream else {
        unreachable!("made together");
    };
    // Of a length that the compiler knows each is a move, not a call.
    match value.len() {
        1 => bytes.push(value[0]),
        2 => bytes.extend_from_slice(&value[..2]),
        4 => bytes.extend_from_slice(&value[..4]),
        8 => bytes.extend_from_slice(&value[..8]),
        16 => bytes.extend_from_slice(&value[..16]),
        _ => bytes.extend_from_slice(value),
    }
}

fn begins(stream: &mut Stream) -> &mut Vec<u32> {
    let Stream::Texts(begins) = stream else {
        unreachable!("made together");
    };
    begins
}

/// Where the next value of the rows begins.
#[derive(Debug)]
pub(super) struct Cursor<'r> {
    rows: &'r [u8],
    at: usize,
}

impl<'r> Cursor<'r> {
    pub(super) fn new(rows: &'r [u8]) -> Self {
        Self::at(rows, 0)
    }

    pub(super) fn at(rows: &'r [u8], at: usize) -> Self {
        Self { rows, at }
    }

    pub(super) fn is_done(&self) -> bool {
        self.at == self.rows.len()
    }

    fn take(&mut self, count: usize) -> &'r [u8] {
        let from = self.at;
        self.at += count;
        &self.rows[from..self.at]
    }

    /// LEB128.
    fn length(&mut self) -> usize {
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.rows[self.at];
            self.at += 1;
            length |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return length;
            }
            shift += 7;
        }
    }

    /// A text with its length before it, as both formats write it.
    pub(super) fn text(&mut self) -> &'r [u8] {
        let from = self.at;
        let length = self.length();
        self.at += length;
        &self.rows[from..self.at]
    }
}
