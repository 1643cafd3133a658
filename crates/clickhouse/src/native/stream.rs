use super::dictionary::Dictionary;
use super::reader::Cursor;

/// Values of all columns of a block, each kind of stream in a list of its own: nobody asks of each value what it is.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) bytes: Vec<Vec<u8>>,
    /// Long texts stay where they are in the rows: here is where each begins.
    pub(super) texts: Vec<Vec<u32>>,
    pub(super) low: Vec<Dictionary>,
}

/// Where a stream is in them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Bytes(usize),
    Texts(usize),
    Low(usize),
}

impl Streams {
    /// In place of where a text begins: there is none, and an empty one is sent.
    pub(super) const NOTHING: u32 = u32::MAX;

    pub(super) fn clear(&mut self) {
        self.bytes.iter_mut().for_each(Vec::clear);
        self.texts.iter_mut().for_each(Vec::clear);
        self.low.iter_mut().for_each(Dictionary::clear);
    }

    /// No more values come.
    pub(super) fn finish(&mut self) {
        self.low.iter_mut().for_each(Dictionary::finish);
    }

    /// What is sent of one of them, in its order.
    pub(super) fn pieces<'b>(&'b self, place: Place, rows: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
        let (whole, texts): ([&[u8]; 3], &[u32]) = match place {
            Place::Bytes(at) => ([&self.bytes[at], &[], &[]], &[]),
            Place::Texts(at) => ([&[]; 3], &self.texts[at]),
            Place::Low(at) => (self.low[at].pieces(), &[]),
        };
        whole
            .into_iter()
            .filter(|piece| !piece.is_empty())
            .chain(texts.iter().map(|begin| match *begin {
                Self::NOTHING => &[0],
                begin => Cursor::at(rows, begin as usize).text(),
            }))
    }
}
