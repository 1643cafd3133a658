//! Events on the wrong topic: what one source sends must not be taken for changes of another.

use std::collections::BTreeMap;

use bumpalo::Bump;
use changegate_normalize::{Child, Normalizer, source_names};
use changegate_simulator::{Header, header_pairs};

use crate::given::{lines, normalizer, record, sample, simulate};
use crate::samples::SAMPLES;

/// Real events of none of the sources, and what they are of.
const OTHERS: [(&str, &str); 5] = [
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
    headers: Vec<Header>,
    value: Vec<u8>,
}

fn events() -> Vec<Event> {
    let mut all = Vec::new();
    simulate(11, 0.2, |emitted| {
        if let Some(of) = source_names().find(|name| *name == emitted.source) {
            all.push(Event {
                of,
                headers: emitted.headers.to_vec(),
                value: emitted.value.to_vec(),
            });
        }
    });
    let samples = SAMPLES.iter().map(|(file, of, _)| (*file, *of));
    for (file, of) in samples.chain(OTHERS) {
        for line in sample(file).iter().flat_map(|text| lines(text)) {
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
    let headers = header_pairs(&event.headers);
    let arena = Bump::new();
    let children = normalizer
        .record(&arena, &record(&headers, &event.value))
        .children;
    children
        .iter()
        .any(|child| matches!(child, Child::Change(_) | Child::Learn(_)))
}

#[test]
fn what_another_source_sent_is_refused() {
    let events = events();
    let mut wrong = Vec::new();
    for source in source_names() {
        let normalizer = normalizer(source);
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
