//! In which order rows are sent: that of the table. The server looks whether they are in order; where they are not, it sorts
//! and moves every column of them, which costs it a fifth of an insert. Here only places of rows move.

use super::reader::{Cursor, fixed_width};
use crate::columns::Table;

/// Columns by which a table of ours is sorted, at most.
const KEYS: usize = 6;

/// What stands in a row up to the last column that it is sorted by.
#[derive(Debug)]
enum Step {
    Skip(usize),
    SkipText,
    /// Name of few values: number of the key.
    Text(usize),
    /// A number of so many bytes; so many of its units are one of the key's.
    Number {
        key: usize,
        width: usize,
        unit: i64,
    },
}

#[derive(Debug)]
pub(super) struct Order {
    steps: Vec<Step>,
}

impl Order {
    /// # Panics
    /// On a column that is neither name nor number.
    pub(super) fn new(table: Table) -> Self {
        let sorted_by = table.sorted_by();
        let mut steps = Vec::new();
        let mut left = sorted_by.len();
        for (name, written) in table.columns() {
            if left == 0 {
                break;
            }
            let is_text = matches!(*written, "String" | "LowCardinality(String)");
            let key = sorted_by.iter().position(|key| key.column() == *name);
            let step = match (key, is_text) {
                (Some(key), true) => Step::Text(key),
                (Some(key), false) => Step::Number {
                    key,
                    width: fixed_width(written),
                    unit: sorted_by[key].unit(),
                },
                (None, true) => Step::SkipText,
                (None, false) => Step::Skip(fixed_width(written)),
            };
            left -= usize::from(matches!(step, Step::Text(_) | Step::Number { .. }));
            steps.push(step);
        }
        Self { steps }
    }

    /// Where each row begins, the first first. `ends` are theirs.
    pub(super) fn starts(&self, rows: &[u8], ends: &[u32]) -> Vec<u32> {
        let mut names: Vec<&[u8]> = Vec::new();
        let begins = std::iter::once(0).chain(ends.iter().copied());
        let mut keyed: Vec<([i64; KEYS], u32)> = begins
            .take(ends.len())
            .map(|begin| (self.key(Cursor::at(rows, begin as usize), &mut names), begin))
            .collect();
        if self.steps.is_empty() {
            return keyed.into_iter().map(|(_, begin)| begin).collect();
        }
        let mut sorted: Vec<usize> = (0..names.len()).collect();
        sorted.sort_unstable_by_key(|name| names[*name]);
        let mut ranks = vec![0; names.len()];
        for (rank, name) in sorted.into_iter().enumerate() {
            ranks[name] = rank as i64;
        }
        for step in &self.steps {
            if let Step::Text(key) = step {
                keyed
                    .iter_mut()
                    .for_each(|(keys, _)| keys[*key] = ranks[keys[*key] as usize]);
            }
        }
        // Rows of a partition come in order, as a rule: this sort merges such runs.
        keyed.sort();
        keyed.into_iter().map(|(_, begin)| begin).collect()
    }

    /// Names as their numbers in `names`.
    fn key<'r>(&self, mut row: Cursor<'r>, names: &mut Vec<&'r [u8]>) -> [i64; KEYS] {
        let mut keys = [0; KEYS];
        for step in &self.steps {
            match *step {
                Step::Skip(width) => {
                    row.take(width);
                }
                Step::SkipText => {
                    row.text();
                }
                Step::Text(key) => {
                    let name = row.bare_text();
                    let known = names.iter().rposition(|known| *known == name);
                    keys[key] = known.unwrap_or_else(|| {
                        names.push(name);
                        names.len() - 1
                    }) as i64;
                }
                Step::Number { key, width, unit } => {
                    let mut bytes = [0; 8];
                    bytes[..width].copy_from_slice(row.take(width));
                    // Numbers of ours that may be negative lie in four or eight bytes.
                    let number = match width {
                        4 => i64::from(i64::from_le_bytes(bytes) as i32),
                        _ => i64::from_le_bytes(bytes),
                    };
                    // Towards zero, as the server's intDiv.
                    keys[key] = number / unit;
                }
            }
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::RowWriter;

    #[test]
    fn rows_stand_in_the_order_of_their_table() {
        // Topic, incarnation, partition, offset; what follows does not matter.
        let places = [
            ("b", 0, 0, 1),
            ("a", 0, 1, 5),
            ("a", 0, 0, 9),
            ("ab", 0, 0, 2),
            ("a", 1, 0, 0),
            ("a", 0, 0, 7),
            ("a", 0, -1, 7),
        ];
        let (mut rows, mut ends) = (Vec::new(), Vec::new());
        for (topic, incarnation, partition, offset) in places {
            let mut row = RowWriter::new(&mut rows);
            row.text(topic);
            row.u32(incarnation);
            row.i32(partition);
            row.i64(offset);
            row.u64(0);
            ends.push(rows.len() as u32);
        }
        let begins: Vec<u32> = std::iter::once(0).chain(ends.iter().copied()).collect();
        let due = [6, 5, 2, 1, 4, 3, 0].map(|row: usize| begins[row]);
        assert_eq!(Order::new(Table::RawRecords).starts(&rows, &ends), due);
        let as_they_are = Order::new(Table::Operations).starts(&rows, &ends);
        assert_eq!(as_they_are, begins[..places.len()]);
        assert!(Order::new(Table::Changes).starts(&[], &[]).is_empty());
    }

    #[test]
    fn changes_are_sorted_by_all_of_their_keys() {
        // Source, minute, topic, partition, offset, child: each decides where those before are equal, and of the minute its
        // hour.
        let keys = [
            ("azure.activity", 900, "b", 7, 9, 9),
            ("aws.cloudtrail", -200, "b", 7, 9, 9),
            // The hours around 1970 are one.
            ("aws.cloudtrail", 30, "a", 7, 9, 9),
            ("aws.cloudtrail", -30, "b", 7, 9, 9),
            ("aws.cloudtrail", 119, "a", 7, 9, 9),
            ("aws.cloudtrail", 100, "b", -1, 9, 9),
            ("aws.cloudtrail", 90, "b", 7, 5, 9),
            ("aws.cloudtrail", 80, "b", 7, 9, 0),
            ("aws.cloudtrail", 60, "b", 7, 9, 1),
        ];
        let (mut rows, mut ends) = (Vec::new(), Vec::new());
        for (source, minute, topic, partition, offset, child) in keys {
            let mut row = RowWriter::new(&mut rows);
            for (name, written) in Table::Changes.columns() {
                match *name {
                    "source" => row.text(source),
                    "event_time" => row.i64(minute * 60_000_000),
                    "topic" => row.text(topic),
                    "partition" => row.i32(partition),
                    "offset" => row.i64(offset),
                    "child" => row.i32(child),
                    _ if written.contains("String)") || *written == "String" => row.text("x"),
                    _ => (0..fixed_width(written)).for_each(|_| row.u8(3)),
                }
                if *name == "event_time" {
                    break;
                }
            }
            ends.push(rows.len() as u32);
        }
        let begins: Vec<u32> = std::iter::once(0).chain(ends.iter().copied()).collect();
        let due = [1, 2, 3, 4, 5, 6, 7, 8, 0].map(|row: usize| begins[row]);
        assert_eq!(Order::new(Table::Changes).starts(&rows, &ends), due);
    }

    #[test]
    fn keys_of_every_table_stand_in_its_rows() {
        for table in Table::ALL {
            let keys = table.sorted_by();
            assert!(keys.len() <= KEYS);
            for key in keys {
                let name = key.column();
                assert!(
                    table.columns().iter().any(|(column, _)| *column == name),
                    "{name}"
                );
            }
        }
    }
}
