//! What a row sends: its request, its decision.

use changegate_approval::StoredChange;
use changegate_types::RawRecord;

use super::Judge;
use crate::batch::{Batch, RowMessage};
use crate::outgoing::{Kind, Outgoing, header, traceparent};

impl<N, S, E> Judge<N, S, E> {
    /// Adds the messages of a row, so that they can be withdrawn with it.
    /// `child`: within the record that is read.
    pub(super) fn announce(
        &self,
        row: &StoredChange,
        part: u32,
        record: &RawRecord<'_>,
        child: u32,
        batch: &mut Batch,
    ) {
        let messages = [self.request(row, record), self.published(row, record)];
        for message in messages.into_iter().flatten() {
            batch.row_messages.push(RowMessage {
                asks: (message.kind == Kind::Request).then_some(row.change_uid),
                part,
                offset: record.position.offset,
                child,
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
            time: None,
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
            time: None,
        })
    }
}

/// Where the record has no trace, who sends may add one of the run.
fn with_trace(own: Vec<(String, String)>, record: &RawRecord<'_>) -> Vec<(String, Vec<u8>)> {
    let trace = traceparent(record).map(|text| (header::TRACEPARENT.to_owned(), text.as_bytes().to_vec()));
    let own = own.into_iter().map(|(name, value)| (name, value.into_bytes()));
    own.chain(trace).collect()
}
