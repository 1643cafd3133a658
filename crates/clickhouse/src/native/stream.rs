use std::ops::Range;

use super::dictionary::Dictionary;

/// Values of one kind behind each other.
#[derive(Debug)]
pub(super) enum Stream {
    Bytes(Vec<u8>),
    /// Texts that stay where they are in the rows.
    Lent(Vec<Range<usize>>),
    Low(Dictionary),
}

impl Stream {
    /// In place of a lent text: a text of no bytes. One in the rows has at least a length.
    pub(super) const NOTHING: Range<usize> = 0..0;

    pub(super) fn clear(&mut self) {
        match self {
            Self::Bytes(bytes) => bytes.clear(),
            Self::Lent(texts) => texts.clear(),
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
        let (whole, texts): ([&[u8]; 3], &[Range<usize>]) = match self {
            Self::Bytes(bytes) => ([bytes, &[], &[]], &[]),
            Self::Lent(texts) => ([&[]; 3], texts),
            Self::Low(dictionary) => (dictionary.pieces(), &[]),
        };
        whole
            .into_iter()
            .filter(|piece| !piece.is_empty())
            .chain(texts.iter().map(|text| match &rows[text.clone()] {
                [] => &[0],
                text => text,
            }))
    }
}
