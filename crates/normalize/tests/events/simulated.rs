//! Simulated events of every source: what share of them is read with actor, operation, resource and time.

use std::collections::BTreeMap;

use bumpalo::Bump;
use changegate_normalize::{Child, Normalizer, source_names};
use changegate_simulator::header_pairs;
use changegate_types::{Mark, RawRecord, TimeMicros};

use crate::given::{normalizer, record, simulate};

/// Per cent of the events that must have an operation, a time, an actor; and of the changes, a resource.
const LEAST: [usize; 4] = [99, 98, 99, 98];
/// Where the source hardly ever says it: who acted, for what AWS tells of itself; when, for pushes to GitLab.
const LESS: [(&str, [usize; 4]); 2] = [
    ("aws.eventbridge", [99, 98, 2, 98]),
    ("gitlab.webhook", [99, 60, 99, 98]),
];

#[test]
fn what_is_made_up_is_read() {
    let normalizers: BTreeMap<&str, Normalizer> = source_names()
        .map(|source| (source, normalizer(source)))
        .collect();
    // Events, those with an operation, a time, an actor; changes, those with a resource.
    let mut counts: BTreeMap<&str, [usize; 6]> = BTreeMap::new();
    simulate(5, 0.5, |emitted| {
        let headers = header_pairs(emitted.headers);
        let record = RawRecord {
            kafka_time: TimeMicros::from_millis(emitted.record_time_ms),
            key: emitted.key,
            ..record(&headers, emitted.value)
        };
        let arena = Bump::new();
        let Some(normalizer) = normalizers.get(emitted.source) else {
            panic!("{} is simulated and not read", emitted.source);
        };
        for child in normalizer.record(&arena, &record).children {
            let (Child::Change(event) | Child::Learn(event)) = child else {
                // What is damaged on purpose is rejected, and only that.
                assert!(
                    emitted.malformed.is_some() || matches!(child, Child::Skip(_)),
                    "{child:?}"
                );
                continue;
            };
            let has = [
                true,
                !event.api_operation.is_empty(),
                !event.marks.has(Mark::MissingTime),
                !event.actor_uid.is_empty(),
                event.is_change,
                event.is_change && !event.resources.is_empty(),
            ];
            let counts = counts.entry(emitted.source).or_default();
            for (count, has) in counts.iter_mut().zip(has) {
                *count += usize::from(has);
            }
        }
    });
    let mut poor = Vec::new();
    for (source, counts) in &counts {
        let [events, operation, time, actor, changes, resource] = *counts;
        let shares = [
            operation * 100 / events,
            time * 100 / events,
            actor * 100 / events,
            // GitLab's audit log is all sign-ins and git operations in the simulation.
            (resource * 100).checked_div(changes).unwrap_or(100),
        ];
        println!(
            "{source:18} {events:>6} events, operation time actor {:?} %; {changes:>6} changes, resource {} %",
            &shares[..3],
            shares[3]
        );
        let least = LESS.iter().find(|(name, _)| name == source);
        let least = least.map_or(LEAST, |(_, least)| *least);
        if shares.iter().zip(least).any(|(share, least)| *share < least) {
            poor.push(format!(
                "{source}: {counts:?}, {shares:?} % of at least {least:?}"
            ));
        }
    }
    assert_eq!(counts.len(), normalizers.len(), "every source is simulated");
    assert!(poor.is_empty(), "{poor:#?}");
}
