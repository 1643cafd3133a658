//! Spans to a collector, over OTLP as protobuf in HTTP, where the standard `OTEL_*` variables ask for it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response, hyper::HyperClient};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::{info, warn};

/// Where spans go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSettings {
    /// Whole address, `http://collector:4318/v1/traces`.
    pub endpoint: String,
    /// Time for one export.
    pub timeout: Duration,
    /// `service.name`.
    pub service_name: String,
}

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// Not `http://…`.
    #[error(
        "OTEL_EXPORTER_OTLP_ENDPOINT is {0:?}: expected http://host:port; send to a collector nearby over http, and let it do TLS"
    )]
    Endpoint(String),
    /// The runtime that shall send is not there.
    #[error("traces need a tokio runtime: set them up inside it")]
    NoRuntime,
    /// The exporter's own words.
    #[error("the OTLP exporter cannot be made: {0}")]
    Exporter(String),
}

impl TraceSettings {
    /// From the standard variables; `None` unless `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT`
    /// is set, or with `OTEL_SDK_DISABLED=true`. Headers, sampler, batch limits and resource attributes are read from
    /// their `OTEL_*` variables by the exporter itself.
    ///
    /// # Errors
    /// An endpoint that is not http.
    pub fn from_env(
        env: impl IntoIterator<Item = (String, String)>,
        service_name: &str,
    ) -> Result<Option<Self>, TraceError> {
        let env: Vec<(String, String)> = env.into_iter().collect();
        let value = |name: &str| {
            let found = env.iter().find(|(key, value)| key == name && !value.is_empty());
            found.map(|(_, value)| value.as_str())
        };
        if value("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let endpoint = match (
            value("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
            value("OTEL_EXPORTER_OTLP_ENDPOINT"),
        ) {
            (Some(whole), _) => whole.to_owned(),
            (None, Some(base)) => format!("{}/v1/traces", base.trim_end_matches('/')),
            (None, None) => return Ok(None),
        };
        if !endpoint.starts_with("http://") {
            return Err(TraceError::Endpoint(endpoint));
        }
        let timeout = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]
            .into_iter()
            .find_map(|name| value(name)?.parse().ok())
            .unwrap_or(10_000);
        Ok(Some(Self {
            endpoint,
            timeout: Duration::from_millis(timeout),
            service_name: value("OTEL_SERVICE_NAME").unwrap_or(service_name).to_owned(),
        }))
    }
}

pub(crate) fn provider(settings: &TraceSettings) -> Result<SdkTracerProvider, TraceError> {
    let runtime = Handle::try_current().map_err(|_| TraceError::NoRuntime)?;
    let client = OnRuntime {
        client: Arc::new(HyperClient::with_default_connector(settings.timeout, None)),
        runtime,
        failing: Arc::default(),
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(&settings.endpoint)
        .with_timeout(settings.timeout)
        .build()
        .map_err(|error| TraceError::Exporter(error.to_string()))?;
    let resource = Resource::builder()
        .with_service_name(settings.service_name.clone())
        .build();
    Ok(SdkTracerProvider::builder()
        .with_resource(resource)
        .with_batch_exporter(exporter)
        .build())
}

/// The exporter sends from a thread of its own, where hyper finds no runtime: so the request runs on ours.
struct OnRuntime {
    client: Arc<HyperClient>,
    runtime: Handle,
    failing: Arc<AtomicBool>,
}

impl fmt::Debug for OnRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnRuntime").finish_non_exhaustive()
    }
}

impl HttpClient for OnRuntime {
    // As `async_trait` would write it: one method is not worth the macro.
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let client = Arc::clone(&self.client);
        let sent = self
            .runtime
            .spawn(async move { client.send_bytes(request).await });
        let failing = Arc::clone(&self.failing);
        Box::pin(async move {
            let answer = sent.await.unwrap_or_else(|error| Err(error.into()));
            let failed = match &answer {
                Ok(response) if response.status().is_success() => None,
                Ok(response) => Some(response.status().to_string()),
                Err(error) => Some(error.to_string()),
            };
            // One line per change of state: a collector that is away must not fill the log.
            match (&failed, failing.swap(failed.is_some(), Ordering::Relaxed)) {
                (Some(reason), false) => warn!(reason, "spans cannot be sent, they are dropped"),
                (None, true) => info!("spans are sent again"),
                _ => {}
            }
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::TcpListener,
        thread,
    };

    use opentelemetry::trace::TracerProvider as _;
    use tracing::info_span;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn from_env(pairs: &[(&str, &str)]) -> Result<Option<TraceSettings>, TraceError> {
        let env = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        TraceSettings::from_env(env, "changegate")
    }

    #[test]
    fn the_standard_variables_decide() {
        assert_eq!(from_env(&[]).unwrap(), None);
        assert_eq!(from_env(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]).unwrap(), None);
        let settings = from_env(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/")])
            .unwrap()
            .unwrap();
        assert_eq!(settings.endpoint, "http://c:4318/v1/traces");
        assert_eq!(settings.service_name, "changegate");
        let settings = from_env(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:4318/in"),
            ("OTEL_SERVICE_NAME", "gate-eu"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
        ])
        .unwrap()
        .unwrap();
        assert_eq!(settings.endpoint, "http://t:4318/in");
        assert_eq!(settings.service_name, "gate-eu");
        assert_eq!(settings.timeout, Duration::from_millis(250));
        let disabled = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            ("OTEL_SDK_DISABLED", "TRUE"),
        ];
        assert_eq!(from_env(&disabled).unwrap(), None);
        let error = from_env(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c")]).unwrap_err();
        assert!(error.to_string().contains("https://c"));
    }

    /// A collector for one export: the request line and the body.
    fn collect_one(listener: &TcpListener) -> (String, Vec<u8>) {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let mut request_line = String::new();
        reader.read_line(&mut request_line).unwrap();
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            if header.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        reader.into_inner().write_all(answer).unwrap();
        (request_line, body)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_span_reaches_the_collector() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = TraceSettings {
            endpoint: format!("http://{}/v1/traces", listener.local_addr().unwrap()),
            timeout: Duration::from_secs(30),
            service_name: "gate-under-test".to_owned(),
        };
        let collector = thread::spawn(move || collect_one(&listener));
        let provider = provider(&settings).unwrap();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            info_span!("insert_batch").in_scope(|| ());
        });
        tokio::task::spawn_blocking(move || provider.shutdown().unwrap())
            .await
            .unwrap();
        let (request_line, body) = collector.join().unwrap();
        assert!(request_line.starts_with("POST /v1/traces "), "{request_line}");
        let holds = |text: &str| body.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(holds("insert_batch") && holds("gate-under-test"));
    }

    #[test]
    fn outside_a_runtime_it_says_so() {
        let settings = from_env(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")])
            .unwrap()
            .unwrap();
        assert!(matches!(provider(&settings), Err(TraceError::NoRuntime)));
    }
}
