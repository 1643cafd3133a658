use super::dictionary::Dictionary;
use super::reader::Cursor;

/// Values of one kind behind each other.
#[derive(Debug)]
pub(super) enum Stream {
    Bytes(Vec<u8>),
    /// Texts stay where they are in the rows: here is where each begins.
    Texts(Vec<u32>),
    Low(Dictionary),
}

impl Stream {
    /// In place of where a text begins: there is none, and an empty one is sent.
    pub(super) const NOTHING: u32 = u32::MAX;

    pub(super) fn clear(&mut self) {
        match self {
            Self::Bytes(bytes) => bytes.clear(),
            Self::Texts(begins) => begins.clear(),
            Self::Low(dictionary) => dictionary.clear(),
        }
    }

    /// No more values come.
    pub(super) fn finish(&mut self) {
        if let Self::Low(dictionary) = self {
            dictionary.finish();
        }
    }

    /// What is sent, in its order.
    pub(super) fn pieces<'b>(&'b self, rows: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
        let (whole, texts): ([&[u8]; 3], &[u32]) = match self {
            Self::Bytes(bytes) => ([bytes, &[], &[]], &[]),
            Self::Texts(begins) => ([&[]; 3], begins),
            Self::Low(dictionary) => (dictionary.pieces(), &[]),
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
