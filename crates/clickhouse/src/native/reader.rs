use super::stream::{Place, Streams};

/// How one value is taken off a row, and to which streams it goes.
#[derive(Debug)]
pub(super) enum Reader {
    Fixed1(usize),
    Fixed2(usize),
    Fixed4(usize),
    Fixed8(usize),
    Fixed16(usize),
    Fixed32(usize),
    /// A text that is copied: most are short, and a look at each of them once more, a column at a time, would cost more.
    Text(usize),
    /// A text that may be long, and is left where it is.
    Long(usize),
    LowText(usize),
    LowFixed {
        width: usize,
        to: usize,
    },
    Nullable {
        nulls: usize,
        value: Box<Self>,
    },
    Array {
        ends: usize,
        item: Box<Self>,
    },
    Tuple(Vec<Self>),
}

impl Reader {
    /// For a column of this type, and where its streams are, in their order.
    ///
    /// # Panics
    /// On a type that no column of ours has: say here how wide it is.
    pub(super) fn new(written: &str, is_long: bool, streams: &mut Streams, places: &mut Vec<Place>) -> Self {
        let (name, arguments) = match written.split_once('(') {
            Some((name, rest)) => (name, rest.strip_suffix(')').unwrap_or(rest)),
            None => (written, ""),
        };
        match name {
            "String" if is_long => Self::Long(texts(streams, places)),
            "String" => Self::Text(bytes(streams, places)),
            "LowCardinality" => {
                streams.low.push(Default::default());
                let to = streams.low.len() - 1;
                places.push(Place::Low(to));
                match arguments {
                    "String" => Self::LowText(to),
                    _ => Self::LowFixed {
                        width: fixed_width(arguments),
                        to,
                    },
                }
            }
            "Nullable" => {
                let nulls = bytes(streams, places);
                Self::Nullable {
                    nulls,
                    value: Box::new(Self::new(arguments, is_long, streams, places)),
                }
            }
            // A map is an array of pairs, as it is stored.
            "Array" | "Map" => {
                let ends = bytes(streams, places);
                let item = if name == "Array" {
                    Self::new(arguments, is_long, streams, places)
                } else {
                    Self::tuple(arguments, is_long, streams, places)
                };
                Self::Array {
                    ends,
                    item: Box::new(item),
                }
            }
            "Tuple" => Self::tuple(arguments, is_long, streams, places),
            _ => {
                let to = bytes(streams, places);
                match fixed_width(written) {
                    1 => Self::Fixed1(to),
                    2 => Self::Fixed2(to),
                    4 => Self::Fixed4(to),
                    8 => Self::Fixed8(to),
                    16 => Self::Fixed16(to),
                    32 => Self::Fixed32(to),
                    width => panic!("nothing of ours is {width} bytes wide"),
                }
            }
        }
    }

    /// Fields of types without commas, each with or without its name.
    fn tuple(fields: &str, is_long: bool, streams: &mut Streams, places: &mut Vec<Place>) -> Self {
        let types = fields
            .split(", ")
            .map(|field| field.split_once(' ').map_or(field, |(_, written)| written));
        Self::Tuple(
            types
                .map(|written| Self::new(written, is_long, streams, places))
                .collect(),
        )
    }

    /// Most values are no more than a few moves: a call would cost more than they.
    #[inline(always)]
    pub(super) fn take(&self, from: &mut Cursor<'_>, streams: &mut Streams) {
        match self {
            Self::Fixed1(to) => from.copy::<1>(&mut streams.bytes[*to]),
            Self::Fixed2(to) => from.copy::<2>(&mut streams.bytes[*to]),
            Self::Fixed4(to) => from.copy::<4>(&mut streams.bytes[*to]),
            Self::Fixed8(to) => from.copy::<8>(&mut streams.bytes[*to]),
            Self::Fixed16(to) => from.copy::<16>(&mut streams.bytes[*to]),
            Self::Fixed32(to) => from.copy::<32>(&mut streams.bytes[*to]),
            Self::Text(to) => from.copy_text(&mut streams.bytes[*to]),
            Self::Long(to) => {
                let begin = u32::try_from(from.at).expect("a batch is far below 4 GiB");
                from.text();
                streams.texts[*to].push(begin);
            }
            Self::LowText(to) => streams.low[*to].push(from.text()),
            Self::LowFixed { width, to } => streams.low[*to].push(from.take(*width)),
            Self::Nullable { .. } | Self::Array { .. } | Self::Tuple(_) => self.take_apart(from, streams),
        }
    }

    /// A value made of values.
    fn take_apart(&self, from: &mut Cursor<'_>, streams: &mut Streams) {
        match self {
            Self::Nullable { nulls, value } => {
                let is_null = from.take(1);
                streams.bytes[*nulls].extend_from_slice(is_null);
                if is_null == [0] {
                    value.take(from, streams);
                } else {
                    value.default(streams);
                }
            }
            Self::Array { ends, item } => {
                let count = from.length();
                let bytes = &mut streams.bytes[*ends];
                let before = bytes.last_chunk().map_or(0, |last| u64::from_le_bytes(*last));
                bytes.extend_from_slice(&(before + count as u64).to_le_bytes());
                match item.fixed() {
                    Some((width, to)) => streams.bytes[to].extend_from_slice(from.take(count * width)),
                    None => (0..count).for_each(|_| item.take(from, streams)),
                }
            }
            Self::Tuple(fields) => fields.iter().for_each(|field| field.take(from, streams)),
            flat => flat.take(from, streams),
        }
    }

    /// Its width and where it goes, of one that is copied as it is.
    fn fixed(&self) -> Option<(usize, usize)> {
        Some(match self {
            Self::Fixed1(to) => (1, *to),
            Self::Fixed2(to) => (2, *to),
            Self::Fixed4(to) => (4, *to),
            Self::Fixed8(to) => (8, *to),
            Self::Fixed16(to) => (16, *to),
            Self::Fixed32(to) => (32, *to),
            _ => return None,
        })
    }

    /// What stands in the place of a null.
    fn default(&self, streams: &mut Streams) {
        let (width, to) = match self {
            // An empty text is its length alone.
            Self::Text(to) => (1, *to),
            Self::Long(to) => return streams.texts[*to].push(Streams::NOTHING),
            fixed => fixed
                .fixed()
                .expect("no column of ours is a Nullable of something made of values"),
        };
        streams.bytes[to].extend_from_slice(&[0; 32][..width]);
    }
}

fn bytes(streams: &mut Streams, places: &mut Vec<Place>) -> usize {
    streams.bytes.push(Vec::new());
    places.push(Place::Bytes(streams.bytes.len() - 1));
    streams.bytes.len() - 1
}

fn texts(streams: &mut Streams, places: &mut Vec<Place>) -> usize {
    streams.texts.push(Vec::new());
    places.push(Place::Texts(streams.texts.len() - 1));
    streams.texts.len() - 1
}

/// Bytes of a value of a type that has always as many.
pub(super) fn fixed_width(written: &str) -> usize {
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

/// Where the next value of the rows begins.
#[derive(Debug)]
pub(super) struct Cursor<'r> {
    rows: &'r [u8],
    at: usize,
}

impl<'r> Cursor<'r> {
    pub(super) fn at(rows: &'r [u8], at: usize) -> Self {
        Self { rows, at }
    }

    pub(super) fn is_done(&self) -> bool {
        self.at == self.rows.len()
    }

    pub(super) fn take(&mut self, count: usize) -> &'r [u8] {
        let from = self.at;
        self.at += count;
        &self.rows[from..self.at]
    }

    /// Of a length that the compiler knows a copy is a move, not a call.
    fn copy<const WIDTH: usize>(&mut self, to: &mut Vec<u8>) {
        let value: &[u8; WIDTH] = self.rows[self.at..].first_chunk().expect("a whole row");
        self.at += WIDTH;
        to.extend_from_slice(value);
    }

    fn copy_text(&mut self, to: &mut Vec<u8>) {
        // A short one with what happens to stand behind it, which is let go of.
        if let Some(head) = self.rows[self.at..].first_chunk::<SHORT>()
            && usize::from(head[0]) < SHORT
        {
            let length = usize::from(head[0]) + 1;
            self.at += length;
            let end = to.len() + length;
            to.extend_from_slice(head);
            to.truncate(end);
            return;
        }
        to.extend_from_slice(self.text());
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

    /// A text without its length.
    pub(super) fn bare_text(&mut self) -> &'r [u8] {
        let length = self.length();
        self.take(length)
    }

    /// A text with its length before it, as both formats write it.
    pub(super) fn text(&mut self) -> &'r [u8] {
        let from = self.at;
        let length = self.length();
        self.at += length;
        &self.rows[from..self.at]
    }
}

/// Bytes that are copied at once, the length included.
const SHORT: usize = 32;
