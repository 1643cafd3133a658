//! Commands as users run them.

use std::io::Write as _;

use changegate_tests::{CHANGEGATE, CRASH_POINTS, Folder, changegate, program, said};

/// The numbers of the first row of the table below a title.
fn row_below(text: &str, title: &str) -> Vec<f64> {
    let after = text
        .split(title)
        .nth(1)
        .unwrap_or_else(|| panic!("{title} in {text}"));
    let row = after
        .lines()
        .find(|line| line.starts_with("1."))
        .unwrap_or_else(|| panic!("a row below {title} in {text}"));
    // Before the first line stands the number of the row.
    row.split('│')
        .skip(1)
        .filter_map(|cell| cell.trim().parse().ok())
        .collect()
}

#[test]
fn the_demo_accounts_for_every_child_and_ends_by_itself() {
    let output = changegate().arg("demo").output().unwrap();
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    let [read, written, skipped, dead_lettered, missing] = row_below(&text, "Read = written")[..] else {
        panic!("{text}")
    };
    assert!(read > 100_000.0, "{text}");
    assert_eq!(read, written + skipped + dead_lettered, "{text}");
    assert_eq!(missing, 0.0, "{text}");
    assert!(
        dead_lettered > 0.0 && skipped > 0.0,
        "damaged records and early stages are in the demo: {text}"
    );
    let [changes, asks, ..] = row_below(&text, "What asks for approval")[..] else {
        panic!("{text}")
    };
    assert!(asks > 0.0 && asks < changes / 50.0, "{text}");
}

#[test]
fn normalize_says_what_came_of_every_line() {
    let folder = std::env::temp_dir().join(format!("changegate-tests-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("events.jsonl");
    std::fs::write(
        &file,
        "{\"eventName\":\"DeleteTrail\",\"eventTime\":\"2026-03-04T05:06:07Z\"}\n{broken\n{\"Records\":[]}\n",
    )
    .unwrap();
    let output = changegate()
        .args(["normalize", "--source", "aws.cloudtrail"])
        .arg(&file)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.lines().count(), 1, "{printed}");
    assert!(
        printed.starts_with(r#"{"line":1,"child":0,"#)
            && printed.contains(r#""api_operation":"DeleteTrail""#),
        "{printed}"
    );
    let faults = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        faults.lines().collect::<Vec<_>>(),
        [
            r#"{"line":2,"outcome":"rejected","code":"not_json","reason":"this byte cannot stand here in JSON","at_byte":1}"#,
            r#"{"line":3,"outcome":"skipped","code":"empty_envelope"}"#,
        ]
    );
}

#[test]
fn what_simulate_writes_is_a_config_that_holds() {
    let folder = std::env::temp_dir().join(format!("changegate-tests-simulate-{}", std::process::id()));
    let simulated = changegate()
        .args(["simulate", "--days", "1", "--to"])
        .arg(&folder)
        .output()
        .unwrap();
    let checked = changegate()
        .args(["config", "check", "--config"])
        .arg(folder.join("changegate.toml"))
        .output()
        .unwrap();
    let events = std::fs::metadata(folder.join("aws.cloudtrail.jsonl")).map(|file| file.len());
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(simulated.status.success(), "{}", said(&simulated));
    assert!(checked.status.success(), "{}", said(&checked));
    assert!(events.is_ok_and(|bytes| bytes > 10_000));
}

#[test]
fn what_cannot_be_done_is_said_with_exit_status_two() {
    for (arguments, expected) in [
        (
            &["normalize", "--source", "no.such", "-"][..],
            "known are aws.cloudtrail",
        ),
        (
            &[
                "score",
                "--source",
                "aws.cloudtrail",
                "--model",
                "/no/such/model",
                "-",
            ],
            "/no/such/model",
        ),
        (
            &["--config", "/no/such/file.toml", "config", "show"],
            "/no/such/file.toml",
        ),
        (&["serve"], "kafka.bootstrap"),
        (
            &["score", "--source", "aws.cloudtrail", "--since", "1h", "-"],
            "give --replay too",
        ),
        (&["score", "--since", "1h"], "give --replay too"),
        (&["train", "--source", "aws.cloudtrail"], "no file given"),
    ] {
        let output = changegate()
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(
            said(&output).contains(expected),
            "{arguments:?}: {}",
            said(&output)
        );
    }
}

#[test]
fn every_command_that_knows_sources_lists_them() {
    let list = |arguments: &[&str]| {
        let output = changegate()
            .args(arguments)
            .args(["--source", "list"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let names = list(&["normalize"]);
    assert!(
        names.lines().count() >= 13 && names.contains("aws.cloudtrail\n"),
        "{names}"
    );
    let others: [&[&str]; 6] = [
        &["score"],
        &["ingest"],
        &["train"],
        &["approvals", "list"],
        &["dlq", "list"],
        &["dlq", "replay", "--dry-run"],
    ];
    for arguments in others {
        assert_eq!(list(arguments), names, "{arguments:?}");
    }
}

#[test]
fn several_files_are_told_apart_and_compressed_lines_are_lines() {
    let folder = Folder::new("several");
    let lines = "{\"eventName\":\"DeleteTrail\"}\n{broken\n";
    let plain = folder.file("plain.jsonl", lines);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(lines.as_bytes()).unwrap();
    let packed = folder.file("packed.jsonl.gz", packed.finish().unwrap());
    let output = changegate()
        .args(["normalize", "--source", "aws.cloudtrail"])
        .args([&plain, &packed])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    for (text, line) in [(&output.stdout, 1), (&output.stderr, 2)] {
        let objects: Vec<serde_json::Value> = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        let named: Vec<_> = objects
            .iter()
            .map(|object| (&object["file"], &object["line"]))
            .collect();
        let expected = [&plain, &packed].map(|file| (serde_json::json!(file), serde_json::json!(line)));
        assert_eq!(named, expected.each_ref().map(|(file, line)| (file, line)));
    }
}

#[test]
fn config_check_refuses_what_the_stream_would_refuse() {
    let check = |key: &str, value: &str| {
        let mut command = changegate();
        command
            .args(["config", "check", "--output", "json"])
            .env(key, value);
        let output = command.output().unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), answer)
    };
    for (variable, value, key) in [
        ("CHANGEGATE__MODEL__PATH", "/no/such/model", "model"),
        (
            "CHANGEGATE__TELEMETRY__LOG_LEVEL",
            "inf=o=",
            "telemetry.log_level",
        ),
    ] {
        let (status, answer) = check(variable, value);
        assert_eq!(status, Some(1), "{answer}");
        let faults = answer.as_array().unwrap();
        assert!(faults.iter().any(|fault| fault["key"] == key), "{answer}");
    }
}

#[test]
fn what_users_get_has_no_crash_points() {
    let holds = |name: &str| {
        let bytes = std::fs::read(program(name)).unwrap();
        let variable = b"CHANGEGATE_CRASH_AT";
        bytes.windows(variable.len()).any(|window| window == variable)
    };
    assert!(!holds(CHANGEGATE));
    assert!(holds(CRASH_POINTS), "else nothing was looked for");
}
