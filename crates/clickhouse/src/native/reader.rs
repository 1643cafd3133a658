use std::mem::take;
use std::slice::from_mut;

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

    /// Takes the next value off each row: one column after another, so that it is asked once for many values what they are.
    pub(super) fn take(&self, rows: &mut [Cursor<'_>], streams: &mut Streams) {
        match self {
            Self::Fixed1(to) => copy::<1>(rows, &mut streams.bytes[*to]),
            Self::Fixed2(to) => copy::<2>(rows, &mut streams.bytes[*to]),
            Self::Fixed4(to) => copy::<4>(rows, &mut streams.bytes[*to]),
            Self::Fixed8(to) => copy::<8>(rows, &mut streams.bytes[*to]),
            Self::Fixed16(to) => copy::<16>(rows, &mut streams.bytes[*to]),
            Self::Fixed32(to) => copy::<32>(rows, &mut streams.bytes[*to]),
            Self::Text(to) => {
                let to = &mut streams.bytes[*to];
                rows.iter_mut().for_each(|row| row.copy_text(to));
            }
            Self::Long(to) => {
                let to = &mut streams.texts[*to];
                for row in rows {
                    to.push(u32::try_from(row.at).expect("a batch is far below 4 GiB"));
                    row.text();
                }
            }
            Self::LowText(to) => {
                let to = &mut streams.low[*to];
                rows.iter_mut().for_each(|row| to.push(row.text()));
            }
            Self::LowFixed { width, to } => {
                let to = &mut streams.low[*to];
                rows.iter_mut().for_each(|row| to.push(row.take(*width)));
            }
            Self::Nullable { nulls, value } => {
                let mut flags = take(&mut streams.bytes[*nulls]);
                let from = flags.len();
                copy::<1>(rows, &mut flags);
                value.take_some(rows, &flags[from..], streams);
                streams.bytes[*nulls] = flags;
            }
            Self::Array { ends, item } => {
                let mut written = take(&mut streams.bytes[*ends]);
                let from = written.len();
                let mut end = written.last_chunk().map_or(0, |last| u64::from_le_bytes(*last));
                written.resize(from + 8 * rows.len(), 0);
                let (slots, _) = written[from..].as_chunks_mut();
                for (row, slot) in rows.iter_mut().zip(slots) {
                    let count = row.length();
                    end += count as u64;
                    *slot = end.to_le_bytes();
                    match item.fixed() {
                        _ if count == 0 => {}
                        Some((width, to)) => streams.bytes[to].extend_from_slice(row.take(count * width)),
                        None => (0..count).for_each(|_| item.take_one(row, streams)),
                    }
                }
                streams.bytes[*ends] = written;
            }
            // Its fields stand side by side in a row, so that they are columns like others.
            Self::Tuple(fields) => fields.iter().for_each(|field| field.take(rows, streams)),
        }
    }

    /// Takes the next value off one row: an array has too few for a column at a time to pay.
    #[inline]
    fn take_one(&self, row: &mut Cursor<'_>, streams: &mut Streams) {
        match self {
            Self::Tuple(fields) => fields.iter().for_each(|field| field.take_leaf(row, streams)),
            leaf => leaf.take_leaf(row, streams),
        }
    }

    #[inline(always)]
    fn take_leaf(&self, row: &mut Cursor<'_>, streams: &mut Streams) {
        match self {
            Self::Text(to) => row.copy_text(&mut streams.bytes[*to]),
            Self::LowText(to) => streams.low[*to].push(row.text()),
            Self::Fixed4(to) => streams.bytes[*to].extend_from_slice(row.take(4)),
            other => other.take(from_mut(row), streams),
        }
    }

    /// Takes the next value off each row that has one, and what stands for a null for the others.
    fn take_some(&self, rows: &mut [Cursor<'_>], nulls: &[u8], streams: &mut Streams) {
        if nulls.iter().all(|null| *null != 0) {
            return self.nothing(rows.len(), streams);
        }
        for (row, null) in rows.iter_mut().zip(nulls) {
            if *null == 0 {
                self.take(from_mut(row), streams);
            } else {
                self.nothing(1, streams);
            }
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

    /// What stands in the place of so many nulls.
    fn nothing(&self, count: usize, streams: &mut Streams) {
        let (width, to) = match self {
            // An empty text is its length alone.
            Self::Text(to) => (1, *to),
            Self::Long(to) => {
                let to = &mut streams.texts[*to];
                return to.resize(to.len() + count, Streams::NOTHING);
            }
            fixed => fixed
                .fixed()
                .expect("no column of ours is a Nullable of something made of values"),
        };
        let to = &mut streams.bytes[to];
        to.resize(to.len() + count * width, 0);
    }
}

/// Of a length that the compiler knows a copy is a move, not a call.
fn copy<const WIDTH: usize>(rows: &mut [Cursor<'_>], to: &mut Vec<u8>) {
    let from = to.len();
    to.resize(from + rows.len() * WIDTH, 0);
    let (values, _) = to[from..].as_chunks_mut::<WIDTH>();
    for (row, value) in rows.iter_mut().zip(values) {
        *value = *row.rows[row.at..].first_chunk().expect("a whole row");
        row.at += WIDTH;
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

    #[inline(always)]
    fn copy_text(&mut self, to: &mut Vec<u8>) {
        // Many are empty.
        if self.rows[self.at] == 0 {
            self.at += 1;
            return to.push(0);
        }
        self.copy_some(to);
    }

    fn copy_some(&mut self, to: &mut Vec<u8>) {
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

    /// LEB128, most of a single byte.
    #[inline(always)]
    fn length(&mut self) -> usize {
        let byte = self.rows[self.at];
        self.at += 1;
        if byte < 0x80 {
            return usize::from(byte);
        }
        self.length_after(byte)
    }

    #[inline(never)]
    fn length_after(&mut self, first: u8) -> usize {
        let (mut length, mut shift) = (usize::from(first & 0x7f), 7);
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
