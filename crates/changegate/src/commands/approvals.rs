//! Requests for approval, as the ledger's rows derive them.

use std::path::Path;

use anyhow::bail;
use changegate_approval::{Ask, GATE_HOURS, Kind, REVIEW_HOURS, StoredChange, request_id};
use changegate_clickhouse::{AskedFilter, LedgerClient};
use changegate_normalize::JsonLine;
use changegate_types::{ChangeUid, Keyed128, TimeMicros};

use super::Answer;
use crate::args::{Approvals, ApprovalsCommand, ApprovalsList, Printed, RequestState};
use crate::output::{self, Printer};
use crate::{connect, setup, stream};

const COLUMNS: &[&str] = &[
    "request=request_id|state kind|not_sent expires_time",
    "!risk=risk|risk_level",
    "change=actor_name|api_operation resource_names|environment",
    "why=reasons",
];

pub(crate) fn run(config: Option<&Path>, asked: &Approvals) -> Answer {
    let settings = setup::connected(config)?;
    let reader = connect::clickhouse(&settings, &settings.clickhouse.reader)?;
    match &asked.what {
        ApprovalsCommand::List(asked) => list(&reader, asked),
        ApprovalsCommand::Show { id, printed } => show(&reader, id, printed),
    }
}

fn list(reader: &LedgerClient, asked: &ApprovalsList) -> Answer {
    let now = stream::now();
    let asks = match asked.state {
        RequestState::Pending | RequestState::Expired => vec![Ask::Asked, Ask::Grouped],
        RequestState::Grouped => vec![Ask::Grouped],
        RequestState::Learning => vec![Ask::Learning],
        RequestState::Backfill => vec![Ask::Backfill],
        RequestState::All => Vec::new(),
    };
    let source = match &asked.source {
        Some(name) => setup::source(name)?,
        None => "",
    };
    let hours_ago = |hours: i64| TimeMicros(now.0 - hours * 3_600_000_000);
    let mut since = asked.since.map(|since| since.time(now));
    if asked.state == RequestState::Pending {
        // Older ones have lapsed, so the limit counts none of them.
        since = since.max(Some(hours_ago(REVIEW_HOURS)));
    }
    let filter = AskedFilter {
        asks,
        since,
        before: (asked.state == RequestState::Expired).then(|| hours_ago(GATE_HOURS)),
        source: source.to_owned(),
        // One more shows whether there is more.
        limit: asked.limit.saturating_add(1),
        change_uid: None,
    };
    let rows = setup::runtime()?.block_on(reader.asked(&filter))?;
    let more = rows.len() > asked.limit as usize;
    let mut printer = Printer::stdout(asked.printed.output, COLUMNS);
    let wanted = rows.iter().take(asked.limit as usize).filter(|row| {
        let state = state(row, now);
        match asked.state {
            RequestState::Pending => state == "pending" || state == "grouped",
            RequestState::Expired => state == "expired",
            RequestState::Grouped | RequestState::Learning | RequestState::Backfill | RequestState::All => {
                true
            }
        }
    });
    for row in wanted {
        printer.object(&summary(row, now))?;
    }
    let printed = printer.printed();
    printer.finish()?;
    let output = asked.printed.output;
    if printed == 0 {
        output::note(
            output,
            "No such requests; `--state all` shows every change that asked, or would have.",
        );
    } else if more {
        output::note(
            output,
            "There are more: narrow it with --since, or raise --limit.",
        );
    } else {
        output::note(output, "More about one: changegate approvals show REQUEST_ID");
    }
    Ok(true)
}

/// Where the request of a row stands. Answers of people are facts of their own, which no table holds yet.
fn state(row: &StoredChange, now: TimeMicros) -> &'static str {
    match row.ask {
        Ask::Asked | Ask::Grouped if row.expires_time() <= now => "expired",
        Ask::Asked => "pending",
        ask => ask.name(),
    }
}

/// Why nobody was asked, where a request never went out; such a one neither waits for an answer nor lapses.
fn not_sent(ask: Ask) -> Option<&'static str> {
    match ask {
        Ask::Asked | Ask::Grouped => None,
        Ask::Learning => Some("not sent: stratum was learning"),
        Ask::Backfill => Some("not sent: event was too old"),
        Ask::Repeat => Some("not sent: repeat or copy"),
        Ask::None => Some("not sent: nothing to ask"),
    }
}

fn summary(row: &StoredChange, now: TimeMicros) -> String {
    let mut line = JsonLine::new();
    line.text(
        "request_id",
        &request_id(&row.tenant_uid, row.change_uid).to_string(),
    )
    .text("state", state(row, now))
    .text("kind", Kind::of(row).name());
    match not_sent(row.ask) {
        Some(why) => line.text("not_sent", why),
        None => line
            .text("requested_time", &row.decision_time.to_string())
            .text("expires_time", &row.expires_time().to_string()),
    };
    if let Some(risk) = row.risk {
        // Two digits tell ranks apart; `show` has them all.
        line.number("risk", format!("{risk:.2}"))
            .text("risk_level", row.risk_level.name());
    }
    line.text("decision", row.decision.name())
        .text("source", &row.source)
        .text("event_time", &row.event_time.to_string())
        .text("environment", &row.environment)
        .text("owner", &row.owner)
        .text("actor_uid", &row.actor_uid)
        .text(
            "actor_name",
            if row.actor_name.is_empty() {
                &row.actor_uid
            } else {
                &row.actor_name
            },
        )
        .text("api_operation", &row.api_operation)
        .texts("resource_names", row.resource_names.iter().map(String::as_str))
        .texts("reasons", row.reasons.iter().map(|reason| reason.text.as_str()))
        .texts("ticket_uids", row.ticket_uids.iter().map(String::as_str))
        .text("tenant_uid", &row.tenant_uid)
        .text("change_uid", &row.change_uid.to_string())
        .text("content_hash", &row.content_hash.to_string())
        .text("model_hash", &row.model_hash.to_string());
    line.finish()
}

fn show(reader: &LedgerClient, id: &str, printed: &Printed) -> Answer {
    let Some(uid) = parse(id) else {
        bail!("{id:?} is no id: 32 hexadecimal digits, as `changegate approvals list` prints them");
    };
    let runtime = setup::runtime()?;
    let of = |change_uid: ChangeUid| AskedFilter {
        change_uid: Some(change_uid),
        limit: 2,
        ..AskedFilter::default()
    };
    let mut rows = runtime.block_on(reader.asked(&of(uid)))?;
    if rows.is_empty() {
        // A request's id is a hash of tenant and change: it is found by making it again.
        let changes = runtime.block_on(reader.asked_changes())?;
        let found = changes
            .iter()
            .find(|(tenant, change)| request_id(tenant, *change) == uid);
        if let Some((_, change)) = found {
            rows = runtime.block_on(reader.asked(&of(*change)))?;
            rows.retain(|row| request_id(&row.tenant_uid, row.change_uid) == uid);
        }
    }
    let Some(row) = rows.first() else {
        eprintln!(
            "changegate: no change of this id asked for approval; `changegate approvals list --state all` shows those that did"
        );
        return Ok(false);
    };
    let mut line = JsonLine::new();
    line.text("state", state(row, stream::now()));
    let mut body = String::from_utf8_lossy(&row.body()).into_owned();
    if let Some(why) = not_sent(row.ask) {
        line.text("not_sent", why);
        // The body that would have gone out; what never went out does not lapse.
        body = body.replace(&format!("\"expires_time\":\"{}\",", row.expires_time()), "");
    }
    let state = line.finish();
    let object = format!(
        "{},{}",
        state.strip_suffix('}').unwrap_or_default(),
        body.strip_prefix('{').unwrap_or_default()
    );
    output::sheet(printed.output, &object)?;
    Ok(true)
}

fn parse(id: &str) -> Option<Keyed128> {
    let hex = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| u128::from_str_radix(id, 16).ok().map(Keyed128))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sent_waits_or_lapses() {
        for ask in Ask::ALL {
            assert_eq!(not_sent(ask).is_none(), ask.sends(), "{ask:?}");
        }
    }
}
