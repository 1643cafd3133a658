//! The commands beside a running `changegate up`: events in, requests and dead letters out, all through the program.

use changegate_tests::{Folder, Said, Up, changegate, until};

/// Everything that is out of line asks at once: no learning phase, no age limit.
const SETTINGS: &str = r#"
[kafka]
raw_record_bytes_max = "64KiB"
retention = "3650d"
session_timeout = "6s"
[decision]
approve_from = 1.0
approval_max_age = "3650d"
learning_period = "0h"
[[topics]]
name = "raw.cloudtrail"
source = "aws.cloudtrail"
partitions = 1
[[topics]]
name = "raw.github"
source = "github.webhook"
partitions = 1
[[topics]]
name = "raw.mixed"
source = "okta.system"
partitions = 1
"#;

fn trail(id: &str, operation: &str, time: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.11","eventID":"{id}","eventName":"{operation}","eventSource":"iam.amazonaws.com","eventTime":"{time}","awsRegion":"eu-central-1","recipientAccountId":"111122223333","readOnly":false,"userIdentity":{{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/alice","userName":"alice","accountId":"111122223333"}},"requestParameters":{{"userName":"bob"}}}}"#
    )
}

fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn events_go_in_and_requests_and_dead_letters_come_out() {
    let folder = Folder::new("commands");
    let up = Up::start(&folder, SETTINGS);
    // A free port was asked for, and where probes are answered is said.
    let probes = up.told().lines().find(|line| line.starts_with("Probes"));
    assert!(
        probes.is_some_and(|line| line.contains("http://127.0.0.1:") && !line.contains(":0/")),
        "{}",
        up.told()
    );
    ingest(&up, &folder);
    bad_input(&up, &folder);
    approvals(&up);
    dead_letters(&up);
    rescore(&up, &folder);
    answers(&up);
    status(&up);
    let mut ask = up.command(&["status"]);
    assert_eq!(up.stop(), Some(0));
    let said = Said::by(&mut ask, "").status(1);
    assert!(
        said.out.contains("nobody answers") && said.out.contains("no `changegate up` runs"),
        "{said:#?}"
    );

    // The records of raw.mixed were CloudTrail's all the time: mended in the settings, they are replayed.
    let mended = SETTINGS
        .replace("okta.system", "aws.cloudtrail")
        .replace("raw.cloudtrail", "raw.other");
    let up = Up::start(&folder, &mended);
    replay(&up);
    assert_eq!(up.stop(), Some(0));
}

fn status(up: &Up) {
    let said = up.run(&["status", "--output", "json"]).status(0);
    let picture: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let process = &picture["processes"][0];
    assert_eq!(
        (&picture["well"], &process["ready"], &process["lag_records"]),
        (&true.into(), &true.into(), &0.into()),
        "{picture}"
    );
    // What the process counted is what the ledger holds, of whatever age.
    let ledger = up.sql("SELECT sum(read), sum(written), sum(dead_lettered) FROM v_conservation");
    let counted = ["read", "written", "dead_lettered"].map(|name| process[name].to_string());
    assert_eq!(counted.join("\t"), ledger);
    assert!(process["rejects"]["not_json"].as_u64() > Some(0), "{process}");
    assert_eq!(picture["kafka"]["lag_records"], 0);
    assert_eq!(picture["ledger"]["operations"][0]["kind"], "replay");

    let said = up.run(&["status"]).status(0);
    let long = said.out.lines().find(|line| line.chars().count() > 80);
    assert_eq!(long, None, "{}", said.out);
    assert!(said.out.lines().count() <= 30, "{}", said.out);
    let said = up.run(&["status", "--at", "127.0.0.1:1"]).status(1);
    assert!(said.out.contains("http://127.0.0.1:1/"), "{said:#?}");
}

fn ingest(up: &Up, folder: &Folder) {
    let lines = [
        trail("e1", "DeleteTrail", "2024-11-03T10:00:00Z"),
        trail("e2", "CreateAccessKey", "2024-11-03T10:05:00Z"),
        trail("e3", "AttachUserPolicy", "2024-11-03T10:06:00Z"),
    ];
    let file = folder.file("trail.jsonl", lines.join("\n"));
    let file = file.to_str().unwrap();
    let said = up
        .run(&["ingest", "--source", "aws.cloudtrail", file, "--output", "jsonl"])
        .status(0);
    let sent = &json_lines(&said.out)[0];
    assert_eq!(
        (&sent["records"], &sent["not_sent"]),
        (&3.into(), &0.into()),
        "{sent}"
    );
    assert_eq!(sent["oldest"], "2024-11-03T10:00:00Z");
    assert_eq!(said.err, "", "no progress bar but on a terminal");
    up.wait_for(
        "SELECT count() FROM v_changes WHERE topic = 'raw.cloudtrail'",
        "3",
    );
    // The record's time is the event's.
    assert_eq!(
        up.sql("SELECT countIf(kafka_time = event_time) FROM v_changes WHERE topic = 'raw.cloudtrail'"),
        "3"
    );

    // A delivery with its HTTP headers becomes headers and body.
    let delivery = r#"{"headers":{"X-GitHub-Event":"repository","X-GitHub-Delivery":"d-1"},"body":{"action":"deleted","repository":{"full_name":"acme/shop","html_url":"https://github.com/acme/shop"},"sender":{"login":"alice","type":"User"}}}"#;
    let mut command = up.command(&["ingest", "--source", "github.webhook", "-", "--output", "jsonl"]);
    Said::by(&mut command, delivery).status(0);
    up.wait_for(
        "SELECT api_operation || ' ' || native_uid || ' ' || vcs_repo FROM v_changes WHERE topic = 'raw.github'",
        "repository.deleted d-1 acme/shop",
    );

    let large = folder.file(
        "large.jsonl",
        format!(
            "{}\n{{\"pad\":\"{}\"}}\n",
            trail("e4", "CreateUser", "2024-11-03T10:07:00Z"),
            "x".repeat(70_000)
        ),
    );
    let said = up
        .run(&[
            "ingest",
            "--source",
            "aws.cloudtrail",
            large.to_str().unwrap(),
            "--output",
            "jsonl",
        ])
        .status(1);
    let fault = &json_lines(&said.err)[0];
    assert_eq!(
        (&fault["line"], &fault["code"]),
        (&2.into(), &"too_large".into()),
        "{fault}"
    );
    assert_eq!(json_lines(&said.out)[0]["records"], 1);

    for (arguments, expected) in [
        (
            &["ingest", "--source", "aws.cloudtrial", file][..],
            "did you mean aws.cloudtrail?",
        ),
        (
            &["ingest", "--source", "jira.webhook", file],
            "no [[topics]] entry",
        ),
        (
            &[
                "ingest",
                "--source",
                "aws.cloudtrail",
                "--topic",
                "raw.github",
                file,
            ],
            "raw.cloudtrail would",
        ),
        (
            &["ingest", "--source", "aws.cloudtrail", "/no/such/file"],
            "/no/such/file",
        ),
        (&["ingest", "--source", "aws.cloudtrail"], "no file given"),
    ] {
        let said = up.run(arguments).status(2);
        assert!(said.err.contains(expected), "{arguments:?}: {}", said.err);
    }
}

fn bad_input(up: &Up, folder: &Folder) {
    let deep = format!("{{\"eventID\":{}1{}}}", "[".repeat(500), "]".repeat(500));
    let lines: [&[u8]; 9] = [
        b"{broken",
        b"{\"eventName\":\"\xff\xfe\"}",
        b"{\"eventName\":\"DeleteTrail\",\"eventTi",
        deep.as_bytes(),
        // From here on they are changes, with what is odd about them marked.
        br#"{"eventID":"m1","eventName":"DeleteTrail","eventName":"StopLogging","eventTime":"2024-11-03T11:00:00Z"}"#,
        br#"{"eventName":"DeleteTrail"}"#,
        br#"{"eventID":"m3","eventName":"DeleteTrail","eventTime":"2199-01-01T00:00:00Z"}"#,
        br#"{"eventID":"m4","eventVersion":"9.99","eventName":"FrobnicateTrail","eventTime":"2024-11-03T11:00:00Z","userIdentity":7}"#,
        br#"{"eventID":"m5","eventName":"DeleteTrail","eventTime":17}"#,
    ];
    let file = folder.file("bad.jsonl", lines.join(&b'\n'));
    // What is no JSON is for the stream to refuse: `ingest` sends it.
    let said = up
        .run(&[
            "ingest",
            "--source",
            "aws.cloudtrail",
            file.to_str().unwrap(),
            "--output",
            "jsonl",
        ])
        .status(0);
    let sent = &json_lines(&said.out)[0];
    assert_eq!(sent["times_clipped"], 2, "the years 2199 and 1970: {sent}");
    up.wait_for(
        "SELECT count() FROM v_raw_records WHERE topic = 'raw.cloudtrail'",
        "13",
    );
    assert_eq!(
        up.sql("SELECT code FROM v_rejected WHERE topic = 'raw.cloudtrail' ORDER BY offset"),
        "not_json\ninvalid_utf8\ntruncated_json\ntoo_deep"
    );
    let marks = "SELECT api_operation, arrayStringConcat(arraySort(arrayFilter(m -> m IN ('duplicate_key', 'uid_from_content', \
        'missing_actor', 'missing_time', 'time_out_of_range', 'unknown_version', 'wrong_type'), marks)), ',') \
        FROM v_changes WHERE topic = 'raw.cloudtrail' AND offset >= 8 ORDER BY offset";
    let marks = up.sql(marks);
    let marks: Vec<&str> = marks.lines().collect();
    for (line, expected) in marks.iter().zip([
        &["StopLogging", "duplicate_key"][..],
        &["DeleteTrail", "missing_actor", "missing_time", "uid_from_content"],
        &["DeleteTrail", "time_out_of_range"],
        &["FrobnicateTrail", "missing_actor"],
        &["DeleteTrail", "time_out_of_range"],
    ]) {
        assert!(
            expected.iter().all(|word| line.contains(word)),
            "{line}: {expected:?}"
        );
    }
    assert_eq!(marks.len(), 5);
    assert_eq!(up.sql("SELECT sum(missing) FROM v_conservation"), "0");
    // The year 2199 drives neither partition nor record time.
    assert_eq!(
        up.sql("SELECT count() FROM v_changes WHERE kafka_time > now() + INTERVAL 2 HOUR"),
        "0"
    );

    let mixed = [
        trail("x1", "DeleteUser", "2024-11-03T12:00:00Z"),
        trail("x2", "DeleteRole", "2024-11-03T12:01:00Z")
            .replace("\"bob\"", "\"bob\",\"password\":\"hunter2-hunter2\""),
    ];
    let mut command = up.command(&["ingest", "--source", "okta.system", "-"]);
    Said::by(&mut command, &mixed.join("\n")).status(0);
    up.wait_for("SELECT count() FROM v_rejected WHERE topic = 'raw.mixed'", "2");
}

fn approvals(up: &Up) {
    let said = up
        .run(&["approvals", "list", "--state", "all", "--output", "jsonl"])
        .status(0);
    let requests = json_lines(&said.out);
    assert_eq!(
        up.sql("SELECT count() FROM v_approval_requests"),
        requests.len().to_string(),
        "{}",
        said.out
    );
    let one = requests
        .iter()
        .find(|request| request["api_operation"] == "DeleteTrail" && request["actor_name"] == "alice")
        .unwrap_or_else(|| panic!("deleting the trail asks: {}", said.out));
    assert_eq!(
        (&one["state"], &one["kind"]),
        (&"pending".into(), &"review".into()),
        "{one}"
    );
    for id in ["request_id", "change_uid"] {
        let id = one[id].as_str().unwrap();
        let shown = up.run(&["approvals", "show", id, "--output", "json"]).status(0);
        let shown: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
        assert_eq!(shown["request_id"], one["request_id"]);
        assert_eq!(shown["change"]["operation"]["name"], "DeleteTrail");
        assert_eq!(shown["decision"]["model_hash"], one["model_hash"]);
        assert_eq!(shown["expires_time"], one["expires_time"]);
    }
    let text = up
        .run(&["approvals", "show", one["request_id"].as_str().unwrap()])
        .status(0);
    assert!(
        text.out.contains("change.actor.name") && text.out.contains("alice"),
        "{}",
        text.out
    );
    let limited = up
        .run(&["approvals", "list", "--limit", "1", "--output", "json"])
        .status(0);
    let limited: serde_json::Value = serde_json::from_str(&limited.out).unwrap();
    assert_eq!(limited.as_array().map(Vec::len), Some(1));
    // What never went out waits for nothing.
    let said = up
        .run(&["approvals", "list", "--state", "backfill", "--output", "jsonl"])
        .status(0);
    let unsent = &json_lines(&said.out)[0];
    let shown = up.run(&[
        "approvals",
        "show",
        unsent["request_id"].as_str().unwrap(),
        "--output",
        "json",
    ]);
    let shown: serde_json::Value = serde_json::from_str(&shown.status(0).out).unwrap();
    for request in [unsent, &shown] {
        assert_eq!(request["not_sent"], "not sent: event was too old", "{request}");
        assert_eq!(request["expires_time"], serde_json::Value::Null, "{request}");
    }
    for state in ["grouped", "learning"] {
        let said = up.run(&["approvals", "list", "--state", state]).status(0);
        assert!(said.err.contains("No such requests"), "{state}: {}", said.err);
    }
    let none = up.run(&["approvals", "list", "--since", "2999-01-01"]).status(0);
    assert!(none.err.contains("No such requests"), "{}", none.err);
    up.run(&["approvals", "show", &"0".repeat(32)]).status(1);
    let said = up.run(&["approvals", "show", "7"]).status(2);
    assert!(said.err.contains("32 hexadecimal digits"), "{}", said.err);
}

/// The dead letters, as soon as there are so many: they are sent after their rows are written.
fn letters(up: &Up, filter: &[&str], count: usize) -> Vec<serde_json::Value> {
    until(&format!("{count} dead letters {filter:?}"), || {
        let said = up
            .run(&[&["dlq", "list", "--output", "jsonl"], filter].concat())
            .status(0);
        Some(json_lines(&said.out)).filter(|letters| letters.len() == count)
    })
}

fn dead_letters(up: &Up) {
    let letters = letters(up, &[], 6);
    let times: Vec<&str> = letters
        .iter()
        .map(|letter| letter["time"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    let letter = &self::letters(up, &["--code", "not_json"], 1)[0];
    assert_eq!(
        (&letter["at_byte"], &letter["state"]),
        (&1.into(), &"open".into()),
        "{letter}"
    );
    let position = letter["position"].as_str().unwrap();
    assert_eq!(position, "raw.cloudtrail/0/4");
    let shown = up.run(&["dlq", "show", position]).status(0);
    assert!(shown.out.contains("{broken\n ^ byte 1, 0x62"), "{}", shown.out);
    let raw = up.run(&["dlq", "show", position, "--raw"]).status(0);
    assert_eq!(raw.out, "{broken");
    let masked = up.run(&["dlq", "show", "raw.mixed/0/1", "--raw"]).status(0);
    assert!(
        !masked.out.contains("hunter2") && masked.out.contains("DeleteRole"),
        "{}",
        masked.out
    );

    // Nothing was mended: replayed, it is a dead letter again, still known by its first position.
    let why = ["--reason", "to see it fail again", "--output", "jsonl"];
    let said = up
        .run(&[&["dlq", "replay", position][..], &why].concat())
        .status(0);
    let sent = &json_lines(&said.out)[0];
    assert_eq!(
        (&sent["sent"], &sent["bytes"]),
        (&"yes".into(), &"original".into()),
        "{sent}"
    );
    up.wait_for(
        "SELECT count() FROM v_rejected WHERE topic = 'raw.cloudtrail' AND code = 'not_json'",
        "2",
    );
    // One line for the record, which says that there are two letters; that of the second attempt is shown.
    let again = until("the second letter", || {
        let letter = self::letters(up, &["--code", "not_json"], 1).remove(0);
        Some(letter).filter(|letter| letter["times"] == 2)
    });
    assert_eq!(
        (&again["position"], &again["attempt"]),
        (&position.into(), &2.into())
    );
    assert_eq!(
        up.sql("SELECT why || ' ' || details['bytes'] FROM v_operations WHERE kind = 'replay' AND who != ''"),
        "to see it fail again original"
    );

    up.run(&["dlq", "show", "raw.cloudtrail/0/999"]).status(1);
    for (arguments, expected) in [
        (
            &["dlq", "list", "--code", "not_jsn"][..],
            "did you mean not_json?",
        ),
        (&["dlq", "list", "--topic", "raw.nothing"], "raw.cloudtrail"),
        (&["dlq", "show", "17"], "topic/partition/offset"),
        (&["dlq", "replay", "--reason", "x"], "say which"),
        (&["dlq", "replay", "--all"], "--reason"),
    ] {
        let said = up.run(arguments).status(2);
        assert!(said.err.contains(expected), "{arguments:?}: {}", said.err);
    }
}

fn replay(up: &Up) {
    let filter = ["dlq", "replay", "--topic", "raw.mixed", "--output", "jsonl"];
    let said = up.run(&[&filter[..], &["--dry-run"]].concat()).status(0);
    let would: Vec<_> = json_lines(&said.out);
    assert_eq!(would.len(), 2, "{}", said.out);
    assert!(
        would
            .iter()
            .all(|line| line["sent"] == "no" && line["bytes"] == "original"),
        "{would:?}"
    );
    assert_eq!(
        up.sql("SELECT count() FROM v_raw_records WHERE topic = 'raw.mixed'"),
        "2"
    );
    up.run(&[&filter[..], &["--reason", "the topic carries CloudTrail"]].concat())
        .status(0);
    // Their rows stand at the original positions, and no secret in them.
    up.wait_for(
        "SELECT arrayStringConcat(groupArray(api_operation || '@' || toString(offset)), ' ') \
         FROM (SELECT * FROM v_changes WHERE topic = 'raw.mixed' ORDER BY offset)",
        "DeleteUser@0 DeleteRole@1",
    );
    let said = up
        .run(&["dlq", "list", "--topic", "raw.mixed", "--output", "jsonl"])
        .status(0);
    let letters = json_lines(&said.out);
    assert!(
        letters.iter().all(|letter| letter["state"] == "replayed"),
        "{}",
        said.out
    );
    let said = up.run(&[&filter[..], &["--reason", "again"]].concat()).status(0);
    assert_eq!(said.out, "", "what has its rows is not sent again");
}

fn rescore(up: &Up, folder: &Folder) {
    let said = up.run(&["score", "--replay", "--since", "2020-01-01"]).status(0);
    let none = |line: &str| line.split_whitespace().eq(["differences", "0"]);
    assert!(said.out.lines().any(none), "{}", said.out);
    let said = up
        .run(&["score", "--replay", "--since", "1h", "--output", "json"])
        .status(0);
    assert_eq!(said.out, "[]\n");
    let counts = &json_lines(&said.err)[0];
    let scored = up.sql("SELECT count() FROM v_changes WHERE risk IS NOT NULL");
    assert_eq!(counts["scores_derived"].to_string(), scored, "{counts}");

    // Other thresholds are another policy: its decisions are not derived again, and that is said.
    let mut command = up.command(&["score", "--replay", "--output", "jsonl"]);
    command.env("CHANGEGATE__DECISION__APPROVE_FROM", "99");
    let said = Said::by(&mut command, "").status(0);
    assert!(
        json_lines(&said.err)[0]["not_derived"][0]
            .as_str()
            .unwrap()
            .contains("policy"),
        "{}",
        said.err
    );

    // Another model cannot say anything about these scores.
    let file = folder.file("few.jsonl", trail("t", "CreateUser", "2024-11-03T10:00:00Z"));
    let models = folder.path().join("models");
    let trained = Said::by(
        changegate()
            .args(["train", "--simulated-days", "2", "--name", "other", "--to"])
            .arg(&models),
        "",
    );
    let trained = trained.status(0);
    assert!(trained.out.contains("other@0.1.0"), "{}", trained.out);
    let model = models.join("other/0.1.0");
    let said = up.run(&[
        "score",
        "--replay",
        "--model",
        model.to_str().unwrap(),
        "--output",
        "jsonl",
    ]);
    let not_derived = json_lines(said.err.lines().next().unwrap())[0]["not_derived"].to_string();
    assert!(not_derived.contains("rows: model"), "{said:?}");

    // A damaged model is refused, with its path.
    let bin = model.join("model.bin");
    let mut bytes = std::fs::read(&bin).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&bin, bytes).unwrap();
    let said = up
        .run(&[
            "score",
            "--source",
            "aws.cloudtrail",
            "--model",
            model.to_str().unwrap(),
            file.to_str().unwrap(),
        ])
        .status(2);
    assert!(said.err.contains(model.to_str().unwrap()), "{}", said.err);
}

fn answers(up: &Up) {
    let question = "SELECT 1 AS one, 'x' AS text";
    for (output, expected) in [
        ("json", "[\n{\"one\":1,\"text\":\"x\"}\n]\n"),
        ("jsonl", "{\"one\":1,\"text\":\"x\"}\n"),
        ("csv", "\"one\",\"text\"\n1,\"x\"\n"),
    ] {
        let said = up.run(&["sql", question, "--output", output]).status(0);
        assert_eq!(said.out, expected, "{output}");
    }
    let said = up.run(&["sql", "SELECT count() FROM raw_changes"]).status(2);
    assert!(
        said.err.contains("changegate_reader"),
        "the reader sees no bytes: {}",
        said.err
    );
    let said = up.run(&["sql", "SELEC 1"]).status(2);
    assert!(said.err.contains("Syntax error"), "{}", said.err);
    let said = up.run(&["topics", "--output", "jsonl"]).status(0);
    let topics = json_lines(&said.out);
    assert!(
        topics.iter().all(|topic| topic["state"] == "present"),
        "{}",
        said.out
    );
    let github = topics
        .iter()
        .find(|topic| topic["topic"] == "raw.github")
        .unwrap();
    assert_eq!(
        (&github["partitions"], &github["records"]),
        (&1.into(), &1.into())
    );
    let said = up.run(&["migrate", "--output", "jsonl"]).status(0);
    assert!(
        json_lines(&said.out)
            .iter()
            .all(|line| line["state"] == "had run before"),
        "{}",
        said.out
    );
}
