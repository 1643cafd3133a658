//! `docs/questions.md`: every question is asked, with the rights of whoever should ask it.

use std::path::Path;

use changegate_types::{ChangeEvent, Keyed128, Mark, Marks, Resource, TimeMicros, Verb};

use crate::rows::{Block, TIME, context, event};
use crate::server::Server;

struct Question {
    heading: String,
    sql: String,
}

/// `## heading`, then one block of SQL.
fn questions(page: &str) -> Vec<Question> {
    let mut found = Vec::new();
    for part in page.split("\n## ").skip(1) {
        let heading = part.lines().next().unwrap_or_default().to_owned();
        let sql = part
            .split("```sql\n")
            .nth(1)
            .and_then(|rest| rest.split("```").next());
        found.push(Question {
            heading,
            sql: sql.expect("a block of SQL under each heading").trim().to_owned(),
        });
    }
    found
}

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
    let questions = questions(&std::fs::read_to_string(page).expect("docs/questions.md"));
    assert!(questions.len() >= 15, "{} questions", questions.len());
    for Question { heading, sql } in questions {
        let user = if sql.contains("raw_changes") {
            "auditor"
        } else {
            "reader"
        };
        let client = server.client_as("questions", user, user);
        // The rows are of a fixed day; the page tells its readers to look back in the same way.
        let sql = sql.replace("now()", "toDateTime('2026-08-15 14:32:00', 'UTC')");
        let answer = server
            .ask(&client, &sql)
            .unwrap_or_else(|error| panic!("{heading}: {error}"));
        let good_when_empty = heading.ends_with("(empty is good)");
        assert_eq!(answer.is_empty(), good_when_empty, "{heading}: {answer}");
    }
}
