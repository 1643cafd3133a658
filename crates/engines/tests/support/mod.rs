//! Processes looked at through /proc, an owner to be killed, and a few words of Kafka's protocol.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_engines-test-program");

pub(crate) fn launcher() -> Vec<OsString> {
    vec![PROGRAM.into(), "engine".into()]
}

/// Looks until it is so, and fails when it is not so in time.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !so() {
        assert!(Instant::now() < deadline, "after 20 s still not: {what}");
        std::thread::yield_now();
    }
}

/// Whether the process does anything: a zombie does not.
pub(crate) fn runs(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| !matches!(fields.first().map(String::as_str), Some("Z" | "X")))
}

pub(crate) fn parent_of(pid: u32) -> u32 {
    stat(pid).unwrap()[1].parse().unwrap()
}

pub(crate) fn process_group_of(pid: u32) -> u32 {
    stat(pid).unwrap()[2].parse().unwrap()
}

/// The fields of /proc/PID/stat after the name: state, parent, group, ...
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}

pub(crate) fn kill_9(pid: u32) {
    assert!(
        Command::new("kill")
            .args(["-9", &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// A process that started both engines and holds them.
pub(crate) struct Owner {
    child: Child,
    pub(crate) kafka: u32,
    pub(crate) clickhouse: u32,
    pub(crate) folders: [PathBuf; 2],
}

impl Owner {
    pub(crate) fn start() -> Self {
        let mut child = Command::new(PROGRAM)
            .arg("own")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let [kafka, clickhouse, first, second] = words[..] else {
            panic!("the owner said {line:?}")
        };
        let folders = [first.into(), second.into()];
        Self {
            kafka: kafka.parse().unwrap(),
            clickhouse: clickhouse.parse().unwrap(),
            folders,
            child,
        }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap(); // SIGKILL: nothing of it runs any more
        self.child.wait().unwrap();
    }
}

/// Just enough of the protocol to make a topic and to list topics.
pub(crate) struct KafkaWire(TcpStream);

impl KafkaWire {
    pub(crate) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(stream)
    }

    pub(crate) fn create_topic(&mut self, name: &str) {
        let mut body = Vec::new();
        body.extend(1_i32.to_be_bytes()); // one topic
        text(&mut body, name);
        body.extend(1_i32.to_be_bytes()); // partitions
        body.extend(1_i16.to_be_bytes()); // copies
        body.extend(0_i32.to_be_bytes()); // no assignments
        body.extend(0_i32.to_be_bytes()); // no settings
        body.extend(20_000_i32.to_be_bytes()); // timeout in ms
        body.push(0); // not only a check
        let answer = self.ask(19, 2, &body);
        // Correlation id, throttle time, one topic: name, error code.
        let error = &answer[4 + 4 + 4 + 2 + name.len()..][..2];
        assert_eq!(error, [0, 0], "making topic {name}");
    }

    pub(crate) fn topics(&mut self) -> BTreeSet<String> {
        let answer = self.ask(3, 1, &(-1_i32).to_be_bytes()); // null: all of them
        let mut at = Cursor(&answer[4..]);
        for _ in 0..at.i32() {
            at.skip_broker();
        }
        at.i32(); // controller
        let mut topics = BTreeSet::new();
        for _ in 0..at.i32() {
            assert_eq!(at.i16(), 0, "a topic with an error");
            topics.insert(at.text());
            at.take(1); // internal or not
            for _ in 0..at.i32() {
                at.skip_partition();
            }
        }
        topics
    }

    fn ask(&mut self, api: i16, version: i16, body: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        message.extend(api.to_be_bytes());
        message.extend(version.to_be_bytes());
        message.extend(7_i32.to_be_bytes());
        message.extend((-1_i16).to_be_bytes()); // client id: null
        message.extend(body);
        self.0
            .write_all(&i32::try_from(message.len()).unwrap().to_be_bytes())
            .unwrap();
        self.0.write_all(&message).unwrap();
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut answer).unwrap();
        answer
    }
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend(i16::try_from(text.len()).unwrap().to_be_bytes());
    body.extend(text.as_bytes());
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take(&mut self, length: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken.to_vec()
    }

    fn skip_broker(&mut self) {
        self.i32(); // id
        self.text(); // host
        self.i32(); // port
        self.text(); // rack
    }

    fn skip_partition(&mut self) {
        self.i16(); // error
        self.i32(); // index
        self.i32(); // leader
        for _copies_and_copies_in_sync in 0..2 {
            for _ in 0..self.i32() {
                self.i32();
            }
        }
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    fn text(&mut self) -> String {
        let length = self.i16();
        String::from_utf8(self.take(usize::try_from(length).unwrap_or(0))).unwrap()
    }
}
