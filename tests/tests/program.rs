//! Commands as users run them.

use changegate_tests::{changegate, said};

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
