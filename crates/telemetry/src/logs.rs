use std::io::{self, IsTerminal, Write};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Subscriber, warn};
use tracing_subscriber::{
    EnvFilter, Layer, fmt::MakeWriter, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

use crate::traces::{self, TraceError, TraceSettings};

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object per line.
    Json,
    /// For eyes.
    Text,
}

/// What [`init`] sets up.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// Filter such as `info,changegate_kafka=debug`, where no variable says otherwise.
    pub level: String,
    /// Traces, if any.
    pub traces: Option<TraceSettings>,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Auto,
            level: "info".to_owned(),
            traces: None,
        }
    }
}

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is none.
    #[error(
        "the log filter {filter:?} (from {origin}) is not understood: {reason}; use for example \"info,changegate_kafka=debug\""
    )]
    Filter {
        /// What it says.
        filter: String,
        /// The variable, or `telemetry.log_level`.
        origin: &'static str,
        /// The parser's words.
        reason: String,
    },
    /// The exporter cannot be made.
    #[error(transparent)]
    Traces(#[from] TraceError),
    /// `init` was called before.
    #[error("a log subscriber is set already")]
    Twice,
}

/// Variables that beat the configured filter, the first that is set.
const FILTER_VARIABLES: [&str; 2] = ["CHANGEGATE_LOG", "RUST_LOG"];

/// Keep it until the end of `main`: it sends the last spans.
#[derive(Debug)]
#[must_use = "dropping it at once ends the traces"]
pub struct TelemetryGuard {
    traces: Option<SdkTracerProvider>,
}

impl TelemetryGuard {
    /// Sends what is left, 3 s at most. Blocks: call it while the runtime still runs, from a thread that is none of its
    /// workers (`spawn_blocking`, or behind `block_on`).
    pub fn shutdown(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(provider) = self.traces.take()
            && let Err(error) = provider.shutdown_with_timeout(std::time::Duration::from_secs(3))
        {
            warn!(%error, "the last spans could not be sent");
        }
    }
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sets the process's subscriber. `env` is the process environment; `CHANGEGATE_LOG`, else `RUST_LOG`, beats
/// `settings.level`. With traces, call it inside the tokio runtime that shall send them.
///
/// # Errors
/// A filter that is none, an exporter that cannot be made, a second call.
pub fn init(
    settings: &LogSettings,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<TelemetryGuard, LogError> {
    let env: Vec<(String, String)> = env.into_iter().collect();
    let filter = filter(settings, &env)?;
    let traces = settings.traces.as_ref().map(traces::provider).transpose()?;
    let tracer_layer = traces.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("changegate"))
            // The exporter's own connections must not make spans of their own.
            .with_filter(tracing_subscriber::filter::filter_fn(|metadata| {
                metadata.target().starts_with("changegate")
            }))
    });
    let terminal = io::stderr().is_terminal();
    let text = match settings.format {
        LogFormat::Auto => terminal,
        LogFormat::Json => false,
        LogFormat::Text => true,
    };
    tracing_subscriber::registry()
        .with(line_layer(text, terminal, io::stderr).with_filter(filter))
        .with(tracer_layer)
        .try_init()
        .map_err(|_| LogError::Twice)?;
    Ok(TelemetryGuard { traces })
}

/// Whether [`init`] would take the filter that is in force.
///
/// # Errors
/// A filter that is none.
pub fn check_filter(level: &str, env: impl IntoIterator<Item = (String, String)>) -> Result<(), LogError> {
    let settings = LogSettings {
        level: level.to_owned(),
        ..LogSettings::default()
    };
    filter(&settings, &env.into_iter().collect::<Vec<_>>()).map(drop)
}

fn filter(settings: &LogSettings, env: &[(String, String)]) -> Result<EnvFilter, LogError> {
    let from_env = FILTER_VARIABLES.iter().find_map(|variable| {
        let found = env
            .iter()
            .find(|(name, value)| name == variable && !value.is_empty());
        found.map(|(_, value)| (*variable, value.as_str()))
    });
    let (origin, text) = from_env.unwrap_or(("telemetry.log_level", &settings.level));
    EnvFilter::builder()
        .parse(text)
        .map_err(|error| LogError::Filter {
            filter: text.to_owned(),
            origin,
            reason: error.to_string(),
        })
}

fn line_layer<S, W>(text: bool, ansi: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer();
    if text {
        layer
            .with_ansi(ansi)
            .with_writer(OneLine {
                writer,
                colours: ansi,
            })
            .boxed()
    } else {
        layer
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(writer)
            .boxed()
    }
}

/// A writer for text lines: a line break inside an event would let foreign text forge a line, other control characters
/// would drive the terminal. JSON escapes them by itself.
struct OneLine<W> {
    writer: W,
    colours: bool,
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for OneLine<W> {
    type Writer = OneLineWriter<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLineWriter {
            writer: self.writer.make_writer(),
            colours: self.colours,
        }
    }
}

struct OneLineWriter<W> {
    writer: W,
    colours: bool,
}

impl<W: Write> Write for OneLineWriter<W> {
    /// The formatter hands over one whole event, with the newline at its end.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = one_line(text.strip_suffix('\n').unwrap_or(&text), self.colours);
        self.writer.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// The event on one line, control characters escaped; with `colours`, only those that set a colour stay.
fn one_line(event: &str, colours: bool) -> String {
    let mut line = String::with_capacity(event.len() + 1);
    let mut rest = event;
    while let Some(c) = rest.chars().next() {
        let colour = if colours && c == '\u{1b}' {
            colour_len(rest)
        } else {
            None
        };
        let taken = colour.unwrap_or(c.len_utf8());
        let (piece, behind) = rest.split_at(taken);
        let breaks = c.is_control() && c != '\t' || matches!(c, '\u{2028}' | '\u{2029}');
        if breaks && colour.is_none() {
            line.extend(c.escape_default());
        } else {
            line.push_str(piece);
        }
        rest = behind;
    }
    line.push('\n');
    line
}

/// Length of `ESC [ digits and semicolons m` at the start.
fn colour_len(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("\u{1b}[")?;
    let end = inner.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    inner[end..].starts_with('m').then_some(2 + end + 1)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{error, info, info_span};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn captured(text: bool, run: impl FnOnce()) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let subscriber = tracing_subscriber::registry().with(line_layer(text, false, move || writer.clone()));
        tracing::subscriber::with_default(subscriber, run);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    /// What `run` logs, line by line.
    pub(crate) fn lines_of(run: impl FnOnce()) -> Vec<serde_json::Value> {
        captured(false, run)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    const FORGED: &str =
        "bob\n{\"level\":\"ERROR\",\"message\":\"forged\"}\r\nINFO forged\u{2028}\u{0}\u{1b}[2J";

    #[test]
    fn foreign_text_makes_no_lines_in_json() {
        let log = captured(false, || {
            let span = info_span!("batch", actor = FORGED);
            let _in_span = span.enter();
            info!(actor = FORGED, shown = %FORGED, quoted = ?FORGED, "read {FORGED}");
            error!("{}", FORGED);
        });
        let lines: Vec<&str> = log.split_inclusive('\n').collect();
        assert_eq!(lines.len(), 2, "{log}");
        for line in lines {
            assert!(
                !line.trim_end_matches('\n').contains(['\r', '\0', '\u{1b}']),
                "{line:?}"
            );
        }
        let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        assert_eq!(first["actor"], FORGED);
        assert_eq!(first["level"], "INFO");
        assert_eq!(first["span"]["name"], "batch");
    }

    #[test]
    fn foreign_text_makes_no_lines_in_text() {
        let log = captured(true, || {
            let span = info_span!("batch", actor = %FORGED);
            let _in_span = span.enter();
            info!(actor = FORGED, shown = %FORGED, quoted = ?FORGED, "read {FORGED}");
            error!("{}", FORGED);
        });
        assert_eq!(log.lines().count(), 2, "{log}");
        assert!(!log.contains(['\r', '\0', '\u{1b}', '\u{2028}']), "{log:?}");
    }

    #[test]
    fn only_colours_reach_a_terminal() {
        let event = "\u{1b}[2m12:00\u{1b}[0m \u{1b}[1;32mINFO\u{1b}[0m a\tb \u{1b}[2J \u{1b}]0;title\u{7} \u{9b}31m \u{1b}";
        assert_eq!(
            one_line(event, true),
            "\u{1b}[2m12:00\u{1b}[0m \u{1b}[1;32mINFO\u{1b}[0m a\tb \\u{1b}[2J \\u{1b}]0;title\\u{7} \\u{9b}31m \\u{1b}\n"
        );
        assert!(!one_line(event, false).contains('\u{1b}'));
    }

    #[test]
    fn a_second_subscriber_is_refused() {
        let quiet = LogSettings {
            level: "off".to_owned(),
            ..LogSettings::default()
        };
        let guard = init(&quiet, []).unwrap();
        assert!(matches!(init(&quiet, []), Err(LogError::Twice)));
        guard.shutdown();
    }

    #[test]
    fn the_variable_beats_the_setting() {
        let settings = LogSettings::default();
        let env = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let shown = |pairs: &[(&str, &str)]| filter(&settings, &env(pairs)).map(|filter| filter.to_string());
        assert_eq!(shown(&[]).unwrap(), "info");
        assert_eq!(shown(&[("RUST_LOG", "warn")]).unwrap(), "warn");
        assert_eq!(
            shown(&[("RUST_LOG", "warn"), ("CHANGEGATE_LOG", "debug")]).unwrap(),
            "debug"
        );
        assert_eq!(shown(&[("CHANGEGATE_LOG", "")]).unwrap(), "info");
        let error = shown(&[("CHANGEGATE_LOG", "changegate=loud")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("CHANGEGATE_LOG") && error.contains("changegate=loud"),
            "{error}"
        );
    }
}
