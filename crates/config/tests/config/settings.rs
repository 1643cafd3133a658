//! Files and variables in, settings or a list of faults out.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use changegate_config::{Error, Reads, SaslMechanism, Settings};

const SOURCES: [&str; 4] = [
    "aws.cloudtrail",
    "kubernetes.audit",
    "github.webhook",
    "okta.system",
];

fn parse(text: &str, env: &[(&str, &str)]) -> Result<Settings, Error> {
    let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Settings::parse(text, Some(Path::new("test.toml")), env, &SOURCES)
}

/// The one fault of this file, as the operator sees it.
#[track_caller]
fn fault(text: &str, env: &[(&str, &str)]) -> String {
    let error = parse(text, env).expect_err("accepted");
    assert_eq!(error.problems().len(), 1, "{error}");
    error.problems()[0].to_string()
}

#[test]
fn nothing_given_means_the_defaults() {
    let settings = parse("", &[]).unwrap();
    assert_eq!(settings.batch.rows, 50_000);
    assert_eq!(settings.batch.wait, Duration::from_secs(1));
    assert_eq!(settings.decision.thresholds.approve_from(), 60.0);
    assert_eq!(settings.decision.thresholds.deny_from(), None);
    assert_eq!(settings.kafka.raw_record_bytes_max, 1 << 20);
    assert_eq!(settings.kafka.dlq_record_bytes_max, (1 << 20) + 65_536);
    assert_eq!(settings.topics.len(), SOURCES.len());
    assert_eq!(settings.topics[0].name, "changegate.raw.aws.cloudtrail.v1");
    assert_eq!(settings.state.dir, Path::new("changegate-data/state"));
    let local = Settings::defaults_local(&SOURCES);
    assert_eq!(local.to_toml_redacted(), settings.to_toml_redacted());
}

#[test]
fn unknown_keys_are_refused_with_what_was_meant() {
    for (text, expected) in [
        (
            "[batch]\nrow = 1",
            "test.toml: batch.row: unknown key; did you mean `rows`?",
        ),
        (
            "[kafka]\nbootstarp = 'a:1'",
            "test.toml: kafka.bootstarp: unknown key; did you mean `bootstrap`?",
        ),
        ("[kafak]", "test.toml: kafak: unknown key; did you mean `kafka`?"),
        (
            "[kafka]\napprove_from = 1",
            "test.toml: kafka.approve_from: unknown key here; did you mean `decision.approve_from`?",
        ),
        (
            "[http]\nquux = 1",
            "test.toml: http.quux: unknown key; [http] knows listen",
        ),
        (
            "[[topics]]\nname = 'a'\nsource = 'okta.system'\nread = 'store'",
            "test.toml: topics[0].read: unknown key; did you mean `reads`?",
        ),
    ] {
        assert_eq!(fault(text, &[]), expected);
    }
}

#[test]
fn values_of_the_wrong_kind_name_what_was_expected() {
    for (text, parts) in [
        ("batch.wait = 5", ["batch.wait", "\"5s\"", "the number 5"]),
        (
            "batch.wait = '5 seconds'",
            ["batch.wait", "duration", "5 seconds"],
        ),
        ("batch.bytes = '64M'", ["batch.bytes", "MiB", "64M"]),
        ("batch.rows = 'many'", ["batch.rows", "whole number", "many"]),
        ("batch.rows = -1", ["batch.rows", "from 0 to 4294967295", "-1"]),
        (
            "kafka.security_protocol = 'tls'",
            ["kafka.security_protocol", "\"sasl_ssl\"", "tls"],
        ),
        (
            "telemetry.traces = 'yes'",
            ["telemetry.traces", "true or false", "yes"],
        ),
        ("kafka = 5", ["kafka", "a section", "the number 5"]),
        (
            "tenant.ticket_patterns = 'x'",
            ["tenant.ticket_patterns", "a list", "x"],
        ),
        (
            "kafka.properties = { fetch.min.bytes = 1 }",
            ["kafka.properties.fetch", "quotes", "a table"],
        ),
    ] {
        let fault = fault(text, &[]);
        for part in parts {
            assert!(fault.contains(part), "{fault} lacks {part}");
        }
    }
}

#[test]
fn rules_between_values() {
    for (text, key) in [
        ("decision.approve_from = nan", "decision.approve_from"),
        ("decision.approve_from = 101", "decision.approve_from"),
        ("decision.deny_from = nan", "decision.deny_from"),
        ("decision.deny_from = 60", "decision.deny_from"),
        ("batch.drain_deadline = '3m'", "batch.drain_deadline"),
        ("batch = { bytes = '2GiB', memory_max = '8GiB' }", "batch.bytes"),
        ("batch.memory_max = '1MiB'", "batch.memory_max"),
        ("batch.rows = 0", "batch.rows"),
        ("kafka.workers = 0", "kafka.workers"),
        ("kafka.bootstrap = 'broker'", "kafka.bootstrap"),
        ("kafka.bootstrap = 'a:1,,b:2'", "kafka.bootstrap"),
        ("kafka.sasl_username = 'me'", "kafka.sasl_username"),
        ("kafka.ssl_ca_location = '/ca.pem'", "kafka.ssl_ca_location"),
        (
            "kafka.properties = { \"enable.auto.commit\" = true }",
            "kafka.properties.enable.auto.commit",
        ),
        (
            "kafka.properties = { \"group.id\" = 'x' }",
            "kafka.properties.group.id",
        ),
        (
            "kafka.accept_retention_gap = ['a/0 5..9', 'a 5..9']",
            "kafka.accept_retention_gap",
        ),
        (
            "kafka.accept_retention_gap = ['a/0 9..5']",
            "kafka.accept_retention_gap",
        ),
        ("clickhouse.url = 'clickhouse:8123'", "clickhouse.url"),
        ("clickhouse.reader_password = 'x'", "clickhouse.reader_password"),
        ("clickhouse.database = 'a b'", "clickhouse.database"),
        ("tenant.mask_key = 'short'", "tenant.mask_key"),
        ("tenant.ticket_patterns = ['(']", "tenant.ticket_patterns[0]"),
        ("tenant.secret_patterns = ['x*']", "tenant.secret_patterns[0]"),
        ("http.listen = 'localhost'", "http.listen"),
        ("state.actors_max = 0", "state.actors_max"),
        ("state.waiting = '90m'", "state.waiting"),
        ("decision.learning_period = '90m'", "decision.learning_period"),
        (
            "decision.learning_approve_from = 101.0",
            "decision.learning_approve_from",
        ),
        ("model.hash = 'abc'", "model.hash"),
        ("dead_letters.share_max = 1.5", "dead_letters.share_max"),
        ("dead_letters.share_max = nan", "dead_letters.share_max"),
        ("environments = [{ environment = 'x' }]", "environments[0]"),
        (
            "environments = [{ account = ['*'] }]",
            "environments[0].environment",
        ),
        (
            "topics = [{ name = 'a b', source = 'okta.system' }]",
            "topics[0].name",
        ),
        (
            "topics = [{ name = 'a', source = 'okta.system' }, { name = 'a', source = 'okta.system' }]",
            "topics[1].name",
        ),
    ] {
        let error = parse(text, &[]).expect_err(text);
        let keys: Vec<&str> = error
            .problems()
            .iter()
            .map(|problem| problem.key.as_str())
            .collect();
        assert_eq!(keys, [key], "{text}: {error}");
    }
}

#[test]
fn an_unknown_source_is_refused_with_the_names_that_are_known() {
    let fault = fault("topics = [{ name = 'a', source = 'aws.cloudtrial' }]", &[]);
    assert_eq!(
        fault,
        "test.toml: topics[0].source: unknown source \"aws.cloudtrial\"; did you mean \"aws.cloudtrail\"? \
         Known are aws.cloudtrail, kubernetes.audit, github.webhook, okta.system"
    );
}

#[test]
fn all_faults_are_said_at_once() {
    let error = parse(
        "batch.row = 1\nkafka.workers = 0\nhttp.listen = 3",
        &[("CHANGEGATE__BATCH__WAIT", "5")],
    )
    .unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("4 faults in the configuration:\n"), "{text}");
    assert!(
        text.contains("environment variable CHANGEGATE__BATCH__WAIT: batch.wait: expected a duration"),
        "{text}"
    );
}

#[test]
fn broken_toml_names_file_and_line() {
    let text = parse("[kafka]\nbootstrap = ", &[]).unwrap_err().to_string();
    assert!(
        text.starts_with("test.toml is not valid TOML: ") && text.contains("line 2"),
        "{text}"
    );
}

#[test]
fn variables_beat_the_file() {
    let file = "[kafka]\nbootstrap = 'file:1'\nworkers = 2\n[batch]\nrows = 10";
    let env = [
        ("CHANGEGATE__KAFKA__BOOTSTRAP", "a:1, b:2"),
        ("CHANGEGATE__KAFKA__WORKERS", "4"),
        ("CHANGEGATE__KAFKA__PROPERTIES", "{ \"fetch.min.bytes\" = 7 }"),
        ("CHANGEGATE__DECISION__APPROVE_FROM", "70.5"),
        ("CHANGEGATE__DECISION__PUBLISH_DECISIONS", "true"),
        ("CHANGEGATE__TENANT__TICKET_PATTERNS", "['A,B', 'C']"),
        (
            "CHANGEGATE__TOPICS",
            "[{ name = 'x', source = 'okta.system', reads = 'learn_only' }]",
        ),
        ("CHANGEGATE_LOG", "debug"),
        ("HOME", "/root"),
    ];
    let settings = parse(file, &env).unwrap();
    assert_eq!(settings.kafka.bootstrap, "a:1,b:2");
    assert_eq!(settings.kafka.workers, 4);
    assert!(settings.kafka.properties.iter().eq([("fetch.min.bytes", "7")]));
    assert_eq!(settings.batch.rows, 10);
    assert_eq!(settings.decision.thresholds.approve_from(), 70.5);
    assert!(settings.decision.publish_decisions);
    assert_eq!(settings.tenant.ticket_patterns.len(), 2);
    assert_eq!(settings.topics.len(), 1);
    assert_eq!(settings.topics[0].reads, Reads::LearnOnly);
}

#[test]
fn variables_are_checked_as_the_file_is() {
    for (name, value, expected) in [
        (
            "CHANGEGATE__BATCH__ROW",
            "1",
            "environment variable CHANGEGATE__BATCH__ROW: batch.row: unknown key; did you mean `rows`?",
        ),
        (
            "CHANGEGATE__BATCH__ROWS",
            "many",
            "environment variable CHANGEGATE__BATCH__ROWS: batch.rows: expected a whole number from 0 to 4294967295, \
             found the text \"many\"",
        ),
        (
            "CHANGEGATE__KAFKA__PROPERTIES",
            "a=b",
            "environment variable CHANGEGATE__KAFKA__PROPERTIES: kafka.properties: expected TOML on one line, such as \
             [\"a\"] or {\"fetch.min.bytes\" = 1}",
        ),
        (
            "CHANGEGATE__TOPICS",
            "[{ name = 'x', source = 'okta.system', partitions = 0 }]",
            "environment variable CHANGEGATE__TOPICS: topics[0].partitions: expected 1 or more, found 0",
        ),
        (
            "CHANGEGATE__KAFKA__GROUP__ID",
            "x",
            "environment variable CHANGEGATE__KAFKA__GROUP__ID: kafka.group.id: `group` has no keys that a variable can name",
        ),
    ] {
        assert_eq!(fault("", &[(name, value)]), expected);
    }
}

#[test]
fn secrets_come_from_files_and_never_print() {
    let dir = std::env::temp_dir().join(format!("changegate-config-secrets-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let file = dir.join("password");
    fs::write(&file, "correct horse battery\n").unwrap();
    let path = file.display().to_string();

    let by_key = parse(&format!("[clickhouse]\npassword_file = '{path}'"), &[]).unwrap();
    let by_variable = parse(
        "[clickhouse]\npassword = 'from the file'",
        &[("CHANGEGATE__CLICKHOUSE__PASSWORD_FILE", &path)],
    )
    .unwrap();
    let by_value = parse(
        &format!("[clickhouse]\npassword_file = '{path}.missing'"),
        &[("CHANGEGATE__CLICKHOUSE__PASSWORD", "correct horse battery")],
    )
    .unwrap();
    for settings in [by_key, by_variable, by_value] {
        let password = settings.clickhouse.writer.password.clone().unwrap();
        assert_eq!(password.reveal(), "correct horse battery");
        assert!(!settings.to_toml_redacted().contains("horse"));
        assert!(settings.to_toml_redacted().contains("password = \"***\""));
        assert!(!format!("{settings:?}").contains("horse"));
    }

    let missing = fault(&format!("[clickhouse]\npassword_file = '{path}.missing'"), &[]);
    assert!(
        missing.starts_with("test.toml: clickhouse.password_file: cannot read the secret's file"),
        "{missing}"
    );
    let both = fault(
        &format!("[clickhouse]\npassword = 'x'\npassword_file = '{path}'"),
        &[],
    );
    assert!(
        both.contains("both `password` and `password_file` are set"),
        "{both}"
    );
    fs::write(&file, "\n").unwrap();
    let empty = fault(&format!("[clickhouse]\npassword_file = '{path}'"), &[]);
    assert!(empty.contains("is empty"), "{empty}");
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_property_that_sounds_like_a_secret_never_prints() {
    let text = "kafka.properties = { \"ssl.keystore.password\" = 'hunter2', \"client.rack\" = 'eu1' }";
    let settings = parse(text, &[]).unwrap();
    for shown in [settings.to_toml_redacted(), format!("{settings:?}")] {
        assert!(!shown.contains("hunter2") && shown.contains("eu1"), "{shown}");
    }
}

#[test]
fn no_fault_prints_a_secret() {
    for text in [
        "tenant.mask_key = 'hunter2'",
        "clickhouse.url = 'http://me:hunter2@host'",
        "kafka.sasl_password = 'hunter2'",
        "clickhouse.admin_password = 'hunter2'",
    ] {
        let fault = fault(text, &[]);
        assert!(!fault.contains("hunter2"), "{fault}");
    }
}

#[test]
fn sasl_needs_all_its_parts() {
    let whole = "[kafka]\nsecurity_protocol = 'sasl_ssl'\nsasl_mechanism = 'plain'\nsasl_username = 'u'\nsasl_password = 'p'";
    let sasl = parse(whole, &[]).unwrap().kafka.sasl.unwrap();
    assert_eq!(
        (sasl.mechanism, sasl.username.as_str()),
        (SaslMechanism::Plain, "u")
    );
    let error = parse("kafka.security_protocol = 'sasl_ssl'", &[]).unwrap_err();
    assert_eq!(error.problems().len(), 3, "{error}");
}

#[test]
fn environments_keep_their_order_and_one_list_for_the_account() {
    let settings = parse(
        "[[environments]]\nenvironment = 'sandbox'\naccount = ['1*']\nsubscription = ['2*']\nproject = ['p-*']\n\
         [[environments]]\nenvironment = 'production'\nowner = 'core'\nscope_tags = ['sox']\nnamespace = ['*']",
        &[],
    )
    .unwrap();
    let [sandbox, production] = settings.environments.as_slice() else {
        panic!("{:?}", settings.environments)
    };
    assert_eq!(sandbox.account, ["1*", "2*", "p-*"]);
    assert_eq!(production.owner, "core");
    assert_eq!(production.scope_tags, ["sox"]);
    assert_eq!(production.namespace, ["*"]);
}

#[test]
fn serve_says_what_it_lacks() {
    let error = parse("", &[]).unwrap().require_for_serve().unwrap_err();
    let keys: Vec<&str> = error
        .problems()
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    assert_eq!(keys, ["tenant.mask_key", "kafka.bootstrap", "clickhouse.url"]);
    let whole =
        "tenant.mask_key = '0123456789abcdef'\nkafka.bootstrap = 'k:9092'\nclickhouse.url = 'http://c:8123/'";
    let settings = parse(whole, &[]).unwrap();
    settings.require_for_serve().unwrap();
    assert_eq!(settings.clickhouse.url, "http://c:8123");
}

#[test]
fn what_is_shown_is_a_config_again() {
    let settings = parse("kafka.workers = 3\ndead_letters.share_max = 0.2", &[]).unwrap();
    let again = parse(&settings.to_toml_redacted(), &[]).unwrap();
    assert_eq!(again.to_toml_redacted(), settings.to_toml_redacted());
    assert_eq!(again.kafka.workers, 3);
    let other = parse("kafka.workers = 4", &[]).unwrap();
    assert_eq!(other.row_settings(), parse("", &[]).unwrap().row_settings());
    let elsewhere = parse(
        "state.dir = '/x'\nbatch.rows = 7\nclickhouse.url = 'http://c:1'",
        &[],
    )
    .unwrap();
    assert_eq!(elsewhere.row_settings(), other.row_settings());
    for changed in [
        "decision.approve_from = 50",
        "kafka.raw_record_bytes_max = '2MiB'",
        "state.actors_max = 7",
        "tenant.uid = 'x'",
        "environments = [{ environment = 'x', account = ['1'] }]",
    ] {
        let changed = parse(changed, &[]).unwrap();
        assert_ne!(changed.row_settings(), other.row_settings());
    }
}

#[test]
fn the_local_mask_key_is_made_once_and_kept() {
    let dir = std::env::temp_dir().join(format!("changegate-config-key-{}", std::process::id()));
    let text = format!("engines.data_dir = '{}'", dir.display());
    let key = |random: u8| {
        let mut settings = parse(&text, &[]).unwrap();
        settings.ensure_local_mask_key(&[random; 32]).unwrap();
        settings.tenant.mask_key.unwrap().reveal().to_owned()
    };
    let first = key(0xab);
    assert_eq!(first, "ab".repeat(32));
    assert_eq!(key(0xcd), first);
    let mode = fs::metadata(dir.join("mask_key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);

    let mut configured = parse(&format!("{text}\ntenant.mask_key = '0123456789abcdef'"), &[]).unwrap();
    configured.ensure_local_mask_key(&[0; 32]).unwrap();
    assert_eq!(configured.tenant.mask_key.unwrap().reveal(), "0123456789abcdef");

    fs::write(dir.join("mask_key"), "short\n").unwrap();
    let mut settings = parse(&text, &[]).unwrap();
    let error = settings.ensure_local_mask_key(&[0; 32]).unwrap_err();
    let file = dir.join("mask_key");
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    // What is wrong with it stands in the cause, which the program prints behind it.
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    assert!(
        cause.as_ref().is_some_and(|cause| cause.contains("too short")),
        "{cause:?}"
    );
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_named_file_must_be_there() {
    let missing = Path::new("/nowhere/changegate.toml");
    let error = Settings::load(Some(missing), [], &SOURCES).unwrap_err();
    assert!(error.to_string().contains("/nowhere/changegate.toml"), "{error}");
}
