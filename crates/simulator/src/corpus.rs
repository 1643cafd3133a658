//! Records that carry planted secrets, in every place where the sources carry them.

use std::collections::BTreeSet;

use crate::calendar::HOUR;
use crate::catalog::{CallId, Source};
use crate::config::Config;
use crate::delivery::{self, Delivery, Form, Header, Scratch};
use crate::event::{Agent, Event, Identity, Phase, Who};
use crate::faults::{Malformed, damage};
use crate::organisation::{PlaceKind, hostile_address};
use crate::plan::Plan;
use crate::rng::{Rng, mix};
use crate::scene::Scene;
use crate::secrets::PLANTED_SECRETS;
use crate::truth::Label;

/// One record with secrets in it.
#[derive(Clone, Debug)]
pub struct SecretRecord {
    /// Name of the source.
    pub source: &'static str,
    /// Headers of the Kafka record.
    pub headers: Vec<Header>,
    /// The record's bytes.
    pub value: Vec<u8>,
    /// The planted secrets that stand in it, in value or headers, base64 and gzip undone.
    pub secrets: Vec<&'static str>,
    /// What is wrong with the record, where something is.
    pub malformed: Option<Malformed>,
}

/// Records per call and form.
const VARIANTS: u64 = 12;

/// Records of all sources with planted secrets in all the places where they stand by nature, in all envelopes, and in
/// damaged records too. The same ones every time.
pub fn secret_corpus() -> Vec<SecretRecord> {
    let end_ms = 1_795_478_400_000;
    let plan = Plan::new(&Config::days(99, 1, end_ms));
    let works = {
        let mut works = plan.works.clone();
        works.push(crate::event::Work {
            ticket: "PAY-1".to_owned(),
            commit: 5,
            run: 77,
            ..crate::event::Work::none()
        });
        works
    };
    let scene = Scene {
        organisation: &plan.organisation,
        catalog: &plan.catalog,
        works: &works,
    };
    let mut corpus = Vec::new();
    let mut scratch = Scratch::default();
    for call in 0..plan.catalog.calls.len() as CallId {
        let source = plan.catalog.get(call).source;
        for number in 0..VARIANTS {
            let event = event(scene, call, number, end_ms - HOUR);
            for &form in forms(source) {
                let delivery = Delivery {
                    arrives_ms: end_ms,
                    source,
                    form,
                    redelivery: false,
                    first: event,
                    more: Vec::new(),
                };
                corpus.extend(record(scene, &delivery, None, &mut scratch));
            }
            if number < 4 {
                let kinds = [
                    Malformed::Truncated,
                    Malformed::NotJson,
                    Malformed::WrongEncoding,
                    Malformed::WrongType,
                ];
                let plain = forms(source)[0];
                let delivery = Delivery {
                    arrives_ms: end_ms,
                    source,
                    form: plain,
                    redelivery: false,
                    first: event,
                    more: Vec::new(),
                };
                corpus.extend(record(
                    scene,
                    &delivery,
                    Some(kinds[number as usize]),
                    &mut scratch,
                ));
            }
        }
    }
    corpus
}

/// The envelopes of a source; the first one is plain.
fn forms(source: Source) -> &'static [Form] {
    match source {
        Source::AwsCloudtrail => &[
            Form::Bare,
            Form::S3Plain,
            Form::S3Gzip,
            Form::EventBridge,
            Form::LogSubscription,
            Form::Lookup,
        ],
        Source::AzureActivity | Source::AzureEntra => &[Form::Records],
        Source::GcpAudit => &[Form::Bare, Form::Push, Form::Connector],
        Source::KubernetesAudit => &[Form::Lines, Form::EventList],
        Source::OktaSystem => &[Form::Bare, Form::EventHook],
        Source::GithubWebhook | Source::GitlabWebhook => &[Form::Bare, Form::Wrapped],
        _ => &[Form::Bare],
    }
}

fn event(scene: Scene<'_>, call: CallId, number: u64, time_ms: i64) -> Event {
    let seed = mix(u64::from(call) << 16 ^ number ^ 0xc0de);
    let place = match scene.catalog.get(call).source {
        Source::AzureActivity => PlaceKind::Azure,
        Source::GcpAudit => PlaceKind::Gcp,
        Source::KubernetesAudit => PlaceKind::Cluster,
        _ => PlaceKind::Aws,
    };
    let places = scene.organisation.places_of(place);
    Event {
        time_ms,
        seed,
        link: seed,
        call,
        who: Who::Person(3),
        ip: hostile_address(&mut Rng::new(seed)),
        agent: Agent::Cli,
        identity: Identity::Sso,
        mfa: true,
        since_ms: time_ms - HOUR,
        place: places[number as usize % places.len()],
        app: (number % 50) as u16,
        serial: number as u16,
        other: 4,
        work: 1,
        story: 0,
        denied: false,
        approved: true,
        label: Label::Benign,
        phase: Phase::Only,
    }
}

fn record(
    scene: Scene<'_>,
    delivery: &Delivery,
    malformed: Option<Malformed>,
    scratch: &mut Scratch,
) -> Option<SecretRecord> {
    let (mut value, mut key, mut headers) = (Vec::new(), Vec::new(), Vec::new());
    delivery::write(scene, delivery, scratch, &mut value, &mut key, &mut headers);
    // What stands inside base64 or gzip is found in the plain form of the same event.
    let mut plain = Vec::new();
    match malformed {
        Some(kind) => {
            truncate_behind_secret(&mut value, kind);
            if kind != Malformed::Truncated {
                damage(
                    delivery.source,
                    kind,
                    &mut value,
                    &mut Rng::new(delivery.first.seed),
                );
            }
            plain.extend_from_slice(&value);
        }
        None => crate::envelope::write(scene, &delivery.first, &mut plain),
    }
    for (_, text) in &headers {
        plain.push(b'\n');
        plain.extend_from_slice(text);
    }
    if delivery.form == Form::Wrapped {
        plain.extend_from_slice(&value);
    }
    let secrets = secrets_in(&plain);
    (!secrets.is_empty()).then(|| SecretRecord {
        source: delivery.source.name(),
        headers,
        value,
        secrets,
        malformed,
    })
}

/// A cut right behind a secret leaves it whole.
fn truncate_behind_secret(value: &mut Vec<u8>, kind: Malformed) {
    if kind != Malformed::Truncated {
        return;
    }
    let ends = PLANTED_SECRETS.iter().filter_map(|secret| {
        let at = find(value, secret.as_bytes())?;
        Some(at + secret.len())
    });
    if let Some(end) = ends.max() {
        value.truncate(end);
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// The planted secrets that stand in a text. Fast enough for large outputs: one pass, by the first eight bytes.
pub fn secrets_in(text: &[u8]) -> Vec<&'static str> {
    let mut by_start: std::collections::HashMap<[u8; 8], Vec<&'static str>> =
        std::collections::HashMap::new();
    for secret in PLANTED_SECRETS.iter() {
        if let Some(start) = secret.as_bytes().first_chunk::<8>() {
            by_start.entry(*start).or_default().push(secret);
        }
    }
    let mut found = BTreeSet::new();
    for at in 0..text.len().saturating_sub(7) {
        let Some(start) = text[at..].first_chunk::<8>() else {
            break;
        };
        for secret in by_start.get(start).into_iter().flatten() {
            if text[at..].starts_with(secret.as_bytes()) {
                found.insert(*secret);
            }
        }
    }
    found.into_iter().collect()
}
