//! The launcher against the real engines. A missing engine is a failure here: `scripts/setup.sh` brings it.

mod support;

use std::time::Duration;

use changegate_engines::{
    ClickHouse, ClickHouseOptions, Credentials, Error, Exit, Kafka, KafkaOptions, User,
};
use support::{KafkaWire, Owner, launcher, parent_of, process_group_of, runs, wait_until};

fn kafka_options() -> KafkaOptions {
    KafkaOptions {
        launcher: launcher(),
        ..KafkaOptions::default()
    }
}

fn clickhouse_options() -> ClickHouseOptions {
    ClickHouseOptions {
        launcher: launcher(),
        ..ClickHouseOptions::default()
    }
}

fn user(name: &str, grants: &[&str], settings: &[(&str, &str)]) -> User {
    User {
        name: name.into(),
        password: format!("password of {name}"),
        grants: grants.iter().map(|grant| (*grant).to_owned()).collect(),
        settings: settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn credentials(user: &User) -> Credentials {
    Credentials {
        user: user.name.clone(),
        password: user.password.clone(),
    }
}

#[track_caller]
fn assert_refused(answer: changegate_engines::Result<String>, code: u32) {
    match answer {
        Err(Error::Refused { message, .. }) => {
            assert!(
                message.starts_with(&format!("Code: {code}.")),
                "expected code {code}: {message}"
            );
        }
        other => panic!("expected a refusal with code {code}, got {other:?}"),
    }
}

#[test]
fn clickhouse_gives_each_user_what_was_granted_and_nothing_else() {
    let writer = user(
        "changegate_writer",
        &["GRANT INSERT ON cg.*"],
        &[("http_receive_timeout", "5")],
    );
    let reader = user("changegate_reader", &["GRANT SELECT ON cg.facts"], &[]);
    let outsider = user("outsider", &[], &[]);
    let server = ClickHouse::start(&ClickHouseOptions {
        users: vec![writer.clone(), reader.clone(), outsider.clone()],
        merge_tree_settings: vec![("non_replicated_deduplication_window".into(), "123".into())],
        settings: vec![("async_insert".into(), "0".into())],
        ..clickhouse_options()
    })
    .unwrap();
    let (admin, writer, reader) = (server.admin().clone(), credentials(&writer), credentials(&reader));
    server
        .query(&admin, "CREATE DATABASE cg ENGINE = Atomic")
        .unwrap();
    server
        .query(
            &admin,
            "CREATE TABLE cg.facts (n UInt32) ENGINE = MergeTree ORDER BY n",
        )
        .unwrap();
    server
        .query(&writer, "INSERT INTO cg.facts VALUES (1), (2)")
        .unwrap();
    assert_eq!(
        server.query(&reader, "SELECT sum(n) FROM cg.facts").unwrap(),
        "3\n"
    );
    assert_refused(server.query(&writer, "SELECT n FROM cg.facts"), 497);
    assert_refused(server.query(&reader, "INSERT INTO cg.facts VALUES (3)"), 497);
    assert_refused(
        server.query(&reader, "SELECT * FROM file('/etc/passwd', 'LineAsString')"),
        497,
    );
    assert_refused(
        server.query(&credentials(&outsider), "SELECT n FROM cg.facts"),
        497,
    );
    assert_refused(
        server.query(
            &Credentials {
                password: "wrong".into(),
                ..writer.clone()
            },
            "SELECT 1",
        ),
        516,
    );
    assert_eq!(
        server
            .query(&writer, "SELECT getSetting('http_receive_timeout')")
            .unwrap(),
        "5\n"
    );
    let window =
        "SELECT value FROM system.merge_tree_settings WHERE name = 'non_replicated_deduplication_window'";
    assert_eq!(server.query(&admin, window).unwrap(), "123\n");
    assert_eq!(server.query(&admin, "SELECT timezone()").unwrap(), "UTC\n");
    let changed = "SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'";
    assert_eq!(
        server.query(&admin, changed).unwrap(),
        format!("{}\n", 2_u64 << 30)
    );
}

#[test]
fn the_user_without_a_password_can_do_nothing_from_outside() {
    let server = ClickHouse::start(&clickhouse_options()).unwrap();
    let nobody = Credentials {
        user: "default".into(),
        password: String::new(),
    };
    for sql in [
        "SELECT 1",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SYSTEM STOP LISTEN HTTP",
    ] {
        match server.query(&nobody, sql) {
            Err(Error::Refused { message, .. }) => {
                assert!(
                    ["Code: 202.", "Code: 452.", "Code: 497."]
                        .iter()
                        .any(|code| message.starts_with(code)),
                    "{message}"
                );
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
    server.check().unwrap();
}

#[test]
fn clickhouse_keeps_its_rows_over_a_clean_end_and_over_a_kill() {
    let mut server = ClickHouse::start(&clickhouse_options()).unwrap();
    let admin = server.admin().clone();
    server
        .query(&admin, "CREATE DATABASE cg ENGINE = Atomic")
        .unwrap();
    server
        .query(
            &admin,
            "CREATE TABLE cg.facts (n UInt32) ENGINE = MergeTree ORDER BY n",
        )
        .unwrap();
    server.query(&admin, "INSERT INTO cg.facts VALUES (1)").unwrap();
    let exit = server.stop().unwrap();
    assert!(matches!(exit, Exit::Code(_)), "a clean end, not a kill: {exit}");
    server.restart().unwrap();
    server.query(&admin, "INSERT INTO cg.facts VALUES (2)").unwrap();
    assert_eq!(server.kill().unwrap(), Exit::Signal(9));
    server.restart().unwrap();
    assert_eq!(
        server.query(&admin, "SELECT sum(n) FROM cg.facts").unwrap(),
        "3\n"
    );
    let folder = server.data().to_owned();
    drop(server);
    assert!(!folder.exists(), "the temporary folder goes with the value");
}

#[test]
fn two_clickhouse_servers_live_side_by_side() {
    let (first, second) = (
        ClickHouse::start(&clickhouse_options()).unwrap(),
        ClickHouse::start(&clickhouse_options()).unwrap(),
    );
    first
        .query(first.admin(), "CREATE DATABASE only_here ENGINE = Atomic")
        .unwrap();
    let exists = "SELECT count() FROM system.databases WHERE name = 'only_here'";
    assert_eq!(first.query(first.admin(), exists).unwrap(), "1\n");
    assert_eq!(second.query(second.admin(), exists).unwrap(), "0\n");
    assert_refused(second.query(first.admin(), "SELECT 1"), 516);
}

#[test]
fn kafka_keeps_its_topics_over_a_clean_end_a_kill_and_another_port() {
    let data = std::env::temp_dir().join(format!("changegate-kafka-keeps-{}", std::process::id()));
    let options = KafkaOptions {
        data: Some(data.clone()),
        ..kafka_options()
    };
    let mut broker = Kafka::start(&options).unwrap();
    let port = broker.port();
    KafkaWire::connect(port).create_topic("kept");
    let exit = broker.stop().unwrap();
    assert!(matches!(exit, Exit::Code(_)), "a clean end, not a kill: {exit}");
    broker.restart().unwrap();
    assert_eq!(broker.port(), port);
    assert!(KafkaWire::connect(port).topics().contains("kept"));
    assert_eq!(broker.kill().unwrap(), Exit::Signal(9));
    broker.restart().unwrap();
    assert!(KafkaWire::connect(port).topics().contains("kept"));
    drop(broker);
    let again = Kafka::start(&options).unwrap();
    assert!(
        KafkaWire::connect(again.port()).topics().contains("kept"),
        "on a port of its own"
    );
    drop(again);
    assert!(data.is_dir(), "a given folder is never removed");
    std::fs::remove_dir_all(data).unwrap();
}

#[test]
fn a_paused_broker_is_alive_and_ends_all_the_same() {
    let mut broker = Kafka::start(&kafka_options()).unwrap();
    broker.pause();
    assert!(broker.is_alive());
    let exit = broker.stop().unwrap();
    assert!(matches!(exit, Exit::Code(_)), "{exit}");
}

#[test]
fn a_crashed_engine_is_an_error_with_the_end_of_its_log() {
    let mut broker = Kafka::start(&kafka_options()).unwrap();
    broker.check().unwrap();
    broker.kill().unwrap();
    let report = broker.check().unwrap_err().to_string();
    assert!(report.contains("Kafka ended with signal 9"), "{report}");
    assert!(
        report.contains("Kafka Server started"),
        "the log's end is shown: {report}"
    );

    let bad = KafkaOptions {
        properties: vec![("log.retention.ms".into(), "soon".into())],
        ..kafka_options()
    };
    let error = Kafka::start(&bad).unwrap_err().to_string();
    assert!(
        error.contains("log.retention.ms"),
        "the broker's own words are shown: {error}"
    );

    let bad = ClickHouseOptions {
        server_settings: vec![("mark_cache_size".into(), "a lot".into())],
        ..clickhouse_options()
    };
    let error = ClickHouse::start(&bad).unwrap_err().to_string();
    assert!(
        error.contains("ClickHouse ended with") && error.contains("a lot"),
        "{error}"
    );
}

#[test]
fn engines_are_out_of_the_terminals_foreground_group() {
    let server = ClickHouse::start(&clickhouse_options()).unwrap();
    let engine = server.pid().unwrap();
    assert_ne!(process_group_of(engine), process_group_of(std::process::id()));
}

#[test]
fn no_engine_outlives_an_owner_that_is_killed() {
    let mut owner = Owner::start();
    assert!(
        runs(owner.kafka) && runs(owner.clickhouse),
        "the thread that started them is gone, they are not"
    );
    owner.kill();
    wait_until("both engines are gone", || {
        !runs(owner.kafka) && !runs(owner.clickhouse)
    });
    wait_until("their folders are gone", || {
        owner.folders.iter().all(|folder| !folder.exists())
    });
}

#[test]
fn no_engine_outlives_its_watcher() {
    let server = ClickHouse::start(&clickhouse_options()).unwrap();
    let engine = server.pid().unwrap();
    support::kill_9(parent_of(engine));
    wait_until("the engine is gone", || !runs(engine));
    wait_until("and it is reported", || server.check().is_err());
}

#[test]
fn a_start_that_takes_too_long_is_given_up_with_nothing_left_behind() {
    let options = KafkaOptions {
        start_wait: Duration::ZERO,
        ..kafka_options()
    };
    match Kafka::start(&options) {
        Err(Error::NotReady { engine, .. }) => assert_eq!(engine, "Kafka"),
        other => panic!("{other:?}"),
    }
}
