//! RowBinary, the parts of it that our columns need: little-endian numbers, lengths as LEB128.

use std::net::Ipv6Addr;

use changegate_types::{Digest, Keyed128, TimeMicros};

/// Writes values behind each other into the caller's buffer.
pub(crate) struct RowWriter<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> RowWriter<'o> {
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Bytes in the buffer.
    pub(crate) fn written(&self) -> usize {
        self.out.len()
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.out.push(u8::from(value));
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn f32(&mut self, value: f32) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn time(&mut self, value: TimeMicros) {
        self.i64(value.0);
    }

    /// `FixedString(16)`, the most significant byte first, so that `hex()` prints what `Display` prints.
    pub(crate) fn uid(&mut self, value: Keyed128) {
        self.out.extend_from_slice(&value.0.to_be_bytes());
    }

    pub(crate) fn digest(&mut self, value: &Digest) {
        self.out.extend_from_slice(&value.0);
    }

    #[inline(always)]
    pub(crate) fn length(&mut self, length: usize) {
        if length < 0x80 {
            self.out.push(length as u8);
        } else {
            self.long_length(length);
        }
    }

    #[inline(never)]
    fn long_length(&mut self, length: usize) {
        let mut rest = length;
        while rest >= 0x80 {
            self.out.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.out.push(rest as u8);
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.length(value.len());
        // Many are empty.
        if !value.is_empty() {
            self.out.extend_from_slice(value);
        }
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    pub(crate) fn texts<'a>(&mut self, values: impl ExactSizeIterator<Item = &'a str>) {
        self.length(values.len());
        values.for_each(|value| self.text(value));
    }

    pub(crate) fn u16s(&mut self, values: &[u16]) {
        self.length(values.len());
        let from = self.out.len();
        self.out.resize(from + 2 * values.len(), 0);
        let (slots, _) = self.out[from..].as_chunks_mut();
        for (value, slot) in values.iter().zip(slots) {
            *slot = value.to_le_bytes();
        }
    }

    /// `Nullable`: one byte, then the value where there is one.
    pub(crate) fn nullable<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.bool(value.is_none());
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(crate) fn ip(&mut self, value: Ipv6Addr) {
        self.out.extend_from_slice(&value.octets());
    }

    /// `Map(String, UInt32)` of those counts that are not 0.
    pub(crate) fn counts<'a>(&mut self, counts: impl Iterator<Item = (&'a str, u32)> + Clone) {
        let some = counts.filter(|(_, count)| *count > 0);
        self.length(some.clone().count());
        for (name, count) in some {
            self.text(name);
            self.u32(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut RowWriter<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut RowWriter::new(&mut out));
        out
    }

    #[test]
    fn lengths_are_leb128() {
        assert_eq!(written(|row| row.length(0)), [0]);
        assert_eq!(written(|row| row.length(127)), [127]);
        assert_eq!(written(|row| row.length(128)), [0x80, 1]);
        assert_eq!(written(|row| row.length(300)), [0xac, 2]);
        assert_eq!(written(|row| row.length(1 << 21)), [0x80, 0x80, 0x80, 1]);
    }

    #[test]
    fn nothing_is_one_byte_and_uids_read_as_they_print() {
        assert_eq!(written(|row| row.nullable(None::<u8>, RowWriter::u8)), [1]);
        assert_eq!(written(|row| row.nullable(Some(7), RowWriter::u8)), [0, 7]);
        assert_eq!(written(|row| row.uid(Keyed128(0x0102)))[14..], [1, 2]);
        assert_eq!(
            written(|row| row.counts([("a", 0), ("b", 2)].into_iter())),
            [1, 1, b'b', 2, 0, 0, 0]
        );
    }
}
