//! The piece of a batch that one insert carries, and the token by which the ledger knows it again.

use std::collections::HashSet;
use std::time::Duration;

use changegate_types::Digest;
use sha2::{Digest as _, Sha256};

use crate::batch::{NONE, Portion};
use crate::desk::InsertAsk;
use crate::ledger::{BatchId, QueryId, Table};
use crate::part::Part;

/// Rows of one table and month, and how often they were sent.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) portion: usize,
    pub(super) table: Table,
    pub(super) rows: RowSet,
    pub(super) part: u32,
    pub(super) attempt: u8,
    pub(super) salt: u8,
    pub(super) send: u32,
    /// Sends since the last kill.
    pub(super) round: u32,
    /// An answer was lost: the acknowledgement of a later send proves nothing.
    pub(super) doubtful: bool,
    /// The last send was acknowledged.
    pub(super) acknowledged: bool,
}

#[derive(Clone, Debug)]
pub(super) enum RowSet {
    Range(usize, usize),
    List(Vec<usize>),
}

impl RowSet {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Range(from, to) => to - from,
            Self::List(rows) => rows.len(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        let (range, list) = match self {
            Self::Range(from, to) => (*from..*to, [].as_slice()),
            Self::List(rows) => (0..0, rows.as_slice()),
        };
        range.chain(list.iter().copied())
    }

    pub(super) fn split(&self, at: usize) -> (Self, Self) {
        match self {
            Self::Range(from, to) => (Self::Range(*from, from + at), Self::Range(from + at, *to)),
            Self::List(rows) => (Self::List(rows[..at].to_vec()), Self::List(rows[at..].to_vec())),
        }
    }
}

impl Piece {
    pub(super) fn new(portion: usize, table: Table, rows: RowSet, part: u32) -> Self {
        Self {
            portion,
            table,
            rows,
            part,
            attempt: 1,
            salt: 0,
            send: 0,
            round: 0,
            doubtful: false,
            acknowledged: false,
        }
    }
}

/// A record with a refused child has no completion row before the child is dead-lettered.
pub(super) fn exclude(piece: &mut Piece, excluded: &HashSet<(usize, u32)>, portion: &Portion) {
    if piece.table != Table::RawRecords || excluded.is_empty() || piece.send > 0 {
        return;
    }
    let marks = &portion.rows(piece.table).marks;
    let kept: Vec<usize> = piece
        .rows
        .iter()
        .filter(|row| !excluded.contains(&(piece.portion, marks[*row].record)))
        .collect();
    if kept.len() < piece.rows.len() {
        piece.rows = RowSet::List(kept);
    }
}

/// The insert of a piece. A whole range lends its bytes to it: they come back with the answer.
pub(super) fn insert(
    batch: BatchId,
    piece: &Piece,
    portion: &mut Portion,
    parts: &[Part],
    deadline: Duration,
) -> InsertAsk {
    if piece.table == Table::Superseded {
        // A copy is named by its stamp, which a second attempt has changed.
        let stamps: Vec<(usize, u8)> = {
            let changes = portion.rows(Table::Changes);
            let rows = portion.rows(Table::Superseded);
            let copies = rows.marks.iter().filter(|mark| mark.copy != NONE);
            copies
                .map(|mark| {
                    (
                        mark.attempt_at,
                        changes.bytes[changes.marks[mark.copy as usize].attempt_at],
                    )
                })
                .collect()
        };
        let rows = portion.rows_mut(Table::Superseded);
        stamps
            .into_iter()
            .for_each(|(at, attempt)| rows.bytes[at] = attempt);
    }
    let token = token(batch, piece, portion, parts);
    let month = portion.month;
    let rows = portion.rows_mut(piece.table);
    let mut end = 0;
    let ends = piece.rows.iter().map(|row| {
        end += rows.marks[row].end - rows.start(row);
        u32::try_from(end).expect("a batch is far below 4 GiB")
    });
    let ends = ends.collect();
    let (bytes, range) = match &piece.rows {
        RowSet::Range(from, to) => {
            let range = rows.start(*from)..rows.start(*to);
            (std::mem::take(&mut rows.bytes), range)
        }
        RowSet::List(list) => {
            let mut bytes = Vec::new();
            for row in list {
                bytes.extend_from_slice(&rows.bytes[rows.start(*row)..rows.marks[*row].end]);
            }
            let range = 0..bytes.len();
            (bytes, range)
        }
    };
    InsertAsk {
        table: piece.table,
        query_id: QueryId {
            batch,
            table: piece.table,
            part: piece.part,
            attempt: piece.attempt,
            send: piece.send,
        },
        token,
        month,
        bytes,
        range,
        ends,
        count: piece.rows.len() as u32,
        deadline,
    }
}

/// Over batch, table, positions and raw hashes: whoever sends the same rows again has the same token.
///
/// Another batch has another one, though it writes the same positions. Its rows may say other things, and were an insert
/// of a dead batch that lands late taken for it, its own rows would not be there while what they ask is sent.
///
/// The rows are folded by multiplication into two lanes and only the lanes go through SHA-256, because hashing 50 bytes
/// a row would cost more than encoding it. Offsets rise within a partition, so two sets of rows differ in what is
/// folded, and raw hashes are SHA-256 already.
fn token(batch: BatchId, piece: &Piece, portion: &Portion, parts: &[Part]) -> Digest {
    let marks = &portion.rows(piece.table).marks;
    let (mut a, mut b) = (0x243f_6a88_85a3_08d3_u64, 0x1319_8a2e_0370_7344_u64);
    let mut hasher = Sha256::new();
    let mut last_part = None;
    for row in piece.rows.iter() {
        let mark = marks[row];
        let record = &portion.records[mark.record as usize];
        if last_part != Some(record.part) {
            last_part = Some(record.part);
            let part = &parts[record.part as usize];
            hasher.update(part.partition.topic.as_bytes());
            hasher.update([0]);
            hasher.update(part.incarnation.to_be_bytes());
            hasher.update(part.partition.partition.to_be_bytes());
        }
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&record.raw_hash.0[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        a = (a ^ record.offset as u64 ^ word(0))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
            ^ word(16);
        b = (b ^ mark.child as u64 ^ word(8))
            .wrapping_mul(0xd134_2543_de82_ef95)
            .rotate_left(31)
            ^ word(24).wrapping_add(record.offset as u64);
    }
    hasher.update(batch.0.to_be_bytes());
    hasher.update(piece.table.name().as_bytes());
    hasher.update([piece.salt]);
    hasher.update(portion.month.to_be_bytes());
    hasher.update((piece.rows.len() as u64).to_be_bytes());
    hasher.update(a.to_be_bytes());
    hasher.update(b.to_be_bytes());
    Digest(hasher.finalize().into())
}
