//! A worker's desk and outbox as they are, with what goes through them counted, timed and traced.

use std::time::Duration;

use changegate_pipeline::desk::{Answer, Ask, Desk};
use changegate_pipeline::ledger::{Class, Error, Table};
use changegate_pipeline::outgoing::{Outbox, Outgoing, SendError, header};
use changegate_telemetry::{
    Clock as _, Counter, Histogram, Metric, Metrics, SystemClock, current_traceparent,
};

const RESULTS: [&str; 6] = ["ok", "refused", "no_answer", "unavailable", "denied", "schema"];

fn result_of(result: &Result<(), Error>) -> usize {
    match result.as_ref().map_err(|error| error.class) {
        Ok(()) => 0,
        Err(Class::Refused) => 1,
        Err(Class::Unknown) => 2,
        Err(Class::Unavailable) => 3,
        Err(Class::Denied) => 4,
        Err(Class::Schema) => 5,
    }
}

/// Counters of one table.
struct TableMeters {
    seconds: Histogram,
    results: [Counter; RESULTS.len()],
    retries: Counter,
    read_backs: Counter,
}

/// A desk that measures what the ledger does, while it does it: retries show before the batch is through.
pub(crate) struct MeteredDesk<D> {
    inner: D,
    tables: [TableMeters; Table::ALL.len()],
    kills: Counter,
    killed: Counter,
    inserting: Option<(Table, Duration)>,
}

impl<D> MeteredDesk<D> {
    pub(crate) fn new(inner: D, metrics: &Metrics) -> Self {
        Self {
            inner,
            tables: Table::ALL.map(|table| {
                let name = table.name();
                TableMeters {
                    seconds: metrics.histogram(Metric::InsertSeconds, &[name]),
                    results: RESULTS.map(|result| metrics.counter(Metric::Inserts, &[name, result])),
                    retries: metrics.counter(Metric::InsertRetries, &[name]),
                    read_backs: metrics.counter(Metric::ReadBacks, &[name]),
                }
            }),
            kills: metrics.counter(Metric::Kills, &[]),
            killed: metrics.counter(Metric::KilledQueries, &[]),
            inserting: None,
        }
    }
}

impl<D: Desk> Desk for MeteredDesk<D> {
    fn submit(&mut self, ask: Ask) {
        match &ask {
            Ask::Insert(insert) => {
                self.inserting = Some((insert.table, SystemClock.up()));
                let again = insert.query_id.send > 1;
                self.tables[insert.table as usize].retries.increment(again.into());
            }
            Ask::Kill(_) => self.kills.increment(1),
            Ask::ReadBack { table, .. } => self.tables[*table as usize].read_backs.increment(1),
            Ask::Note(_) | Ask::Settle(_) => {}
        }
        self.inner.submit(ask);
    }

    fn answer(&mut self) -> Option<Answer> {
        let answer = self.inner.answer()?;
        match &answer {
            Answer::Inserted { result, .. } => {
                if let Some((table, since)) = self.inserting.take() {
                    let meters = &self.tables[table as usize];
                    let took = SystemClock.up().saturating_sub(since);
                    meters.seconds.record(took.as_secs_f64());
                    meters.results[result_of(result)].increment(1);
                }
            }
            Answer::Killed(Ok(killed)) => self.killed.increment(killed.queries.into()),
            Answer::Killed(Err(_)) | Answer::Found(_) | Answer::Noted(_) | Answer::Settled(_) => {}
        }
        Some(answer)
    }

    fn busy(&self) -> bool {
        self.inner.busy()
    }
}

/// An outbox that gives messages without a trace of their own that of the batch.
pub(crate) struct TracedOutbox<O>(pub(crate) O);

impl<O: Outbox> Outbox for TracedOutbox<O> {
    fn send(&mut self, message: &Outgoing, tag: u64) -> Result<bool, SendError> {
        let has_trace = message
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(header::TRACEPARENT));
        match current_traceparent().filter(|_| !has_trace) {
            None => self.0.send(message, tag),
            Some(trace) => {
                let mut message = message.clone();
                message
                    .headers
                    .push((header::TRACEPARENT.to_owned(), trace.into_bytes()));
                self.0.send(&message, tag)
            }
        }
    }

    fn answer(&mut self) -> Option<(u64, Result<(), SendError>)> {
        self.0.answer()
    }
}
