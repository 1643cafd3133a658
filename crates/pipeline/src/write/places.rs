//! Where the rows of a piece stand, so that they can be read back.

use super::piece::Piece;
use crate::batch::{Batch, NONE};
use crate::desk::Place;
use crate::ledger::Table;
use crate::part::Part;

/// Which rows a place is for: those of a partition, or those of a replayed record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Part(u32),
    Replay(u32),
}

/// Rows of `changes` (and copies among them) of a replayed record stand at the original position.
pub(super) fn stands_elsewhere(table: Table, replay: u32) -> bool {
    replay != NONE && matches!(table, Table::Changes | Table::Superseded)
}

/// Where the rows of a piece stand: one span per partition, and one per replayed record.
pub(super) fn places(piece: &Piece, batch: &Batch, parts: &[Part]) -> Vec<(Key, Place)> {
    let portion = &batch.portions()[piece.portion];
    let marks = &portion.rows(piece.table).marks;
    let mut places: Vec<(Key, Place)> = Vec::new();
    for row in piece.rows.iter() {
        let record = &portion.records[marks[row].record as usize];
        if stands_elsewhere(piece.table, record.replay) {
            let key = Key::Replay(record.replay);
            if !places.iter().any(|(other, _)| *other == key) {
                let place = &batch.replays[record.replay as usize];
                places.push((
                    key,
                    Place {
                        topic: place.topic.clone(),
                        incarnation: place.incarnation,
                        partition: place.partition,
                        from: place.offset,
                        to: place.offset + 1,
                    },
                ));
            }
            continue;
        }
        let key = Key::Part(record.part);
        match places.iter_mut().find(|(other, _)| *other == key) {
            Some((_, place)) => {
                place.from = place.from.min(record.offset);
                place.to = place.to.max(record.offset + 1);
            }
            None => {
                let part = &parts[record.part as usize];
                places.push((
                    key,
                    Place {
                        topic: part.partition.topic.clone(),
                        incarnation: part.incarnation,
                        partition: part.partition.partition,
                        from: record.offset,
                        to: record.offset + 1,
                    },
                ));
            }
        }
    }
    places
}
