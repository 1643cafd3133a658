//! Every sample event, where the sample folder lies beside the project: no panic, a stated outcome for every line,
//! and at least as many lines with actor, action, resource and time as the table says.

use std::collections::BTreeSet;
use std::path::Path;

use bumpalo::Bump;
use changegate_normalize::{Child, source_names};
use changegate_types::{Mark, RawRecord};

use crate::given::{self, normalizer, sample};
use crate::invariants;
use crate::secrets::stays_when_masked_again;

/// File, source, and the least number of changes, and of those with an actor, an operation, a resource, a time.
pub(crate) const SAMPLES: &[(&str, &str, [usize; 5])] = &[
    (
        "aws-cloudtrail/background.jsonl",
        "aws.cloudtrail",
        [840, 840, 840, 821, 840],
    ),
    (
        "aws-cloudtrail/stratus_detonations.jsonl",
        "aws.cloudtrail",
        [310, 310, 310, 179, 310],
    ),
    (
        "aws-cloudtrail/streamalert.jsonl",
        "aws.cloudtrail",
        [40, 40, 40, 35, 36],
    ),
    (
        "aws-cloudtrail/cloud_custodian.jsonl",
        "aws.cloudtrail",
        [14, 13, 14, 14, 13],
    ),
    (
        "aws-cloudtrail/plaso_lookup_events.jsonl",
        "aws.cloudtrail",
        [6, 6, 6, 5, 6],
    ),
    (
        "panther/aws_cloudtrail.jsonl",
        "aws.cloudtrail",
        [91, 86, 91, 73, 85],
    ),
    (
        "aws-eventbridge/aws_lambda_go.jsonl",
        "aws.eventbridge",
        [16, 8, 16, 16, 10],
    ),
    (
        "aws-eventbridge/cloud_custodian.jsonl",
        "aws.eventbridge",
        [21, 12, 21, 19, 20],
    ),
    (
        "aws-eventbridge/streamalert.jsonl",
        "aws.eventbridge",
        [16, 15, 16, 13, 6],
    ),
    ("k8s-audit/falco.jsonl", "kubernetes.audit", [49, 49, 49, 49, 49]),
    (
        "k8s-audit/audit2rbac.jsonl",
        "kubernetes.audit",
        [37, 37, 37, 37, 37],
    ),
    ("panther/k8s_audit.jsonl", "kubernetes.audit", [40, 31, 40, 37, 0]),
    (
        "github-webhook/octokit.jsonl",
        "github.webhook",
        [270, 267, 270, 269, 216],
    ),
    (
        "panther/github_webhook.jsonl",
        "github.webhook",
        [22, 2, 22, 22, 2],
    ),
    (
        "github-audit/streamalert.jsonl",
        "github.audit",
        [18, 18, 18, 18, 18],
    ),
    ("panther/github_audit.jsonl", "github.audit", [43, 41, 43, 42, 29]),
    (
        "gitlab-webhook/go_gitlab.jsonl",
        "gitlab.webhook",
        [45, 21, 45, 45, 29],
    ),
    ("okta-system/streamalert.jsonl", "okta.system", [1, 1, 1, 1, 1]),
    ("panther/okta_system.jsonl", "okta.system", [7, 7, 7, 7, 6]),
    (
        "jira-webhook/mattermost.jsonl",
        "jira.webhook",
        [35, 35, 35, 35, 35],
    ),
    ("cdevents/conformance.jsonl", "cdevents", [48, 6, 48, 48, 48]),
    (
        "gcp-audit/cloud_custodian.jsonl",
        "gcp.audit",
        [46, 46, 46, 46, 46],
    ),
    ("gcp-audit/plaso.jsonl", "gcp.audit", [9, 9, 9, 9, 9]),
    ("gcp-audit/google_cloudevents.jsonl", "gcp.audit", [3, 3, 3, 3, 3]),
    ("panther/gcp_audit.jsonl", "gcp.audit", [48, 40, 45, 44, 36]),
    (
        "azure-activity/otel_diagnostic_export.jsonl",
        "azure.activity",
        [1, 1, 1, 1, 1],
    ),
    (
        "azure-activity/plaso_sdk_snake_case.jsonl",
        "azure.activity",
        [4, 4, 4, 4, 4],
    ),
    (
        "panther/azure_activity.jsonl",
        "azure.activity",
        [50, 11, 50, 50, 41],
    ),
    ("panther/entra_audit.jsonl", "azure.entra", [9, 9, 9, 8, 9]),
];

#[test]
fn every_source_is_in_the_docs() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sources.md");
    let text = std::fs::read_to_string(page).unwrap();
    let listed: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let known: BTreeSet<&str> = source_names().collect();
    assert_eq!(listed.len(), known.len());
    assert_eq!(BTreeSet::from_iter(listed), known);
}

#[test]
fn every_line_has_an_outcome() {
    let mut missing = Vec::new();
    println!(
        "{:45} {:>6} {:>7} {:>6} {:>6} {:>7} {:>8} {:>6} {:>5} {:>6}",
        "file", "lines", "changes", "skip", "reject", "actor", "action", "resrc", "time", "cuts"
    );
    for (file, source, least) in SAMPLES {
        assert!(source_names().any(|name| name == *source));
        let Some(text) = sample(file) else {
            continue;
        };
        let normalizer = normalizer(source);
        let mut counts = [0usize; 5];
        let (mut lines, mut skipped, mut rejected, mut cuts) = (0, 0, 0, 0);
        for line in given::lines(&text) {
            lines += 1;
            let record = given::record(&[], line);
            let arena = Bump::new();
            invariants::hold(&normalizer, &record);
            stays_when_masked_again(&normalizer, &record);
            for child in normalizer.record(&arena, &record).children {
                match child {
                    Child::Change(event) | Child::Learn(event) => {
                        let has = [
                            true,
                            !event.actor_uid.is_empty(),
                            !event.api_operation.is_empty(),
                            !event.resources.is_empty(),
                            !event.marks.has(Mark::MissingTime),
                        ];
                        counts
                            .iter_mut()
                            .zip(has)
                            .for_each(|(count, has)| *count += usize::from(has));
                    }
                    Child::Skip(_) => skipped += 1,
                    Child::Reject(_) => rejected += 1,
                }
            }
            // Whatever is cut off or broken must end somehow too.
            for end in (0..line.len()).step_by(97) {
                let record = RawRecord {
                    value: Some(&line[..end]),
                    ..record
                };
                invariants::hold(&normalizer, &record);
                cuts += 1;
            }
        }
        let [changes, actor, action, resource, time] = counts;
        println!(
            "{file:45} {lines:>6} {changes:>7} {skipped:>6} {rejected:>6} {actor:>7} {action:>8} {resource:>6} {time:>5} {cuts:>6}"
        );
        if counts.iter().zip(least).any(|(count, least)| count < least) {
            missing.push(format!("{file}: {counts:?}, at least {least:?}"));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
