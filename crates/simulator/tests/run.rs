//! What a run promises: the same bytes for the same config, all sources, whole truth, rates within their bounds.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::convert::Infallible;
use std::io::Read as _;

use base64::Engine as _;
use changegate_simulator::{
    Config, Emitted, IncidentKind, Label, LoadGenerator, LookalikeKind, Malformed, PLANTED_SECRETS,
    Simulation, Source, Summary, Truth, holdout, secret_corpus, secrets_in,
};
use serde_json::Value;

const END_MS: i64 = 1_795_478_400_000; // 2026-11-24T00:00:00Z

fn small(seed: u64) -> Config {
    Config {
        rate: 0.2,
        ..Config::days(seed, 6, END_MS)
    }
}

fn run(config: Config, mut look: impl FnMut(&Emitted<'_>)) -> Summary {
    let summary: Result<Summary, Infallible> = Simulation::new(config).run(|emitted| {
        look(emitted);
        Ok(())
    });
    summary.unwrap()
}

/// FNV-1a over everything that a record is, but for compressed bytes: those may change with the compressor.
fn hash(config: Config) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |bytes: &[u8]| {
        for &byte in bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    run(config, |emitted| {
        take(emitted.source.as_bytes());
        take(emitted.key.unwrap_or_default());
        for (name, value) in emitted.headers {
            take(name.as_bytes());
            take(value);
        }
        take(&emitted.record_time_ms.to_le_bytes());
        take(&uncompressed(emitted));
        take(serde_json::to_string(emitted.truth).unwrap().as_bytes());
    });
    hash
}

fn uncompressed(emitted: &Emitted<'_>) -> Vec<u8> {
    if emitted.malformed.is_some() {
        return emitted.value.to_vec();
    }
    if emitted.file.is_some() {
        return gunzip(emitted.value).into_bytes();
    }
    match std::str::from_utf8(emitted.value) {
        Ok(text) if text.starts_with("H4sI") => gunzip(&base64(text)).into_bytes(),
        _ => emitted.value.to_vec(),
    }
}

fn gunzip(bytes: &[u8]) -> String {
    let mut out = String::new();
    flate2::read::GzDecoder::new(bytes)
        .read_to_string(&mut out)
        .unwrap();
    out
}

fn base64(text: &str) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

/// The source's events in a record, as JSON texts, unwrapped as each source's documentation says.
fn events(emitted: &Emitted<'_>) -> Vec<String> {
    let text = match emitted.file {
        Some(_) => gunzip(emitted.value),
        None => String::from_utf8(emitted.value.to_vec()).unwrap(),
    };
    if text.starts_with("H4sI") {
        let message: Value = serde_json::from_str(&gunzip(&base64(&text))).unwrap();
        let events = message["logEvents"].as_array().unwrap();
        return events
            .iter()
            .map(|event| event["message"].as_str().unwrap().to_owned())
            .collect();
    }
    let list = |list: &Value| list.as_array().unwrap().iter().map(Value::to_string).collect();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    if lines.len() > 1 {
        return lines.iter().map(Value::to_string).collect();
    }
    let value = &lines[0];
    let one = |value: &Value| vec![value.to_string()];
    match emitted.source {
        "aws.cloudtrail" if value["Records"].is_array() => list(&value["Records"]),
        "aws.cloudtrail" if value["detail"].is_object() => one(&value["detail"]),
        "aws.cloudtrail" if value["CloudTrailEvent"].is_string() => {
            vec![value["CloudTrailEvent"].as_str().unwrap().to_owned()]
        }
        "azure.activity" | "azure.entra" => list(&value["records"]),
        "gcp.audit" if value["message"].is_object() => {
            vec![String::from_utf8(base64(value["message"]["data"].as_str().unwrap())).unwrap()]
        }
        "gcp.audit" if value["message"].is_string() => {
            vec![String::from_utf8(base64(value["message"].as_str().unwrap())).unwrap()]
        }
        "kubernetes.audit" if value["kind"] == "EventList" => list(&value["items"]),
        "okta.system" if value["data"].is_object() => list(&value["data"]["events"]),
        _ => one(value),
    }
}

/// Where a source writes its own id.
fn native_id(emitted: &Emitted<'_>, event: &Value) -> String {
    let header = |name: &str| {
        let from_kafka = emitted.headers.iter().find(|(key, _)| *key == name);
        let from_kafka = from_kafka.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
        from_kafka.unwrap_or_else(|| event["headers"][name].as_str().unwrap_or_default().to_owned())
    };
    let id = match emitted.source {
        "aws.cloudtrail" => &event["eventID"],
        "aws.eventbridge" => &event["id"],
        "azure.activity" => &event["correlationId"],
        "azure.entra" => &event["properties"]["id"],
        "gcp.audit" => &event["insertId"],
        "kubernetes.audit" => &event["auditID"],
        "github.audit" => &event["_document_id"],
        "gitlab.audit" => &event["id"],
        "okta.system" => &event["uuid"],
        "cdevents" => &event["context"]["id"],
        "github.webhook" => return header("X-GitHub-Delivery"),
        "gitlab.webhook" => return header("Idempotency-Key"),
        "jira.webhook" => return header("X-Atlassian-Webhook-Identifier"),
        other => panic!("unknown source {other}"),
    };
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

#[test]
fn the_same_config_gives_the_same_bytes() {
    assert_eq!(hash(small(1)), hash(small(1)));
    assert_ne!(hash(small(1)), hash(small(2)));
}

#[test]
fn the_bytes_of_a_small_run_stay_what_they_were() {
    // A new number means that every recorded demo and trained model saw other data: change it on purpose only.
    let config = Config {
        rate: 0.05,
        ..Config::days(7, 3, END_MS)
    };
    assert_eq!(hash(config), 4_599_374_749_018_586_957);
}

#[test]
fn well_formed_records_parse_and_hold_what_they_say() {
    let mut sources = BTreeSet::new();
    let mut truths = 0;
    run(small(3), |emitted| {
        if emitted.malformed.is_some() {
            return;
        }
        sources.insert(emitted.source);
        let events = events(emitted);
        assert_eq!(events.len(), emitted.children as usize, "{}", emitted.source);
        for truth in emitted.truth {
            let event: Value = serde_json::from_str(&events[truth.child as usize]).unwrap();
            assert_eq!(native_id(emitted, &event), truth.native_id, "{event}");
            assert_eq!(
                (truth.record, truth.source.as_str()),
                (emitted.record, emitted.source)
            );
            truths += 1;
        }
    });
    assert_eq!(sources.into_iter().collect::<Vec<_>>(), {
        let mut all: Vec<&str> = Source::ALL.iter().map(|source| source.name()).collect();
        all.sort_unstable();
        all
    });
    assert!(truths > 1_000, "{truths}");
}

#[test]
fn records_come_in_order_and_inside_the_period() {
    let config = small(4);
    let (start_ms, end_ms) = (config.start_ms, config.end_ms);
    let mut last = i64::MIN;
    let mut number = 0;
    run(config, |emitted| {
        assert!(emitted.record_time_ms >= last && emitted.record_time_ms < end_ms);
        assert!(
            emitted
                .truth
                .iter()
                .all(|truth| (start_ms..end_ms).contains(&truth.time_ms))
        );
        assert_eq!(emitted.record, number);
        last = emitted.record_time_ms;
        number += 1;
    });
}

#[test]
fn a_second_delivery_has_the_same_events() {
    let mut first: BTreeMap<(String, String, i64), String> = BTreeMap::new();
    let mut again = 0;
    run(
        Config {
            duplicate_rate: 0.1,
            malformed_rate: 0.0,
            ..small(5)
        },
        |emitted| {
            let events = events(emitted);
            for truth in emitted.truth {
                assert_eq!(truth.redelivery, emitted.redelivery);
                let key = (truth.source.clone(), truth.native_id.clone(), truth.time_ms);
                let event = events[truth.child as usize].clone();
                match first.get(&key) {
                    Some(before) if truth.redelivery => {
                        assert_eq!(*before, event);
                        again += 1;
                    }
                    _ => drop(first.insert(key, event)),
                }
            }
        },
    );
    assert!(again > 100, "{again}");
}

#[test]
fn faults_come_at_the_rates_that_were_asked_for() {
    let config = Config {
        duplicate_rate: 0.05,
        malformed_rate: 0.03,
        late_rate: 0.02,
        ..small(6)
    };
    let mut kinds = BTreeSet::new();
    let mut late = 0;
    let summary = run(config, |emitted| {
        kinds.extend(emitted.malformed);
        if let Some(kind) = emitted.malformed.filter(|kind| kind.is_unreadable()) {
            let parsed = std::str::from_utf8(emitted.value).ok().and_then(|text| {
                let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
                lines.ok()
            });
            assert!(parsed.is_none(), "{kind:?} can be read");
        }
        late += u64::from(
            emitted
                .truth
                .iter()
                .any(|truth| emitted.record_time_ms - truth.time_ms > 3_600_000),
        );
    });
    let share = |count: u64| count as f64 / summary.records as f64;
    assert!(
        (0.04..0.06).contains(&share(summary.duplicates)),
        "{}",
        share(summary.duplicates)
    );
    assert!(
        (0.02..0.04).contains(&share(summary.malformed)),
        "{}",
        share(summary.malformed)
    );
    assert!((0.004..0.05).contains(&share(late)), "{}", share(late));
    assert_eq!(kinds.len(), Malformed::ALL.len());
    let quiet = Config {
        duplicate_rate: 0.0,
        malformed_rate: 0.0,
        ..small(6)
    };
    let summary = run(quiet, |_| {});
    assert_eq!((summary.duplicates, summary.malformed), (0, 0));
}

#[test]
fn the_demo_is_as_large_and_as_mixed_as_the_demo_needs() {
    let mut lookalikes = BTreeSet::new();
    let mut incident_changes = BTreeMap::<IncidentKind, u64>::new();
    let mut incident_events = 0;
    let mut secrets = HashSet::new();
    let mut number = 0;
    let summary = run(Config::demo(END_MS), |emitted| {
        number += 1;
        if number % 50 == 0 {
            secrets.extend(secrets_in(emitted.value));
        }
        for truth in emitted.truth {
            match truth.label {
                Label::Lookalike(kind) => drop(lookalikes.insert(kind)),
                Label::Incident(kind) => {
                    *incident_changes.entry(kind).or_default() += u64::from(truth.is_change);
                    incident_events += 1;
                }
                Label::Benign => {}
            }
        }
    });
    assert!(summary.events >= 200_000, "{}", summary.events);
    let quiet = (summary.reads + summary.sign_ins) as f64 / summary.events as f64;
    assert!((0.5..0.62).contains(&quiet), "{quiet}");
    let incidents: u64 = summary.incidents.values().sum();
    assert!((38..=62).contains(&incidents), "{incidents}");
    assert_eq!(summary.incidents.len(), IncidentKind::ALL.len());
    // Every kind ends in changes: only those can ask for approval.
    assert!(
        IncidentKind::ALL
            .iter()
            .all(|kind| incident_changes.get(kind).is_some_and(|count| *count >= 3))
    );
    assert!(incident_events < summary.events / 100);
    // Travel shows in its owner's ordinary events; the others are labelled.
    assert!(lookalikes.len() >= LookalikeKind::ALL.len() - 1, "{lookalikes:?}");
    assert!(secrets.len() > 50, "{}", secrets.len());
}

#[test]
fn training_leaves_out_what_it_must_not_see() {
    let holdout = holdout();
    assert_eq!(holdout.incident_kinds.len() * 3, IncidentKind::ALL.len());
    let config = Config {
        rate: 0.2,
        incident_rate: 4.0,
        ..Config::training(11, 12, END_MS)
    };
    let mut truths: Vec<Truth> = Vec::new();
    let summary = run(config, |emitted| truths.extend_from_slice(emitted.truth));
    assert_eq!(
        summary.incidents.len(),
        IncidentKind::ALL.len() - holdout.incident_kinds.len()
    );
    assert!(
        truths.iter().all(|truth| truth.team != holdout.team),
        "the team's things are left alone"
    );
    assert!(truths.iter().all(|truth| {
        truth
            .label
            .incident()
            .is_none_or(|kind| !holdout.incident_kinds.contains(&kind))
    }));
    let prefix = format!("{}-", holdout.team);
    assert!(truths.iter().all(|truth| {
        truth
            .ticket
            .as_ref()
            .is_none_or(|ticket| !ticket.starts_with(&prefix))
    }));
    let demo = Config {
        rate: 0.2,
        ..Config::days(11, 4, END_MS)
    };
    let mut seen = false;
    run(demo, |emitted| {
        seen |= emitted.truth.iter().any(|truth| truth.team == holdout.team)
    });
    assert!(seen, "the demo has the team");
}

#[test]
fn a_story_is_told_by_several_sources_under_one_ticket() {
    let mut sources: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    let mut tickets: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    let mut named = 0;
    let mut calls = 0;
    run(
        Config {
            malformed_rate: 0.0,
            ..small(8)
        },
        |emitted| {
            let events = events(emitted);
            for truth in emitted
                .truth
                .iter()
                .filter(|truth| truth.story != 0 && truth.label == Label::Benign)
            {
                let Some(ticket) = &truth.ticket else { continue };
                sources
                    .entry(truth.story)
                    .or_default()
                    .insert(truth.source.clone());
                tickets.entry(truth.story).or_default().insert(ticket.clone());
                if truth.source == "aws.cloudtrail" {
                    calls += 1;
                    named += u64::from(events[truth.child as usize].contains(ticket));
                }
            }
        },
    );
    assert!(tickets.values().all(|tickets| tickets.len() == 1));
    assert!(sources.values().filter(|sources| sources.len() >= 4).count() * 2 > sources.len());
    assert_eq!(
        named, calls,
        "every call of a pipeline names its ticket, at least in the session's name"
    );
}

#[test]
fn labels_and_truths_are_read_back_as_written() {
    let mut count = 0;
    run(small(9), |emitted| {
        for truth in emitted.truth {
            let text = serde_json::to_string(truth).unwrap();
            assert_eq!(serde_json::from_str::<Truth>(&text).unwrap(), *truth);
            count += 1;
        }
    });
    assert!(count > 0);
    assert!(serde_json::from_str::<Label>("\"incident:none_such\"").is_err());
}

#[test]
fn the_corpus_plants_at_least_a_hundred_secrets_over_all_sources() {
    let corpus = secret_corpus();
    let secrets: BTreeSet<&str> = corpus
        .iter()
        .flat_map(|record| record.secrets.iter().copied())
        .collect();
    assert!(secrets.len() >= 100, "{}", secrets.len());
    assert_eq!(
        PLANTED_SECRETS.iter().collect::<BTreeSet<_>>().len(),
        PLANTED_SECRETS.len()
    );
    let sources: BTreeSet<&str> = corpus.iter().map(|record| record.source).collect();
    assert_eq!(sources.len(), Source::ALL.len());
    assert!(
        corpus
            .iter()
            .any(|record| record.malformed == Some(Malformed::Truncated))
    );
    for record in corpus.iter().filter(|record| record.malformed.is_some()) {
        let mut text = record.value.clone();
        for (_, header) in &record.headers {
            text.push(b'\n');
            text.extend_from_slice(header);
        }
        assert_eq!(secrets_in(&text), record.secrets);
    }
}

#[test]
fn load_is_fresh_every_time_and_still_well_formed() {
    let mut load = LoadGenerator::new(1, 500);
    let mut seen = HashSet::new();
    for number in 0..2_000 {
        let record = load.next(END_MS + number * 1_000);
        let text = std::str::from_utf8(record.value).unwrap();
        for line in text.lines() {
            serde_json::from_str::<Value>(line).unwrap();
        }
        let headers: Vec<_> = record.headers.iter().map(|(_, value)| value.clone()).collect();
        assert!(seen.insert((record.value.to_vec(), headers)), "{text}");
    }
    let mut load = LoadGenerator::cloudtrail(1, 2_000);
    let mut bytes = 0;
    for number in 0..2_000 {
        let record = load.next(END_MS + number);
        let event: Value = serde_json::from_slice(record.value).unwrap();
        assert!(
            event["eventTime"]
                .as_str()
                .unwrap()
                .starts_with("2026-11-24T00:00:0")
        );
        bytes += record.value.len();
    }
    assert!((1_500..2_000).contains(&(bytes / 2_000)), "{}", bytes / 2_000);
}
