//! Events on the wrong topic: what one source sends must not be taken for changes of another.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::Path;

use bumpalo::Bump;
use changegate_normalize::{Child, Normalizer, TenantSettings, TopicSettings, source_names};
use changegate_simulator::{Config, Simulation};
use changegate_types::{Position, RawRecord, TimeMicros};

/// 2026-11-24T00:00:00Z, the end of the simulated days.
const END_MS: i64 = 1_795_478_400_000;

/// Real events and what they are of, where they lie beside the project; what is none of the sources is so named.
const SAMPLES: &[(&str, &str)] = &[
    ("aws-cloudtrail/background.jsonl", "aws.cloudtrail"),
    ("aws-cloudtrail/cloud_custodian.jsonl", "aws.cloudtrail"),
    ("aws-cloudtrail/plaso_lookup_events.jsonl", "aws.cloudtrail"),
    ("aws-cloudtrail/streamalert.jsonl", "aws.cloudtrail"),
    ("panther/aws_cloudtrail.jsonl", "aws.cloudtrail"),
    ("aws-eventbridge/aws_lambda_go.jsonl", "aws.eventbridge"),
    ("aws-eventbridge/cloud_custodian.jsonl", "aws.eventbridge"),
    ("aws-eventbridge/streamalert.jsonl", "aws.eventbridge"),
    ("k8s-audit/falco.jsonl", "kubernetes.audit"),
    ("k8s-audit/audit2rbac.jsonl", "kubernetes.audit"),
    ("panther/k8s_audit.jsonl", "kubernetes.audit"),
    ("github-webhook/octokit.jsonl", "github.webhook"),
    ("panther/github_webhook.jsonl", "github.webhook"),
    ("github-audit/streamalert.jsonl", "github.audit"),
    ("panther/github_audit.jsonl", "github.audit"),
    ("gitlab-webhook/go_gitlab.jsonl", "gitlab.webhook"),
    ("okta-system/streamalert.jsonl", "okta.system"),
    ("panther/okta_system.jsonl", "okta.system"),
    ("jira-webhook/mattermost.jsonl", "jira.webhook"),
    ("cdevents/conformance.jsonl", "cdevents"),
    ("gcp-audit/cloud_custodian.jsonl", "gcp.audit"),
    ("gcp-audit/plaso.jsonl", "gcp.audit"),
    ("gcp-audit/google_cloudevents.jsonl", "gcp.audit"),
    ("panther/gcp_audit.jsonl", "gcp.audit"),
    ("azure-activity/otel_diagnostic_export.jsonl", "azure.activity"),
    ("azure-activity/plaso_sdk_snake_case.jsonl", "azure.activity"),
    ("panther/azure_activity.jsonl", "azure.activity"),
    ("panther/entra_audit.jsonl", "azure.entra"),
    ("azuredevops-webhook/go_playground.jsonl", "azure devops"),
    ("bitbucket-server-webhook/go_playground.jsonl", "bitbucket server"),
    ("bitbucket-webhook/go_playground.jsonl", "bitbucket"),
    ("k8s-admission/cloud_custodian.jsonl", "admission review"),
    ("terraform-plan/infracost.jsonl", "terraform plan"),
];

/// Reader, what it is given, and why that is right.
const READ_TOO: &[(&str, &str, &str)] = &[
    ("aws.cloudtrail", "aws.eventbridge", "calls come through the bus"),
    (
        "aws.eventbridge",
        "aws.cloudtrail",
        "rules may take off the envelope",
    ),
    ("azure.activity", "azure.entra", "one event hub may hold both"),
    ("azure.entra", "azure.activity", "one event hub may hold both"),
];

/// Percent of another source's events that may pass for one's own.
const PERCENT_MAX: usize = 5;

/// Percent of its own events that a source reads at least; the rest are pings and stages that it leaves out.
const OWN_PERCENT_MIN: usize = 95;

struct Event {
    of: &'static str,
    headers: Vec<(&'static str, Vec<u8>)>,
    value: Vec<u8>,
}

fn events() -> Vec<Event> {
    let mut all = Vec::new();
    let config = Config {
        rate: 0.2,
        ..Config::days(11, 3, END_MS)
    };
    let made = Simulation::new(config).run(|emitted| {
        if let Some(of) = source_names().find(|name| *name == emitted.source) {
            let headers = emitted.headers.iter().map(|(name, value)| (*name, value.clone()));
            all.push(Event {
                of,
                headers: headers.collect(),
                value: emitted.value.to_vec(),
            });
        }
        Ok::<(), std::convert::Infallible>(())
    });
    assert!(made.is_ok());
    for (file, of) in SAMPLES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
        // A user's clone has no samples.
        let Ok(text) = std::fs::read(folder.join(file)) else {
            continue;
        };
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let mut push = |value: Vec<u8>| {
                let headers = Vec::new();
                all.push(Event { of, headers, value });
            };
            push(line.to_vec());
            // Without headers the body alone says whose it is.
            let value: serde_json::Value = serde_json::from_slice(line).unwrap();
            if value.get("headers").is_some() {
                push(value["body"].to_string().into_bytes());
            }
        }
    }
    all
}

fn is_read(normalizer: &Normalizer, event: &Event) -> bool {
    let headers: Vec<(&str, &[u8])> = event
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_slice()))
        .collect();
    let position = Position {
        topic: "t",
        incarnation: 0,
        partition: 0,
        offset: 0,
    };
    let record = RawRecord {
        position,
        kafka_time: TimeMicros::from_millis(END_MS),
        key: None,
        headers: &headers,
        value: Some(&event.value),
    };
    let arena = Bump::new();
    let children = normalizer.record(&arena, &record).children;
    children
        .iter()
        .any(|child| matches!(child, Child::Change(_) | Child::Learn(_)))
}

#[test]
fn what_another_source_sent_is_refused() {
    let events = events();
    let mut wrong = Vec::new();
    for source in source_names() {
        let tenant = TenantSettings {
            uid: "acme".into(),
            mask_key: b"a key for tests".to_vec(),
            ..TenantSettings::default()
        };
        let normalizer = Normalizer::new(TopicSettings::of(source), tenant).unwrap();
        let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
        for event in &events {
            let [read, all] = counts.entry(event.of).or_default();
            *read += usize::from(is_read(&normalizer, event));
            *all += 1;
        }
        let cells = counts.iter().filter(|(_, [read, _])| *read > 0);
        let cells: Vec<String> = cells
            .map(|(of, [read, all])| format!("{of} {read}/{all}"))
            .collect();
        println!("{source:17} reads {}", cells.join(", "));
        for (of, [read, all]) in counts {
            let listed = READ_TOO
                .iter()
                .any(|(reader, given, _)| *reader == source && *given == of);
            if of == source {
                if read * 100 < all * OWN_PERCENT_MIN {
                    wrong.push(format!("{source} takes {read} of {all} of its own"));
                }
            } else if read * 100 > all * PERCENT_MAX && !listed {
                wrong.push(format!("{source} takes {read} of {all} of {of}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
