//! Kafka and ClickHouse on this machine, for `up` and `demo`, and for the commands that are run beside them.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use changegate_clickhouse::grants;
use changegate_config::{ClickHouseUser, Secret, Settings};
use changegate_engines::{ClickHouse, ClickHouseOptions, Kafka, KafkaOptions, User};
use changegate_types::Digest;

/// A broker counts a record's age from the record's own time, and what people try out here is often years old: with the
/// retention of production it would be deleted before it is read, thirty seconds after the broker's start.
const RETENTION: Duration = Duration::from_secs(50 * 365 * 24 * 3_600);
/// Lies in `engines.data_dir` while local engines run: their addresses, users and passwords, as settings.
const RUNNING_FILE: &str = "running.toml";
/// How it begins, before the number of the process.
const MADE_BY: &str = "# Made by process ";

/// Engines that run as long as this value lives.
pub(crate) struct Local {
    clickhouse: Option<ClickHouse>,
    kafka: Option<Kafka>,
    /// The file that names them; none where all engines are configured.
    running: Option<PathBuf>,
}

impl Drop for Local {
    fn drop(&mut self) {
        // Where it stays, the next command says that nothing runs behind it.
        let _ = self.running.as_ref().map(std::fs::remove_file);
    }
}

impl Local {
    /// Starts those that no address is configured for, and points the settings at them.
    pub(crate) fn start(settings: &mut Settings, data: Option<&Path>) -> anyhow::Result<Self> {
        let random = random()?;
        if let Some(data) = data {
            data.clone_into(&mut settings.engines.data_dir);
            // What was learned from other engines is of no use here.
            settings.state.dir = data.join("state");
        }
        if settings.clickhouse.url.is_empty() || settings.kafka.bootstrap.is_empty() {
            let data = &settings.engines.data_dir;
            if let Some(process) = runs_in(data) {
                bail!(
                    "`changegate up` already runs with its data in {} (process {process}): stop it, or set another engines.data_dir",
                    data.display()
                );
            }
        }
        settings.ensure_local_mask_key(&random)?;
        let database = settings.clickhouse.database.clone();
        let password = Digest(self::random()?).to_string();
        let user = |name: &str, grants: Vec<String>, settings: &[(&str, &str)]| User {
            name: name.to_owned(),
            password: password.clone(),
            grants,
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        // A sender that hangs with half an insert sent is given up after this many seconds.
        let writer = user(
            "changegate_writer",
            grants::writer(&database),
            &[("http_receive_timeout", "5")],
        );
        let reader = user(
            "changegate_reader",
            grants::reader(&database),
            &[("readonly", "2")],
        );
        let auditor = user(
            "auditor_raw",
            grants::auditor_raw(&database),
            &[("readonly", "2")],
        );
        let folder = |name: &str| -> Option<PathBuf> { Some(settings.engines.data_dir.join(name)) };
        let port = |port: u16| (port != 0).then_some(port);
        let known = |name: &str, password: &str| ClickHouseUser {
            name: name.to_owned(),
            password: Some(Secret::new(password)),
        };
        let wanted = ClickHouseOptions {
            data: folder("clickhouse"),
            http_port: port(settings.engines.clickhouse_http_port),
            tcp_port: port(settings.engines.clickhouse_tcp_port),
            users: vec![writer, reader, auditor],
            ..ClickHouseOptions::default()
        };
        let clickhouse = settings
            .clickhouse
            .url
            .is_empty()
            .then(|| ClickHouse::start(&wanted))
            .transpose()
            .context("starting ClickHouse")?;
        let wanted = KafkaOptions {
            data: folder("kafka"),
            port: port(settings.engines.kafka_port),
            heap_mib: (settings.engines.kafka_heap_bytes >> 20) as u32,
            ..KafkaOptions::default()
        };
        let kafka = settings
            .kafka
            .bootstrap
            .is_empty()
            .then(|| Kafka::start(&wanted))
            .transpose()
            .context("starting Kafka")?;
        if let Some(clickhouse) = &clickhouse {
            settings.clickhouse.url = clickhouse.url();
            settings.clickhouse.writer = known("changegate_writer", &password);
            settings.clickhouse.reader = known("changegate_reader", &password);
            settings.clickhouse.admin = known(&clickhouse.admin().user, &clickhouse.admin().password);
        }
        if let Some(kafka) = &kafka {
            settings.kafka.bootstrap = kafka.bootstrap();
            settings.kafka.retention = settings.kafka.retention.max(RETENTION);
        }
        let text = running(settings, kafka.is_some(), clickhouse.is_some());
        let running = text
            .is_some()
            .then(|| settings.engines.data_dir.join(RUNNING_FILE));
        if let Some((text, running)) = text.zip(running.as_ref()) {
            write_running(&text, running).with_context(|| format!("writing {}", running.display()))?;
        }
        Ok(Self {
            clickhouse,
            kafka,
            running,
        })
    }

    /// An engine that ended by itself is an error, with the last lines of its log.
    pub(crate) fn check(&self) -> changegate_engines::Result<()> {
        self.clickhouse.as_ref().map_or(Ok(()), ClickHouse::check)?;
        self.kafka.as_ref().map_or(Ok(()), Kafka::check)
    }
}

/// Points the settings at the engines of a running `changegate up`, where none are configured.
pub(crate) fn join(settings: &mut Settings) -> anyhow::Result<()> {
    if !settings.kafka.bootstrap.is_empty() && !settings.clickhouse.url.is_empty() {
        return Ok(());
    }
    let missing = match settings.kafka.bootstrap.is_empty() {
        true => "kafka.bootstrap",
        false => "clickhouse.url",
    };
    let path = settings.engines.data_dir.join(RUNNING_FILE);
    let nothing_runs = format!(
        "{missing} is not configured, and no `changegate up` runs with its data in {}: start one there, \
         or set kafka.bootstrap and clickhouse.url (see `changegate config show`)",
        settings.engines.data_dir.display()
    );
    let Ok(text) = std::fs::read_to_string(&path) else {
        bail!(nothing_runs);
    };
    let running = Settings::parse(&text, Some(&path), [], &[])?;
    let host = running.clickhouse.url.strip_prefix("http://").unwrap_or_default();
    let gone = |address: &str| !address.is_empty() && TcpStream::connect(address).is_err();
    if gone(host) || gone(&running.kafka.bootstrap) {
        bail!(
            "{nothing_runs}; {} is left of one that was killed",
            path.display()
        );
    }
    let lacks_kafka = settings.kafka.bootstrap.is_empty() && running.kafka.bootstrap.is_empty();
    if lacks_kafka || settings.clickhouse.url.is_empty() && running.clickhouse.url.is_empty() {
        bail!(
            "{} is not configured, and the `changegate up` with its data in {} did not start that engine itself: give the \
             same --config as to it",
            if lacks_kafka {
                "kafka.bootstrap"
            } else {
                "clickhouse.url"
            },
            settings.engines.data_dir.display()
        );
    }
    if settings.http.listen.is_some_and(|address| address.port() == 0) {
        settings.http.listen = running.http.listen;
    }
    if settings.kafka.bootstrap.is_empty() {
        settings.kafka.bootstrap = running.kafka.bootstrap;
        settings.kafka.retention = settings.kafka.retention.max(RETENTION);
    }
    if settings.clickhouse.url.is_empty() {
        settings.clickhouse.url = running.clickhouse.url;
        settings.clickhouse.database = running.clickhouse.database;
        settings.clickhouse.writer = running.clickhouse.writer;
        settings.clickhouse.reader = running.clickhouse.reader;
        settings.clickhouse.admin = running.clickhouse.admin;
    }
    Ok(())
}

/// The other process of this program that runs engines in this folder. One that was killed leaves its file behind.
fn runs_in(data: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(data.join(RUNNING_FILE)).ok()?;
    let number = text.strip_prefix(MADE_BY)?.split(' ').next()?;
    let process: u32 = number
        .parse()
        .ok()
        .filter(|process| *process != std::process::id())?;
    // The number may be another program's by now.
    let name = |process: &str| std::fs::read_to_string(format!("/proc/{process}/comm")).ok();
    (name(number)? == name("self")?).then_some(process)
}

/// What other commands need to find the engines that were started here; `None` where none was. Of an engine that is
/// configured it says nothing: its address and its passwords stay where they are.
fn running(settings: &Settings, own_kafka: bool, own_clickhouse: bool) -> Option<String> {
    let mut text = format!(
        "{MADE_BY}{} and gone when it ends. Other commands on this machine find its engines here.\n",
        std::process::id()
    );
    // The port that was got, where a free one was asked for.
    let listen = settings.http.listen.map(|address| address.to_string());
    text.push_str(&format!("[http]\nlisten = {:?}\n", listen.unwrap_or_default()));
    if own_kafka {
        text.push_str(&format!("[kafka]\nbootstrap = {:?}\n", settings.kafka.bootstrap));
    }
    if !own_clickhouse {
        return own_kafka.then_some(text);
    }
    let clickhouse = &settings.clickhouse;
    let password = |user: &ClickHouseUser| {
        let password = user.password.as_ref().map_or("", |password| password.reveal());
        format!("{password:?}")
    };
    text.push_str(&format!(
        "[clickhouse]\nurl = {:?}\ndatabase = {:?}\nuser = {:?}\npassword = {}\nreader_user = {:?}\n\
         reader_password = {}\nadmin_user = {:?}\nadmin_password = {}\n",
        clickhouse.url,
        clickhouse.database,
        clickhouse.writer.name,
        password(&clickhouse.writer),
        clickhouse.reader.name,
        password(&clickhouse.reader),
        clickhouse.admin.name,
        password(&clickhouse.admin),
    ));
    Some(text)
}

/// Readable by the owner alone: it holds passwords.
fn write_running(text: &str, path: &Path) -> std::io::Result<()> {
    // An older one may have other rights.
    let _ = std::fs::remove_file(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

fn random() -> anyhow::Result<[u8; 32]> {
    use std::io::Read;
    let mut bytes = [0; 32];
    let mut source = std::fs::File::open("/dev/urandom").context("opening /dev/urandom")?;
    source.read_exact(&mut bytes).context("reading /dev/urandom")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_configured_engine_is_written_nowhere() {
        let text =
            "[kafka]\nbootstrap = 'kafka:9092'\n[clickhouse]\nurl = 'http://ch:8123'\npassword = 'theirs'\n";
        let settings = Settings::parse(text, None, [], &[]).unwrap();
        let beside_kafka = running(&settings, true, false).unwrap();
        assert!(
            beside_kafka.contains("kafka:9092") && !beside_kafka.contains("clickhouse"),
            "{beside_kafka}"
        );
        let beside_clickhouse = running(&settings, false, true).unwrap();
        assert!(
            beside_clickhouse.contains("theirs") && !beside_clickhouse.contains("kafka"),
            "{beside_clickhouse}"
        );
        // What another command reads must be settings.
        for text in [beside_kafka, beside_clickhouse] {
            Settings::parse(&text, None, [], &[]).unwrap();
        }
        assert_eq!(running(&settings, false, false), None);
    }

    #[test]
    fn only_a_process_of_this_program_keeps_another_from_the_folder() {
        let folder = std::env::temp_dir().join(format!("changegate-running-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert_eq!(runs_in(&folder), None);
        let written = |process: u32| {
            let text = format!("{MADE_BY}{process} and gone when it ends.\n");
            std::fs::write(folder.join(RUNNING_FILE), text).unwrap();
            runs_in(&folder)
        };
        // Itself: in a container every process has the number of the one before.
        assert_eq!(written(std::process::id()), None);
        assert_eq!(written(u32::MAX), None);
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = written(other.id());
        other.kill().unwrap();
        other.wait().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, None);
    }
}
