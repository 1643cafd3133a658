//! The small server for probes and metrics.

use std::{io, net::SocketAddr};

use axum::{
    Router,
    extract::State as Shared,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use tokio::net::TcpListener;
use tracing::{error, info};

use crate::{Health, Metrics, Tasks, spawn};

/// Why nobody answers.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}; set http.listen to a free address")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

#[derive(Clone)]
struct Probed {
    health: Health,
    metrics: Metrics,
    tasks: Tasks,
}

/// `/healthz` (is the process alive), `/readyz` (may it be counted on; false from the moment shutdown is requested),
/// `/startupz` (has everything been ready once), `/metrics`. Merge more routes into it as needed.
pub fn router(tasks: &Tasks, health: &Health, metrics: &Metrics) -> Router {
    let probed = Probed {
        health: health.clone(),
        metrics: metrics.clone(),
        tasks: tasks.clone(),
    };
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/startupz", get(startupz))
        .route("/metrics", get(metrics_text))
        .with_state(probed)
}

/// Listens on `address` (port 0 takes a free one) and answers until shutdown. Gives the address it got.
///
/// # Errors
/// The address cannot be had.
pub async fn serve(tasks: &Tasks, address: SocketAddr, router: Router) -> Result<SocketAddr, HttpError> {
    let refused = |source| HttpError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    info!(%address, "serving probes and metrics");
    let shutdown = tasks.shutdown().clone();
    spawn(tasks, "http", async move {
        let end = async move { shutdown.wait().await };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(end).await {
            error!(%error, "the HTTP server ended");
        }
    });
    Ok(address)
}

async fn healthz(Shared(probed): Shared<Probed>) -> Response {
    answer(probed.health.is_live(), &probed)
}

async fn readyz(Shared(probed): Shared<Probed>) -> Response {
    let ready = probed.health.is_ready() && !probed.tasks.shutdown().requested();
    answer(ready, &probed)
}

async fn startupz(Shared(probed): Shared<Probed>) -> Response {
    answer(probed.health.is_started(), &probed)
}

async fn metrics_text(Shared(probed): Shared<Probed>) -> Response {
    let text = probed.metrics.render_with(&probed.health);
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, text).into_response()
}

/// `{"status":"ok","components":[{"component":…,"state":…,"reason":…,"detail":…,"since":…}]}`
fn answer(ok: bool, probed: &Probed) -> Response {
    let components: Vec<_> = probed
        .health
        .report()
        .into_iter()
        .map(|report| {
            json!({
                "component": report.component,
                "state": report.state.name(),
                "reason": report.code,
                "detail": report.detail,
                "since": report.since.to_string(),
            })
        })
        .collect();
    let status = if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let word = if ok { "ok" } else { "unavailable" };
    let body = json!({
        "status": word,
        "shutting_down": probed.tasks.shutdown().requested(),
        "components": components,
    });
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, format!("{body}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;
    use crate::Metric;

    async fn get(address: SocketAddr, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    async fn start() -> (Tasks, Health, Metrics, SocketAddr) {
        let (tasks, health, metrics) = (Tasks::new(), Health::new(), Metrics::new());
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = serve(&tasks, any_port, router(&tasks, &health, &metrics))
            .await
            .unwrap();
        (tasks, health, metrics, address)
    }

    #[tokio::test]
    async fn probes_follow_the_components() {
        let (tasks, health, _, address) = start().await;
        assert_eq!(get(address, "/healthz").await.0, 200);
        assert_eq!(get(address, "/readyz").await.0, 503);
        let store = health.component("clickhouse");
        store.not_ready("refused", "Code: 516.\n\"quoted\"");
        let (status, body) = get(address, "/readyz").await;
        assert_eq!(status, 503);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["components"][0]["detail"], "Code: 516.\n\"quoted\"");
        assert_eq!(get(address, "/startupz").await.0, 503);
        store.ready();
        assert_eq!(get(address, "/readyz").await.0, 200);
        store.not_ready("timed_out", "");
        assert_eq!(get(address, "/readyz").await.0, 503);
        assert_eq!(get(address, "/startupz").await.0, 200);
        store.failed("schema", "");
        assert_eq!(get(address, "/healthz").await.0, 503);
        assert_eq!(get(address, "/elsewhere").await.0, 404);
        assert!(tasks.stop(Duration::from_secs(30)).await.is_clean());
    }

    #[tokio::test]
    async fn metrics_are_served() {
        let (tasks, health, metrics, address) = start().await;
        health.component("kafka").ready();
        metrics.counter(Metric::RecordsRead, &["aws"]).increment(42);
        let (status, body) = get(address, "/metrics").await;
        assert_eq!(status, 200);
        assert!(
            body.contains("changegate_records_read_total{topic=\"aws\"} 42"),
            "{body}"
        );
        assert!(
            body.contains("changegate_component_ready{component=\"kafka\"} 1"),
            "{body}"
        );
        assert!(
            body.lines()
                .any(|line| line.starts_with("changegate_resident_bytes ")),
            "{body}"
        );
        assert!(tasks.stop(Duration::from_secs(30)).await.is_clean());
    }

    #[tokio::test]
    async fn shutdown_ends_the_server() {
        let (tasks, _, _, address) = start().await;
        // A connection that says nothing must not hold the process.
        let _idle = TcpStream::connect(address).await.unwrap();
        assert_eq!(get(address, "/healthz").await.0, 200);
        assert!(tasks.stop(Duration::from_secs(30)).await.is_clean());
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_taken_address_is_named() {
        let (tasks, health, metrics, address) = start().await;
        let error = serve(&tasks, address, router(&tasks, &health, &metrics))
            .await
            .unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
