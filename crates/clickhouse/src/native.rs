//! Rows turned into columns: one block in ClickHouse's Native format.
//!
//! A batch holds rows, because halves of it, single rows and another `attempt` are cut from it, and those are cheap on
//! rows. The server takes columns for a fraction of what rows cost it: it reads a column as it is, and one of
//! `LowCardinality` as numbers into a dictionary that was made here.
//!
//! Layout: <https://clickhouse.com/docs/interfaces/specs/NativeFormat>. A column is its name, its type, then its
//! streams: nulls before values, where arrays end before what is in them, a dictionary before numbers that point into it.

mod dictionary;
mod order;
mod reader;
mod stream;

use std::iter::once;
use std::slice::from_mut;

use order::Order;
use reader::{Cursor, Reader};
use stream::{Place, Streams};

use crate::columns::Table;

/// Rows that are taken apart together: they stay in the processor's cache until their last column is taken.
const ROWS: usize = 64;

/// The columns of one table. Buffers are kept from block to block: fresh large ones would cost page faults.
#[derive(Debug)]
pub(crate) struct Block {
    table: Table,
    /// How many columns and rows.
    head: Vec<u8>,
    order: Order,
    /// One for each column.
    readers: Vec<Reader>,
    columns: Vec<Column>,
    streams: Streams,
}

/// What is sent of one column.
#[derive(Debug)]
struct Column {
    /// Name, type, and for each dictionary in it the version of its layout.
    head: Vec<u8>,
    places: Vec<Place>,
}

impl Block {
    /// Without rows.
    pub(crate) fn new(table: Table) -> Self {
        let mut streams = Streams::default();
        let (mut readers, mut columns) = (Vec::new(), Vec::new());
        for (name, written) in table.columns() {
            let mut places = Vec::new();
            let is_long = table.byte_columns().contains(name);
            readers.push(Reader::new(written, is_long, &mut streams, &mut places));
            let mut head = Vec::new();
            for text in [name, written] {
                leb128(text.len(), &mut head);
                head.extend_from_slice(text.as_bytes());
            }
            for _ in places.iter().filter(|place| matches!(place, Place::Low(_))) {
                head.extend_from_slice(&dictionary::LAYOUT);
            }
            columns.push(Column { head, places });
        }
        Self {
            table,
            head: Vec::new(),
            order: Order::new(table),
            readers,
            columns,
            streams,
        }
    }

    pub(crate) fn table(&self) -> Table {
        self.table
    }

    /// Takes these rows in place of those before: in the order of the table where it is told where each ends, else as they
    /// are.
    ///
    /// # Panics
    /// On bytes that are no whole rows of the table: [`crate::RowBinary`] wrote them.
    pub(crate) fn fill(&mut self, rows: &[u8], ends: &[u32]) {
        self.streams.clear();
        let mut count = ends.len();
        if ends.is_empty() {
            let mut row = Cursor::at(rows, 0);
            while !row.is_done() {
                self.take(from_mut(&mut row));
                count += 1;
            }
        } else {
            let starts = self.order.starts(rows, ends);
            for starts in starts.chunks(ROWS) {
                let mut rows: Vec<_> = starts
                    .iter()
                    .map(|start| Cursor::at(rows, *start as usize))
                    .collect();
                self.take(&mut rows);
            }
        }
        self.streams.finish();
        self.head.clear();
        leb128(self.columns.len(), &mut self.head);
        leb128(count, &mut self.head);
    }

    fn take(&mut self, rows: &mut [Cursor<'_>]) {
        for reader in &self.readers {
            reader.take(rows, &mut self.streams);
        }
    }

    /// The block as it is sent, in pieces. `rows` are those that it was filled with.
    pub(crate) fn pieces<'b>(&'b self, rows: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
        let columns = self.columns.iter().flat_map(move |column| {
            let places = column.places.iter();
            let streams = places.flat_map(move |place| self.streams.pieces(*place, rows));
            once(column.head.as_slice()).chain(streams)
        });
        once(self.head.as_slice()).chain(columns)
    }
}

fn leb128(length: usize, out: &mut Vec<u8>) {
    crate::encode::RowWriter::new(out).length(length);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::RowWriter;

    fn block(table: Table, rows: &[u8]) -> Vec<u8> {
        let mut block = Block::new(table);
        // What is left of rows before must not show.
        block.fill(rows, &[]);
        block.fill(rows, &[]);
        block.pieces(rows).flatten().copied().collect()
    }

    #[test]
    fn rows_become_columns() {
        let mut rows = Vec::new();
        let mut to = RowWriter::new(&mut rows);
        for (kind, partition, details) in [("start", 1, &[("a", "x"), ("b", "")][..]), ("stop", 2, &[])] {
            to.i64(7);
            for text in [kind, "who", "", "topic"] {
                to.text(text);
            }
            to.u32(0);
            to.i32(partition);
            to.i64(3);
            to.i64(4);
            to.length(details.len());
            for (name, value) in details {
                to.text(name);
                to.text(value);
            }
        }
        let sent = block(Table::Operations, &rows);
        let mut due = vec![10, 2];
        let mut column = |name: &str, ty: &str, streams: &[&[u8]]| {
            let mut to = RowWriter::new(&mut due);
            to.text(name);
            to.text(ty);
            streams.iter().for_each(|stream| due.extend_from_slice(stream));
        };
        let version = 1_u64.to_le_bytes();
        let low = |keys: &[u8], count: u64, indexes: &[u8]| {
            let mut stream = 0x600_u64.to_le_bytes().to_vec();
            stream.extend(count.to_le_bytes());
            stream.extend(keys);
            stream.extend((indexes.len() as u64).to_le_bytes());
            stream.extend(indexes);
            stream
        };
        let numbers = |numbers: [i64; 2]| numbers.map(i64::to_le_bytes).concat();
        let time = "DateTime64(6, 'UTC')";
        let text = "LowCardinality(String)";
        column("time", time, &[&numbers([7, 7])]);
        column("kind", text, &[&version, &low(b"\x05start\x04stop", 2, &[0, 1])]);
        column("who", "String", &[b"\x03who\x03who"]);
        column("why", "String", &[&[0, 0]]);
        column("topic", text, &[&version, &low(b"\x05topic", 1, &[0, 0])]);
        column("incarnation", "UInt32", &[&[0; 8]]);
        column("partition", "Int32", &[&[1, 0, 0, 0, 2, 0, 0, 0]]);
        column("offset_from", "Int64", &[&numbers([3, 3])]);
        column("offset_to", "Int64", &[&numbers([4, 4])]);
        column(
            "details",
            "Map(LowCardinality(String), String)",
            &[
                &version,
                &numbers([2, 2]),
                &low(b"\x01a\x01b", 2, &[0, 1]),
                b"\x01x\x00",
            ],
        );
        assert_eq!(sent, due);
    }

    #[test]
    fn every_table_has_readers_for_its_columns() {
        for table in Table::ALL {
            let none = block(table, &[]);
            assert_eq!(usize::from(none[0]), table.columns().len(), "{}", table.name());
        }
    }
}
