//! What events look like when others spell, cut or fill them differently: every fixture, changed in every way of the
//! table, must end in a stated outcome, and what was a change must stay one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bumpalo::Bump;
use changegate_normalize::{Child, Normalizer, source_names};
use changegate_simulator::{Header, header_pairs};
use changegate_types::Mark;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};

use crate::given::{END, lines, normalizer, record, sample, simulate};
use crate::invariants;

const DAY_MICROS: i64 = 86_400_000_000;

/// Folders and files of real events, where they lie beside the project.
const SAMPLES: &[(&str, &str)] = &[
    ("aws-cloudtrail/stratus_detonations.jsonl", "aws.cloudtrail"),
    ("aws-cloudtrail/cloud_custodian.jsonl", "aws.cloudtrail"),
    ("panther/aws_cloudtrail.jsonl", "aws.cloudtrail"),
    ("aws-eventbridge/aws_lambda_go.jsonl", "aws.eventbridge"),
    ("aws-eventbridge/cloud_custodian.jsonl", "aws.eventbridge"),
    ("k8s-audit/falco.jsonl", "kubernetes.audit"),
    ("panther/k8s_audit.jsonl", "kubernetes.audit"),
    ("panther/github_webhook.jsonl", "github.webhook"),
    ("github-webhook/octokit.jsonl", "github.webhook"),
    ("panther/github_audit.jsonl", "github.audit"),
    ("gitlab-webhook/go_gitlab.jsonl", "gitlab.webhook"),
    ("panther/okta_system.jsonl", "okta.system"),
    ("jira-webhook/mattermost.jsonl", "jira.webhook"),
    ("cdevents/conformance.jsonl", "cdevents"),
    ("gcp-audit/cloud_custodian.jsonl", "gcp.audit"),
    ("panther/gcp_audit.jsonl", "gcp.audit"),
    ("azure-activity/plaso_sdk_snake_case.jsonl", "azure.activity"),
    ("panther/azure_activity.jsonl", "azure.activity"),
    ("panther/entra_audit.jsonl", "azure.entra"),
];

/// Envelopes, and members without which nothing says that this is an event of the source: a dead letter keeps the bytes.
const NEEDED: &[(&str, &[&str])] = &[
    (
        "aws.cloudtrail",
        &["/Records", "/Records/0", "/detail", "/eventName"],
    ),
    ("azure.activity", &["/records", "/records/0"]),
    (
        "gcp.audit",
        &["/message", "/message/data", "/protoPayload", "/operation"],
    ),
    ("github.audit", &["/action"]),
    ("github.webhook", &["/body", "/repository"]),
    ("gitlab.webhook", &["/body", "/object_kind"]),
    ("kubernetes.audit", &["/items", "/items/0"]),
    ("okta.system", &["/eventtype"]),
];

/// Members that say whether anything was changed: with another value it is another event.
const DECIDING: &[(&str, &[&str])] = &[
    (
        "aws.cloudtrail",
        &["/readOnly", "/detail/readOnly", "/Records/0/readOnly"],
    ),
    ("aws.eventbridge", &["/detail/readOnly"]),
    ("azure.activity", &["/category"]),
    (
        "gcp.audit",
        &["/protoPayload/@type", "/protoPayload/at_sign_type"],
    ),
    ("github.audit", &["/event"]),
    (
        "github.webhook",
        &["/action", "/body/action", "/deployment_status/state"],
    ),
    (
        "gitlab.webhook",
        &[
            "/object_attributes/action",
            "/object_attributes/status",
            "/status",
        ],
    ),
];

/// Most fixtures of one source and kind of operation.
const ALIKE_MAX: usize = 2;
/// Most members of one fixture that are changed one by one.
const MEMBERS_MAX: usize = 40;

struct Fixture {
    source: &'static str,
    headers: Vec<Header>,
    value: Value,
}

/// What is asserted of one child.
#[derive(Clone, Debug, PartialEq)]
enum Ending {
    Event {
        is_change: bool,
        uid: u128,
        actor: String,
        operation: String,
        resources: Vec<String>,
        time: i64,
        marks: Vec<&'static str>,
    },
    Skip(&'static str),
    Reject(&'static str),
}

fn is_change(ending: &Ending) -> bool {
    matches!(ending, Ending::Event { is_change: true, .. })
}

struct Reader {
    normalizers: BTreeMap<&'static str, Normalizer>,
}

impl Reader {
    fn new() -> Self {
        Self {
            normalizers: source_names()
                .map(|source| (source, normalizer(source)))
                .collect(),
        }
    }

    fn read(&self, fixture: &Fixture, bytes: &[u8]) -> Vec<Ending> {
        let headers = header_pairs(&fixture.headers);
        let record = record(&headers, bytes);
        let arena = Bump::new();
        let normalizer = &self.normalizers[fixture.source];
        invariants::hold(normalizer, &record);
        let children = normalizer.record(&arena, &record).children;
        let endings = children.iter().map(|child| match child {
            Child::Change(event) | Child::Learn(event) => {
                let off = event.event_time.0 - END.0;
                assert!(
                    (-400 * DAY_MICROS..=DAY_MICROS).contains(&off)
                        || event.marks.has(Mark::TimeOutOfRange)
                        || event.marks.has(Mark::MissingTime),
                    "an odd time is marked: {}",
                    String::from_utf8_lossy(bytes)
                );
                Ending::Event {
                    is_change: event.is_change,
                    uid: event.event_uid.0,
                    actor: event.actor_uid.to_owned(),
                    operation: event.api_operation.to_owned(),
                    resources: event
                        .resources
                        .iter()
                        .map(|resource| resource.uid.to_owned())
                        .collect(),
                    time: event.event_time.0,
                    marks: Mark::ALL
                        .iter()
                        .filter(|mark| event.marks.has(**mark))
                        .map(|mark| mark.name())
                        .collect(),
                }
            }
            Child::Skip(reason) => Ending::Skip(reason.name()),
            Child::Reject(reject) => Ending::Reject(reject.code.name()),
        });
        endings.collect()
    }
}

/// Events of every source: made-up ones, and the real ones that lie beside the project.
fn fixtures(reader: &Reader) -> Vec<Fixture> {
    let mut all = Vec::new();
    let mut alike: BTreeMap<(&'static str, String), usize> = BTreeMap::new();
    let mut keep = |fixture: Fixture| {
        let endings = reader.read(&fixture, fixture.value.to_string().as_bytes());
        // Batches and what is no event have tests of their own.
        if let [
            Ending::Event {
                operation, is_change, ..
            },
        ] = endings.as_slice()
        {
            let seen = alike
                .entry((fixture.source, format!("{operation} {is_change}")))
                .or_default();
            *seen += 1;
            if *seen <= ALIKE_MAX {
                all.push(fixture);
            }
        }
    };
    simulate(11, 0.2, |emitted| {
        let source = source_names().find(|name| *name == emitted.source);
        if let (Some(source), Ok(value)) = (source, serde_json::from_slice::<Value>(emitted.value)) {
            keep(Fixture {
                source,
                headers: emitted.headers.to_vec(),
                value,
            });
        }
    });
    for (file, source) in SAMPLES {
        for line in sample(file).iter().flat_map(|text| lines(text)) {
            keep(Fixture {
                source,
                headers: Vec::new(),
                value: serde_json::from_slice(line).unwrap(),
            });
        }
    }
    all
}

/// Paths of members, outermost first, evenly thinned.
fn paths(value: &Value) -> Vec<String> {
    fn below(value: &Value, path: &str, depth: usize, all: &mut Vec<(usize, String)>) {
        let inner: Vec<(String, &Value)> = match value {
            Value::Object(members) => members
                .iter()
                .map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value))
                .collect(),
            Value::Array(items) => items
                .iter()
                .take(2)
                .enumerate()
                .map(|(at, value)| (at.to_string(), value))
                .collect(),
            _ => Vec::new(),
        };
        for (name, value) in inner {
            let path = format!("{path}/{name}");
            all.push((depth, path.clone()));
            below(value, &path, depth + 1, all);
        }
    }
    let mut all = Vec::new();
    below(value, "", 0, &mut all);
    all.sort();
    let stride = all.len().div_ceil(MEMBERS_MAX).max(1);
    // The outermost ones all, the rest thinned.
    let shallow = all.iter().filter(|(depth, _)| *depth < 2).count();
    all.into_iter()
        .enumerate()
        .filter(|(at, _)| *at < shallow.min(MEMBERS_MAX) || at % stride == 0)
        .map(|(_, (_, path))| path)
        .collect()
}

fn drop_at(value: &mut Value, path: &str) {
    let (parent, name) = path.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Value::Object(members) => drop(members.remove(&name.replace("~1", "/").replace("~0", "~"))),
        Value::Array(items) => drop(items.remove(name.parse().unwrap())),
        _ => {}
    }
}

type Spell = fn(&str) -> String;

fn respell(value: &Value, spell: Spell) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, value)| (spell(name), respell(value, spell)))
                .collect::<Map<_, _>>(),
        ),
        Value::Array(items) => items.iter().map(|item| respell(item, spell)).collect(),
        other => other.clone(),
    }
}

#[test]
fn a_change_stays_a_change() {
    let reader = Reader::new();
    let fixtures = fixtures(&reader);
    let mut broken: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut tried: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for fixture in &fixtures {
        let whole = reader.read(fixture, fixture.value.to_string().as_bytes());
        let mut check = |how: &'static str, path: &str, value: &Value| {
            *tried.entry((fixture.source, how)).or_default() += 1;
            let endings = reader.read(fixture, value.to_string().as_bytes());
            let listed = |list: &[(&str, &[&str])]| {
                list.iter()
                    .any(|(source, paths)| *source == fixture.source && paths.contains(&path))
            };
            let gone = endings.iter().all(|ending| match ending {
                Ending::Event { .. } => false,
                Ending::Skip(reason) => *reason == "empty_envelope",
                Ending::Reject(_) => true,
            });
            let fine = endings.iter().any(is_change) || listed(DECIDING) || (gone && listed(NEEDED));
            if is_change(&whole[0]) && !fine {
                let path: String = path.replace(|symbol: char| symbol.is_ascii_digit(), "0");
                let entry = broken
                    .entry(format!("{} {how} {path}", fixture.source))
                    .or_default();
                entry.0 += 1;
                if entry.1.is_empty() {
                    entry.1 = format!("{endings:?} of {whole:?}").chars().take(600).collect();
                }
            }
        };
        for path in paths(&fixture.value) {
            let mut value = fixture.value.clone();
            drop_at(&mut value, &path);
            check("drop", &path, &value);
            let old = fixture.value.pointer(&path).unwrap();
            let others: &[(&'static str, Value)] = &[
                ("null", Value::Null),
                ("number", json!(17)),
                ("text", json!("x")),
                ("object", json!({"a": 1})),
                ("list", json!([])),
                ("true", json!(true)),
            ];
            for (how, other) in others {
                if old != other {
                    let mut value = fixture.value.clone();
                    *value.pointer_mut(&path).unwrap() = other.clone();
                    check(how, &path, &value);
                }
            }
        }
    }
    println!(
        "{} fixtures, {} mutated",
        fixtures.len(),
        tried.values().sum::<usize>()
    );
    let sources: BTreeSet<&str> = fixtures.iter().map(|fixture| fixture.source).collect();
    assert_eq!(sources, source_names().collect());
    for (what, (count, example)) in &broken {
        println!("{count:5} {what}\n      {example}");
    }
    assert!(broken.is_empty(), "{} ways to lose a change", broken.len());
}

/// What one event gives as a file of one line, as a whole array, compressed, with a name repeated, and cut off anywhere.
#[test]
fn packing_does_not_matter() {
    let reader = Reader::new();
    for fixture in fixtures(&reader) {
        let text = fixture.value.to_string();
        let whole = reader.read(&fixture, text.as_bytes());

        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        assert_eq!(reader.read(&fixture, &packed), whole, "gzip of {text}");
        let base64 = STANDARD.encode(&packed);
        assert_eq!(
            reader.read(&fixture, base64.as_bytes()),
            whole,
            "base64 of {text}"
        );
        assert_eq!(
            reader.read(&fixture, format!(" \n{text}\n").as_bytes()),
            whole,
            "{text}"
        );

        let several = reader.read(&fixture, format!("[{text},{text}]").as_bytes());
        let twice = [whole.as_slice(), whole.as_slice()].concat();
        assert_eq!(several, twice, "a list of {text}");

        // The last of two members of one name counts.
        let Some((name, _)) = fixture
            .value
            .as_object()
            .and_then(|members| members.iter().next())
        else {
            continue;
        };
        let repeated = format!("{{{}:[[0]],{}", json!(name), &text[1..]);
        for (once, again) in whole.iter().zip(reader.read(&fixture, repeated.as_bytes())) {
            let (
                Ending::Event { uid, time, .. },
                Ending::Event {
                    uid: same,
                    time: then,
                    marks,
                    ..
                },
            ) = (once, &again)
            else {
                panic!("{again:?} of {repeated}");
            };
            assert_eq!((uid, time), (same, then), "{repeated}");
            assert!(marks.contains(&"duplicate_key"), "{repeated}");
        }

        for cut in (0..text.len())
            .filter(|at| text.is_char_boundary(*at))
            .step_by(211)
        {
            let endings = reader.read(&fixture, &text.as_bytes()[..cut]);
            assert!(
                matches!(endings.as_slice(), [Ending::Reject(_)]),
                "{endings:?} of {}",
                &text[..cut]
            );
        }
        for cut in (1..packed.len()).step_by(97) {
            let endings = reader.read(&fixture, &packed[..cut]);
            assert!(
                matches!(endings.as_slice(), [Ending::Reject(_)]),
                "{endings:?} of {text}"
            );
        }
    }
}

#[test]
fn spelling_does_not_matter() {
    let reader = Reader::new();
    let mut broken: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for fixture in fixtures(&reader) {
        let whole = reader.read(&fixture, fixture.value.to_string().as_bytes());
        let spellings: [(&str, Spell); 2] = [
            ("lower", |name| name.to_lowercase()),
            ("upper", |name| name.to_uppercase()),
        ];
        for (how, spell) in spellings {
            let respelled = respell(&fixture.value, spell);
            let endings = reader.read(&fixture, respelled.to_string().as_bytes());
            let mut note = |what: &str, example: String| {
                let entry = broken
                    .entry(format!("{} {how} {what}", fixture.source))
                    .or_default();
                entry.0 += 1;
                if entry.1.is_empty() {
                    entry.1 = example.chars().take(500).collect();
                }
            };
            let (
                Ending::Event {
                    is_change: a,
                    actor: b,
                    operation: c,
                    resources: d,
                    time: e,
                    ..
                },
                [
                    Ending::Event {
                        is_change,
                        actor,
                        operation,
                        resources,
                        time,
                        ..
                    },
                ],
            ) = (&whole[0], endings.as_slice())
            else {
                note("lost", format!("{endings:?} of {whole:?}"));
                continue;
            };
            if is_change != a {
                note("is_change", format!("{is_change} of {a} {operation}"));
            }
            if actor != b {
                note("actor", format!("{actor} of {b}"));
            }
            if operation != c {
                note("operation", format!("{operation} of {c}"));
            }
            if resources != d {
                note("resources", format!("{resources:?} of {d:?}"));
            }
            if time != e {
                note("time", format!("{time} of {e}"));
            }
        }
    }
    for (what, (count, example)) in &broken {
        println!("{count:5} {what}\n      {example}");
    }
    assert!(broken.is_empty(), "{} ways to misread", broken.len());
}
