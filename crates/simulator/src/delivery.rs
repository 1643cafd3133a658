//! How events travel: which ones share a record, when the record arrives, and the envelope around them.

use std::io::Write as _;

use flate2::{Compression, GzBuilder};

use crate::calendar::{HOUR, MINUTE, SECOND};
use crate::catalog::Source;
use crate::config::Config;
use crate::envelope;
use crate::event::{Event, Phase};
use crate::put::{LOWER, Letters, Uuid, put};
use crate::rng::{Rng, mix};
use crate::scene::Scene;
use crate::template::base64_into;

/// The envelope of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// The event itself, with what belongs to it in headers.
    Bare,
    /// `{"Records":[…]}`, compressed.
    S3Gzip,
    /// `{"Records":[…]}`
    S3Plain,
    EventBridge,
    /// base64(gzip(…)) of a CloudWatch Logs subscription.
    LogSubscription,
    Lookup,
    /// `{"records":[…]}`
    Records,
    /// Pub/Sub push.
    Push,
    /// The struct of the Kafka connector.
    Connector,
    /// `EventList` of the webhook backend.
    EventList,
    /// One event a line.
    Lines,
    /// `{"data":{"events":[…]}}`
    EventHook,
    /// `{"headers":{…},"body":{…}}`
    Wrapped,
}

/// One record on its way.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) arrives_ms: i64,
    pub(crate) source: Source,
    pub(crate) form: Form,
    pub(crate) redelivery: bool,
    pub(crate) first: Event,
    pub(crate) more: Vec<Event>,
}

impl Delivery {
    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        std::iter::once(&self.first).chain(&self.more)
    }
}

/// The form that a place or application uses, always the same one.
fn form(scene: Scene<'_>, event: &Event) -> Form {
    match scene.call(event).source {
        Source::AwsCloudtrail => match event.place {
            0 | 7 => Form::S3Gzip,
            1 | 8 => Form::S3Plain,
            3 | 10 => Form::LogSubscription,
            4 | 6 | 11 => Form::EventBridge,
            _ if event.seed.is_multiple_of(200) => Form::Lookup,
            _ => Form::Bare,
        },
        Source::AzureActivity | Source::AzureEntra => Form::Records,
        Source::GcpAudit => match event.place % 3 {
            0 => Form::Push,
            1 => Form::Connector,
            _ => Form::Bare,
        },
        Source::KubernetesAudit => {
            if event.place.is_multiple_of(2) {
                Form::EventList
            } else {
                Form::Lines
            }
        }
        Source::OktaSystem if event.seed.is_multiple_of(3) => Form::EventHook,
        Source::GithubWebhook | Source::GitlabWebhook if event.app.is_multiple_of(3) => Form::Wrapped,
        _ => Form::Bare,
    }
}

/// For how long, and up to how many, events gather in one record.
fn gathering(form: Form) -> (i64, usize) {
    match form {
        Form::S3Gzip | Form::S3Plain => (5 * MINUTE, 60),
        Form::LogSubscription => (MINUTE, 20),
        Form::Records => (30 * SECOND, 4),
        Form::EventList => (30 * SECOND, 40),
        Form::Lines => (5 * SECOND, 5),
        Form::EventHook => (20 * SECOND, 10),
        _ => (0, 1),
    }
}

/// Mean time from event to arrival.
fn delay(source: Source, form: Form) -> i64 {
    match (source, form) {
        (Source::AwsCloudtrail, Form::EventBridge) => 5 * SECOND,
        (Source::AwsCloudtrail, _) => 4 * MINUTE,
        (Source::AzureActivity | Source::AzureEntra, _) => 90 * SECOND,
        (Source::GithubAudit, _) => 2 * MINUTE,
        _ => 3 * SECOND,
    }
}

/// Puts a day's events into records. `events` is in order of time.
pub(crate) fn deliver(
    scene: Scene<'_>,
    events: &[Event],
    config: &Config,
    rng: &mut Rng,
    out: &mut Vec<Delivery>,
) {
    // The open record of each source, form and place.
    let mut open: std::collections::HashMap<(Source, Form, u8), usize> = std::collections::HashMap::new();
    for event in events {
        let source = scene.call(event).source;
        let form = form(scene, event);
        let (window_ms, most) = gathering(form);
        if most > 1 {
            if let Some(&at) = open.get(&(source, form, event.place)) {
                let delivery: &mut Delivery = &mut out[at];
                if event.time_ms - delivery.first.time_ms <= window_ms && delivery.more.len() + 1 < most {
                    delivery.more.push(*event);
                    delivery.arrives_ms = delivery.arrives_ms.max(event.time_ms + SECOND);
                    continue;
                }
            }
            open.insert((source, form, event.place), out.len());
        }
        let mean = delay(source, form);
        let mut arrives_ms = event.time_ms + rng.range(mean / 2, mean * 3 / 2);
        if rng.chance(config.late_rate) {
            arrives_ms += rng.range(HOUR, 30 * HOUR);
        }
        out.push(Delivery {
            arrives_ms,
            source,
            form,
            redelivery: false,
            first: *event,
            more: Vec::new(),
        });
    }
    let copies: Vec<Delivery> = out
        .iter()
        .filter(|_| rng.chance(config.duplicate_rate))
        .map(|delivery| Delivery {
            redelivery: true,
            ..delivery.clone()
        })
        .collect();
    for mut copy in copies {
        copy.arrives_ms += rng.range(SECOND, 2 * HOUR);
        out.push(copy);
    }
}

/// Buffers that are used again for every record.
#[derive(Default)]
pub(crate) struct Scratch {
    record: Vec<u8>,
    body: Vec<u8>,
}

/// A header of a record.
pub type Header = (&'static str, Vec<u8>);

/// Headers as Kafka's producer and a raw record take them.
pub fn header_pairs(headers: &[Header]) -> Vec<(&str, &[u8])> {
    headers
        .iter()
        .map(|(name, value)| (*name, value.as_slice()))
        .collect()
}

/// Writes the record's bytes, key and headers.
pub(crate) fn write(
    scene: Scene<'_>,
    delivery: &Delivery,
    scratch: &mut Scratch,
    value: &mut Vec<u8>,
    key: &mut Vec<u8>,
    headers: &mut Vec<Header>,
) {
    value.clear();
    key.clear();
    headers.clear();
    let first = &delivery.first;
    match delivery.source {
        Source::AwsCloudtrail
        | Source::AwsEventbridge
        | Source::AzureActivity
        | Source::GcpAudit
        | Source::KubernetesAudit => {
            put!(key; scene.place(first).id.as_str());
        }
        Source::AzureEntra | Source::OktaSystem => put!(key; scene.actor(first.who)),
        Source::JiraWebhook => put!(key; scene.work(first).ticket.as_str()),
        _ => put!(key; crate::organisation::ORG, "/", scene.app(first).name),
    }
    add_headers(scene, delivery, headers);
    match delivery.form {
        Form::Bare => envelope::write(scene, first, value),
        Form::Lookup | Form::EventBridge => {
            scratch.record.clear();
            envelope::write(scene, first, &mut scratch.record);
            if delivery.form == Form::Lookup {
                envelope::as_lookup(scene, first, &scratch.record, value);
            } else {
                envelope::as_eventbridge(scene, first, &scratch.record, value);
            }
        }
        Form::S3Plain => list(scene, delivery, r#"{"Records":["#, "]}", value),
        Form::S3Gzip => {
            scratch.body.clear();
            list(scene, delivery, r#"{"Records":["#, "]}", &mut scratch.body);
            gzip(&scratch.body, value);
        }
        Form::LogSubscription => log_subscription(scene, delivery, scratch, value),
        Form::Records => list(scene, delivery, r#"{"records":["#, "]}", value),
        Form::EventList => {
            list(
                scene,
                delivery,
                r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#,
                "]}",
                value,
            );
        }
        Form::EventHook => {
            put!(value; r#"{"eventType":"com.okta.event_hook","eventTypeVersion":"1.0","cloudEventsVersion":"0.1","source":"https://northwind.okta.example.com/api/v1/eventHooks/who1","eventId":""#);
            put!(value; Uuid(u128::from(mix(first.seed)) << 64), r#"","data":{"events":"#);
            list(scene, delivery, "[", "]}}", value);
        }
        Form::Lines => {
            for event in delivery.events() {
                if !value.is_empty() {
                    value.push(b'\n');
                }
                envelope::write(scene, event, value);
            }
        }
        Form::Push | Form::Connector => {
            scratch.record.clear();
            envelope::write(scene, first, &mut scratch.record);
            pub_sub(delivery, &scratch.record, value);
        }
        Form::Wrapped => {
            put!(value; r#"{"headers":{"#);
            for (at, (name, text)) in headers.iter().enumerate() {
                put!(value; if at == 0 { "\"" } else { ",\"" }, *name, "\":\"");
                value.extend_from_slice(text);
                value.push(b'"');
            }
            put!(value; r#"},"body":"#);
            envelope::write(scene, first, value);
            value.push(b'}');
            headers.clear();
        }
    }
}

fn list(scene: Scene<'_>, delivery: &Delivery, open: &str, close: &str, out: &mut Vec<u8>) {
    put!(out; open);
    for (at, event) in delivery.events().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        envelope::write(scene, event, out);
    }
    put!(out; close);
}

/// Compresses with a fixed header, so that the same bytes come out the same.
fn gzip(bytes: &[u8], out: &mut Vec<u8>) {
    let mut encoder = GzBuilder::new().mtime(0).write(out, Compression::fast());
    // Writing into memory does not fail.
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish().map(drop));
    debug_assert!(written.is_ok(), "memory took no bytes");
}

fn log_subscription(scene: Scene<'_>, delivery: &Delivery, scratch: &mut Scratch, value: &mut Vec<u8>) {
    let place = scene.place(&delivery.first);
    let Scratch { record, body } = scratch;
    body.clear();
    put!(body; r#"{"messageType":"DATA_MESSAGE","owner":""#, place.id.as_str());
    put!(body; r#"","logGroup":"/org/cloudtrail","logStream":""#, place.id.as_str(), "_CloudTrail_", place.region);
    put!(body; r#"","subscriptionFilters":["to-kafka"],"logEvents":["#);
    for (at, event) in delivery.events().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        record.clear();
        envelope::write(scene, event, record);
        envelope::as_log_event(event, record, body);
    }
    put!(body; "]}");
    record.clear();
    gzip(body, record);
    base64_into(record, value);
}

fn pub_sub(delivery: &Delivery, record: &[u8], value: &mut Vec<u8>) {
    let seed = delivery.first.seed;
    if delivery.form == Form::Push {
        put!(value; r#"{"message":{"data":""#);
        base64_into(record, value);
        put!(value; r#"","attributes":{"logging.googleapis.com/timestamp":""#, crate::calendar::Millis(delivery.first.time_ms));
        put!(value; r#""},"messageId":""#, seed >> 8, r#"","publishTime":""#);
        put!(value; crate::calendar::Millis(delivery.first.time_ms + 900), r#""},"subscription":"projects/np-hub/subscriptions/audit"}"#);
    } else {
        put!(value; r#"{"logging.googleapis.com/timestamp":""#, crate::calendar::Millis(delivery.first.time_ms));
        put!(value; r#"","message":""#);
        base64_into(record, value);
        put!(value; "\"}");
    }
}

fn text(parts: &[&dyn crate::put::Put]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        part.put(&mut out);
    }
    out
}

fn add_headers(scene: Scene<'_>, delivery: &Delivery, headers: &mut Vec<Header>) {
    let first = &delivery.first;
    let call = scene.call(first);
    let mut id = Vec::new();
    match delivery.source {
        Source::KubernetesAudit => headers.push(("cluster", text(&[&scene.place(first).id.as_str()]))),
        Source::GithubWebhook => {
            scene.native_id(first, &mut id);
            headers.push(("X-GitHub-Event", call.service.as_bytes().to_vec()));
            headers.push(("X-GitHub-Delivery", id));
            headers.push(("X-GitHub-Hook-ID", b"311004".to_vec()));
        }
        Source::GitlabWebhook => {
            scene.native_id(first, &mut id);
            let token = crate::secrets::planted(crate::secrets::SecretKind::Webhook, u64::from(first.app));
            headers.push(("X-Gitlab-Event", call.service.as_bytes().to_vec()));
            headers.push(("X-Gitlab-Token", token.as_bytes().to_vec()));
            headers.push(("Idempotency-Key", id));
        }
        Source::GitlabAudit => {
            let token = crate::secrets::planted(crate::secrets::SecretKind::Webhook, 1);
            headers.push(("X-Gitlab-Audit-Event-Type", call.service.as_bytes().to_vec()));
            headers.push(("X-Gitlab-Event-Streaming-Token", token.as_bytes().to_vec()));
        }
        Source::JiraWebhook => {
            scene.native_id(first, &mut id);
            headers.push(("X-Atlassian-Webhook-Identifier", id));
        }
        Source::Cdevents if first.app.is_multiple_of(2) => {
            scene.native_id(first, &mut id);
            headers.push(("ce_specversion", b"1.0".to_vec()));
            headers.push(("ce_id", id));
            headers.push(("ce_type", text(&[&call.service, &".", &call.name])));
            headers.push(("ce_source", text(&[&"/ci/", &scene.app(first).name])));
            headers.push(("content-type", b"application/json".to_vec()));
        }
        Source::GcpAudit if delivery.form == Form::Bare => {
            headers.push(("messageId", text(&[&(first.seed >> 8)])));
        }
        _ => {}
    }
}

/// Name of the file that a compressed delivery stands in.
pub(crate) fn file_name(scene: Scene<'_>, delivery: &Delivery) -> String {
    let place = scene.place(&delivery.first);
    let mut out = Vec::new();
    put!(&mut out; "aws.cloudtrail/", place.id.as_str(), "_CloudTrail_", place.region, "_", delivery.arrives_ms as u64);
    put!(&mut out; "_", Letters(delivery.first.seed, 16, LOWER), if delivery.redelivery { "_again" } else { "" }, ".json.gz");
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether the truth has a line for this event: all changes, and whatever belongs to an incident or lookalike.
/// Receipt stages of Kubernetes are skipped by everyone.
pub(crate) fn has_truth(scene: Scene<'_>, event: &Event) -> bool {
    let call = scene.call(event);
    let received = call.source == Source::KubernetesAudit && event.phase == Phase::First;
    !received && (call.kind == crate::catalog::Kind::Write || event.story != 0)
}
