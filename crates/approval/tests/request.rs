//! Requests: same row, same bytes; every member as the schema says; who asks and who does not.

use changegate_approval::{
    Ask, AskRules, Asker, Candidate, DECISION_TYPE, Kind, StoredChange, group_id, request_id,
};
use changegate_types::{
    ChangeEvent, DecidedChange, Decision, Keyed128, Mark, Marks, Position, Reason, Resource, RiskScore,
    Score, TimeMicros, Versions,
};
use serde_json::Value;

const NOW: TimeMicros = TimeMicros(1_795_507_200_123_456);

fn row(ask: Ask, risk: Option<f32>) -> StoredChange {
    let resources = [Resource {
        uid: "arn:aws:s3:::b",
        kind: "AWS::S3::Bucket",
        name: "b\"ü",
    }];
    let event = ChangeEvent {
        change_uid: Keyed128(7),
        tenant_uid: "acme",
        source: "aws.cloudtrail",
        api_operation: "DeleteTrail",
        event_time: TimeMicros(NOW.0 - 5_000_000),
        resources: &resources,
        ticket_uids: &["CHG0030192"],
        is_change: true,
        ..ChangeEvent::default()
    };
    let reasons = [Reason {
        feature: "action",
        text: "first time",
        contribution: 0.1,
    }];
    let score = risk.map(|points| Score {
        risk: RiskScore::new(points),
        extrapolated: false,
        raw: 0.7,
        stratum: "human/production",
        learning: false,
        features: &[1, 2],
        reasons: &reasons,
    });
    let decided = DecidedChange {
        event: &event,
        score,
        decision: Decision::RequireApproval,
        rules: &["risk>=60"],
        decision_time: NOW,
    };
    let position = Position {
        topic: "changegate.raw.aws.cloudtrail.v1",
        incarnation: 0,
        partition: 3,
        offset: 41,
    };
    let mut marks = Marks::default();
    marks.set(Mark::KafkaTimeCut);
    StoredChange::new(
        position,
        2,
        NOW,
        NOW,
        &decided,
        marks,
        false,
        ask,
        &Versions::default(),
    )
}

#[test]
fn the_same_row_gives_the_same_bytes() {
    let (first, second) = (row(Ask::Asked, Some(87.654_32)), row(Ask::Asked, Some(87.654_32)));
    assert_eq!(first.request(), second.request());
    let request = first.request().unwrap();
    assert_eq!(request.request_id, request_id("acme", Keyed128(7)));
    assert_eq!(
        request.headers[1],
        ("ce_id".to_owned(), request.request_id.to_string())
    );
}

#[test]
fn only_rows_that_ask_have_a_request() {
    for ask in Ask::ALL {
        assert_eq!(
            row(ask, Some(70.0)).request().is_some(),
            matches!(ask, Ask::Asked | Ask::Grouped),
            "{ask:?}"
        );
        assert_eq!(Ask::parse(ask.name()), Some(ask));
    }
}

#[test]
fn bodies_are_as_the_schema_says() {
    let schema: Value = serde_json::from_str(include_str!("../schema/changegate.approval.v1.json")).unwrap();
    for (ask, risk) in [
        (Ask::Asked, Some(61.5)),
        (Ask::Grouped, Some(99.0)),
        (Ask::Asked, None),
    ] {
        let body: Value = serde_json::from_slice(&row(ask, risk).request().unwrap().body).unwrap();
        conforms(&schema, &body, "body");
        assert_eq!(body.get("group").is_some(), ask == Ask::Grouped);
    }
    let mut body: Value = serde_json::from_slice(&row(Ask::Asked, None).request().unwrap().body).unwrap();
    assert_eq!(body["score"]["risk"], Value::Null);
    assert_eq!(
        body["expires_time"],
        TimeMicros(NOW.0 + 7 * 86_400_000_000).to_string()
    );
    body["row"]["offset"] = Value::from("41");
    assert!(
        std::panic::catch_unwind(|| conforms(&schema, &body, "body")).is_err(),
        "the check can fail"
    );
}

#[test]
fn decisions_are_as_their_schema_says_and_reads_have_none() {
    let schema: Value = serde_json::from_str(include_str!("../schema/changegate.decision.v1.json")).unwrap();
    for ask in Ask::ALL {
        let own = row(ask, Some(12.5));
        let decision = own.published_decision().unwrap();
        let body: Value = serde_json::from_slice(&decision.body).unwrap();
        conforms(&schema, &body, "body");
        assert_eq!(body["approval"], ask.name());
        assert_eq!(decision.change_uid, Keyed128(7));
        assert!(
            decision
                .headers
                .contains(&("ce_type".to_owned(), DECISION_TYPE.to_owned()))
        );
        assert_eq!(
            own.published_decision().unwrap(),
            decision,
            "the same row, the same bytes"
        );
    }
    for rule in ["not_a_change", "redelivery"] {
        let mut own = row(Ask::None, None);
        own.rules = vec![rule.to_owned()];
        assert_eq!(own.published_decision(), None);
    }
}

/// As much of JSON Schema 2020-12 as our schema uses.
#[track_caller]
fn conforms(schema: &Value, value: &Value, at: &str) {
    if let Some(expected) = schema.get("const") {
        assert_eq!(value, expected, "{at}");
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
        assert!(allowed.contains(value), "{at}: {value} is none of {allowed:?}");
    }
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{at}: unknown type {other}"),
    };
    match schema.get("type") {
        Some(Value::String(name)) => assert!(is(name), "{at}: {value} is no {name}"),
        Some(Value::Array(names)) => {
            assert!(
                names.iter().filter_map(Value::as_str).any(is),
                "{at}: {value} is none of {names:?}"
            )
        }
        _ => {}
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        let digits: usize = if pattern.contains("32") { 32 } else { 64 };
        let text = value.as_str().unwrap();
        assert!(
            text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{at}: {text}"
        );
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        conforms(&schema["items"], item, &format!("{at}[{index}]"));
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, member) in value.as_object().unwrap() {
            let of_member = properties
                .get(name)
                .unwrap_or_else(|| panic!("{at}: {name} is not in the schema"));
            conforms(of_member, member, &format!("{at}.{name}"));
        }
        for name in schema["required"].as_array().unwrap() {
            assert!(
                value.get(name.as_str().unwrap()).is_some(),
                "{at}: {name} is missing"
            );
        }
    }
}

#[test]
fn a_gate_is_told_by_its_event_alone() {
    let mut waiting = row(Ask::Asked, Some(70.0));
    assert_eq!(Kind::of(&waiting), Kind::Review);
    waiting.source = "github.webhook".into();
    waiting.api_operation = "deployment_protection_rule.requested".into();
    assert_eq!(Kind::of(&waiting), Kind::Gate);
}

fn candidate(change_uid: u128) -> Candidate<'static> {
    Candidate {
        tenant_uid: "acme",
        change_uid: Keyed128(change_uid),
        decision: Decision::RequireApproval,
        is_change: true,
        redelivery: false,
        learning: None,
        event_time: NOW,
        ingest_time: NOW,
        decision_time: NOW,
    }
}

fn asker(budget_per_hour: u32) -> Asker {
    Asker::new(
        AskRules {
            approval_max_age_micros: 3_600_000_000,
            learning_approve_from: 64.0,
            budget_per_hour,
        },
        1_000,
    )
}

#[test]
fn no_storm() {
    let mut asker = asker(2);
    let mut ask = |change: Candidate<'_>| asker.ask(&change).ask;
    assert_eq!(
        ask(Candidate {
            decision: Decision::Allow,
            ..candidate(1)
        }),
        Ask::None
    );
    assert_eq!(
        ask(Candidate {
            is_change: false,
            ..candidate(1)
        }),
        Ask::None
    );
    assert_eq!(
        ask(Candidate {
            redelivery: true,
            ..candidate(1)
        }),
        Ask::Repeat
    );
    assert_eq!(
        ask(Candidate {
            event_time: TimeMicros(NOW.0 - 3_600_000_001),
            ..candidate(1)
        }),
        Ask::Backfill
    );
    assert_eq!(
        ask(Candidate {
            learning: Some(RiskScore::new(63.9)),
            ..candidate(1)
        }),
        Ask::Learning
    );
    // The extreme asks from the first hour on.
    assert_eq!(
        ask(Candidate {
            learning: Some(RiskScore::new(64.0)),
            ..candidate(1)
        }),
        Ask::Asked
    );
    // Not durable yet: it must be asked again.
    assert_eq!(ask(candidate(1)), Ask::Asked);
    assert_eq!(ask(candidate(2)), Ask::Grouped);
    let next_hour = TimeMicros(NOW.0 + 3_600_000_000);
    assert_eq!(
        ask(Candidate {
            decision_time: next_hour,
            ..candidate(3)
        }),
        Ask::Asked
    );
    asker.durable(Keyed128(3));
    assert_eq!(
        asker
            .ask(&Candidate {
                decision_time: next_hour,
                ..candidate(3)
            })
            .ask,
        Ask::Repeat
    );
}

#[test]
fn the_budget_alarms_once_an_hour_and_tenants_do_not_share_it() {
    let mut asker = asker(1);
    let alarms = (0..5u128)
        .filter(|change| asker.ask(&candidate(*change)).budget_just_used)
        .count();
    assert_eq!(alarms, 1);
    assert_eq!(
        asker
            .ask(&Candidate {
                tenant_uid: "other",
                ..candidate(9)
            })
            .ask,
        Ask::Asked
    );
    let hour_later = TimeMicros(NOW.0 + 3_600_000_000);
    assert_eq!(group_id("acme", NOW), group_id("acme", TimeMicros(NOW.0 + 1)));
    assert_ne!(group_id("acme", NOW), group_id("acme", hour_later));
    assert_ne!(group_id("acme", NOW), group_id("other", NOW));
}
