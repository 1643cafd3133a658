//! What the program tells of itself: every metric, and spans to a collector.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use changegate_simulator::{LoadGenerator, Source};
use changegate_telemetry::{Clock as _, Kind, Metric, SystemClock};
use changegate_tests::{Config, Site, until};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const RECORDS: u64 = 3_000;
const DAMAGED: u64 = 7;

/// Takes whatever is sent to it.
struct Collector {
    port: u16,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let into = Arc::clone(&into);
                std::thread::spawn(move || take(stream, &into));
            }
        });
        Self { port, taken }
    }

    fn holds(&self, bytes: &[u8]) -> bool {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.windows(bytes.len()).any(|window| window == bytes)
    }
}

fn take(stream: TcpStream, into: &Mutex<Vec<u8>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        into.lock().unwrap_or_else(PoisonError::into_inner).extend(body);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        reader.get_mut().write_all(answer).ok()?;
    }
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("hexadecimal");
    digits.map(byte).collect()
}

/// Sums over all labels, by name of the sample.
fn sums(text: &str) -> BTreeMap<&str, f64> {
    let mut sums = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let name = name.split('{').next().unwrap_or(name);
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(value.is_finite() && value >= 0.0, "{line}");
        *sums.entry(name).or_insert(0.0) += value;
    }
    sums
}

pub(crate) fn a_real_run_shows_every_metric_and_its_traces(site: &Site) {
    let collector = Collector::start();
    let topic = "telling.raw";
    let mut config = Config::new(site, "telling", &[(topic, "aws.cloudtrail", 2)])
        .with("http.listen", "\"127.0.0.1:0\"")
        .with("batch.rows", "1000")
        .with("batch.block", "100")
        .with("decision.approve_from", "0.5")
        .with("decision.learning_period", "\"0h\"")
        .with("decision.budget_per_hour", "50");
    config.variables = vec![
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://127.0.0.1:{}", collector.port),
        ),
        ("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned()),
    ];
    config.create_topics(site);
    site.database("telling");
    let mut generator = LoadGenerator::of(21, 500, &[Source::AwsCloudtrail]);
    let mut sender = site.sender();
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
    // A stratum has learned what earlier steps of record time held.
    let start_ms = SystemClock.now().millis() - 1_000 * RECORDS as i64;
    for number in 0..RECORDS {
        let time = start_ms + 1_000 * number as i64;
        let record = generator.next(time);
        let traced = [("traceparent", traceparent.as_bytes())];
        let headers: &[(&str, &[u8])] = if number % 2 == 0 { &traced } else { &[] };
        let value = if number < DAMAGED {
            b"{broken"
        } else {
            record.value
        };
        sender
            .send(topic, Some(record.key), headers, value, time)
            .expect("the broker takes it");
    }
    sender
        .finish(changegate_tests::PATIENCE)
        .expect("all are durable");

    let mut program = config.serve(site);
    let looker = site.looker("telling");
    until("everything is read", || {
        program.check();
        site.is_done(&looker, &config.partitions()).then_some(())
    });
    // The client library tells every two seconds whether a broker is connected; the lag may be known before that.
    let kafka_is_ready = "changegate_component_ready{component=\"worker-0/kafka\"} 1";
    let text = until("the lag is known and 0, and Kafka is known to be there", || {
        let (status, text) = program.get("/metrics");
        assert_eq!(status, 200);
        let lags = text
            .lines()
            .filter(|line| line.starts_with("changegate_lag_records{"));
        let lags: Vec<&str> = lags.collect();
        let is_read = lags.len() == 2 && lags.iter().all(|line| line.ends_with(" 0"));
        (is_read && text.lines().any(|line| line == kafka_is_ready)).then_some(text)
    });
    let sums = sums(&text);
    for metric in Metric::ALL {
        let name = metric.name();
        let sample = match metric.kind() {
            Kind::Histogram(_) => format!("{name}_count"),
            Kind::Counter | Kind::Gauge => name.to_owned(),
        };
        assert!(sums.contains_key(sample.as_str()), "{name} is not in\n{text}");
    }
    let sum = |metric: Metric| sums[metric.name()];
    let records = RECORDS as f64;
    assert_eq!(sum(Metric::RecordsRead), records);
    assert_eq!(sum(Metric::ChildrenDeadLettered), DAMAGED as f64);
    assert_eq!(
        sum(Metric::ChildrenRead),
        sum(Metric::ChildrenWritten) + sum(Metric::ChildrenSkipped) + sum(Metric::ChildrenDeadLettered)
    );
    assert!(
        sum(Metric::BytesRead) > records * 500.0,
        "CloudTrail records are larger"
    );
    for metric in [
        Metric::Commits,
        Metric::Inserts,
        Metric::Rebalances,
        Metric::Decisions,
        Metric::Asks,
        Metric::StateEntries,
        Metric::EventsMarked,
        Metric::UnknownEnvironments,
        Metric::ComponentReady,
        Metric::ResidentBytes,
    ] {
        assert!(sum(metric) > 0.0, "{}\n{text}", metric.name());
    }
    for line in [
        "changegate_children_dead_lettered_total{topic=\"telling.raw\",code=\"not_json\"} 7",
        "changegate_messages_sent_total{topic=\"telling.raw.dlq\"} 7",
        "changegate_oldest_unsaved_seconds{worker=\"worker-0\"} 0",
        "changegate_inserts_total{table=\"raw_records\",result=\"no_answer\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} not in\n{text}");
    }
    assert!(!text.contains("\"all\""), "a label names something");
    let scored = text
        .lines()
        .filter(|line| line.starts_with("changegate_risk_points_count"));
    let scored: f64 = scored
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum();
    assert!(scored > 0.0, "{text}");

    // Traces go on in what is sent.
    let dead = site.messages("telling.raw.dlq");
    let traces: Vec<&str> = dead.iter().map(|letter| letter.header("traceparent")).collect();
    let kept = traces.iter().filter(|trace| **trace == traceparent).count();
    assert_eq!(kept as u64, DAMAGED.div_ceil(2), "{traces:?}");
    assert!(
        traces.iter().all(|trace| trace.len() == 55),
        "the others carry that of their batch: {traces:?}"
    );
    let requests = site.messages(&config.approval_topic);
    assert!(!requests.is_empty());
    assert!(
        requests
            .iter()
            .any(|request| request.header("traceparent") == traceparent)
    );
    assert!(
        requests
            .iter()
            .all(|request| request.header("traceparent").len() == 55)
    );

    let (status, took) = program.terminate();
    assert!(status.success(), "after {took:?}");
    for span in [
        "batch",
        "read",
        "normalize_and_score",
        "fence",
        "insert",
        "send",
        "commit",
    ] {
        // A protobuf string: its length stands before it.
        let mut bytes = vec![span.len() as u8];
        bytes.extend_from_slice(span.as_bytes());
        assert!(collector.holds(&bytes), "no span {span}");
    }
    assert!(
        collector.holds(&bytes_of(TRACE)),
        "batches are linked to the traces of their records"
    );
}

pub(crate) fn a_topic_that_is_not_there_is_said_at_the_start(site: &Site) {
    let config = Config::new(site, "nowhere", &[("nowhere.raw", "aws.cloudtrail", 1)]);
    let mut program = config.serve(site);
    assert_eq!(program.ended().code(), Some(2));
    let log = program.log();
    assert!(
        log.contains("no topic \"nowhere.raw\"") && log.contains("changegate topics"),
        "{log}"
    );
}
