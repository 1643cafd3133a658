//! What a row sends: its request, its decision.

use changegate_approval::StoredChange;
use changegate_types::RawRecord;

use super::Judge;
use crate::batch::{Batch, RowMessage};
use crate::outgoing::{Kind, Outgoing, header};

impl<N, S, E> Judge<N, S, E> {
    /// Adds the messages of a row, so that they can be withdrawn with it.
    pub(super) fn announce(&self, row: &StoredChange, part: u32, record: &RawRecord<'_>, batch: &mut Batch) {
        let messages = [self.request(row, record), self.published(row, record)];
        for message in messages.into_iter().flatten() {
            batch.row_messages.push(RowMessage {
                asks: (message.kind == Kind::Request).then_some(row.change_uid),
                part,
                offset: record.position.offset,
                child: row.child,
                message: batch.outgoing.len() as u32,
            });
            batch.outgoing.push(message);
        }
    }

    pub(super) fn request(&self, row: &StoredChange, record: &RawRecord<'_>) -> Option<Outgoing> {
        let request = row.request()?;
        Some(Outgoing {
            kind: Kind::Request,
            topic: self.rules.approval_topic.clone(),
            key: Some(request.request_id.to_string().into_bytes()),
            headers: with_trace(request.headers, record),
            value: Some(request.body),
        })
    }

    /// The decision of a row, where decisions are published.
    pub(super) fn published(&self, row: &StoredChange, record: &RawRecord<'_>) -> Option<Outgoing> {
        let topic = self.rules.decision_topic.as_ref()?;
        let decision = row.published_decision()?;
        Some(Outgoing {
            kind: Kind::Decision,
            topic: topic.clone(),
            key: Some(decision.change_uid.to_string().into_bytes()),
            headers: with_trace(decision.headers, record),
            value: Some(decision.body),
        })
    }
}

/// The trace of the record goes on in its messages: of the record and not of this run, so that a repeat has the same
/// header. Where the record has none, who sends may add one of the run.
fn with_trace(own: Vec<(String, String)>, record: &RawRecord<'_>) -> Vec<(String, Vec<u8>)> {
    let trace = record
        .header(header::TRACEPARENT)
        .filter(|text| is_traceparent(text));
    let trace = trace.map(|text| (header::TRACEPARENT.to_owned(), text.as_bytes().to_vec()));
    let own = own.into_iter().map(|(name, value)| (name, value.into_bytes()));
    own.chain(trace).collect()
}

/// The header is foreign text: only what has the shape of a trace context is passed on.
fn is_traceparent(text: &str) -> bool {
    text.len() == 55
        && text.bytes().enumerate().all(|(at, byte)| match at {
            2 | 35 | 52 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}
