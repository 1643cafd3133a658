//! `docs/questions.md`: every question is asked, with the rights of whoever should ask it.

use std::path::Path;

use changegate_clickhouse::questions;
use changegate_types::{ChangeEvent, Keyed128, Mark, Marks, Resource, TimeMicros, Verb};

use crate::rows::{Block, TIME, context, event};
use crate::server::Server;

fn load(server: &Server) {
    let ledger = server.ledger("questions");
    let mut block = Block::default();
    let minutes = |count: i64| TimeMicros(TIME.0 + count * 60_000_000);
    let mut uncertain = Marks::default();
    uncertain.set(Mark::UnknownEnvironment);
    let bucket: &[Resource<'_>] = &[Resource {
        uid: "arn:aws:s3:::payroll",
        kind: "AWS::S3::Bucket",
        name: "payroll",
    }];
    let changes = [
        ChangeEvent {
            cicd_run_id: "",
            ..event()
        },
        ChangeEvent {
            ticket_uids: &[],
            cicd_run_id: "",
            event_time: minutes(3),
            resources: bucket,
            ..event()
        },
        ChangeEvent {
            actor_uid: "break-glass-admin",
            event_time: minutes(5),
            ..event()
        },
        ChangeEvent {
            marks: uncertain,
            environment: "unknown",
            event_time: minutes(7),
            ..event()
        },
        ChangeEvent {
            event_uid: Keyed128(10),
            is_amendment_of: "e-1",
            event_time: minutes(9),
            ..event()
        },
    ];
    for (index, change) in (0u32..).zip(changes) {
        let change = ChangeEvent {
            change_uid: Keyed128(100 + u128::from(index)),
            ..change
        };
        block.whole(
            &context(i64::from(index), 1, 0),
            &change,
            Some(50.0 + 10.0 * index as f32),
        );
    }
    for read in 0..25 {
        let change = ChangeEvent {
            verb: Verb::Read,
            api_operation: "GetSecretValue",
            privilege_class: changegate_types::PrivilegeClass::Keys,
            is_change: false,
            ..event()
        };
        block.whole(&context(100 + read, 1, 0), &change, Some(1.0));
    }
    let mut outcomes = changegate_pipeline::rows::Outcomes::default();
    outcomes.dead_letter(changegate_types::RejectCode::NotJson);
    outcomes.skip(changegate_types::SkipReason::Tombstone);
    block.reject(&context(200, 1, 0), 0);
    block.record(&context(200, 1, 0), &outcomes);
    block.conflict(&context(201, 1, 0), &event());
    block.send(&ledger, 1, 0);
}

pub(crate) fn every_question_has_an_answer(server: &Server) {
    load(server);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/questions.md");
    let page = std::fs::read_to_string(page).expect("docs/questions.md");
    let questions = questions::in_page(&page).expect("a block of SQL under each heading");
    assert!(questions.len() >= 15, "{} questions", questions.len());
    for question in questions {
        let heading = &question.heading;
        let user = if question.needs_raw() { "auditor" } else { "reader" };
        let client = server.client_as("questions", user, user);
        // The rows are of a fixed day; the page tells its readers to look back in the same way.
        let answer = server
            .ask(&client, &question.at("2026-08-15 14:32:00"))
            .unwrap_or_else(|error| panic!("{heading}: {error}"));
        assert_eq!(answer.is_empty(), question.empty_is_good(), "{heading}: {answer}");
    }
}
