//! The other side of the small server: what a running process says of itself.

use std::time::Duration;

use opentelemetry_http::{Bytes, HttpClient as _, Request, hyper::HyperClient};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Not an address.
    #[error("{address:?} is no address: expected host:port or http://host:port")]
    Address {
        /// As given.
        address: String,
    },
    /// Nobody there, or not in time.
    #[error(
        "nobody answers at {url} ({reason}): does the process run, and is http.listen set to this address?"
    )]
    NoAnswer {
        /// What was asked.
        url: String,
        /// In the client's words.
        reason: String,
    },
}

/// Asks `http://<address><path>` and gives the status and the body.
///
/// # Errors
/// Nobody answers within this time, or the address is none.
pub async fn ask(address: &str, path: &str, within: Duration) -> Result<(u16, String), AskError> {
    let host = address.strip_prefix("http://").unwrap_or(address);
    let url = format!("http://{}{path}", host.trim_end_matches('/'));
    let request = Request::get(&url).body(Bytes::new());
    let request = request.map_err(|_| AskError::Address {
        address: address.to_owned(),
    })?;
    let client = HyperClient::with_default_connector(within, None);
    let answer = client.send_bytes(request).await.map_err(|error| {
        // The innermost cause says what happened; the outer ones that something did.
        let mut cause: &dyn std::error::Error = &*error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let reason = cause.to_string();
        AskError::NoAnswer { url, reason }
    })?;
    let status = answer.status().as_u16();
    Ok((status, String::from_utf8_lossy(answer.body()).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::{Health, Metrics, Tasks, router, serve};

    const WITHIN: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_process_answers_and_nobody_does_not() {
        let (tasks, health, metrics) = (Tasks::new(), Health::new(), Metrics::new());
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let routes = router(&tasks, &health, &metrics);
        let address = serve(&tasks, any_port, routes).await.unwrap().to_string();
        health.component("kafka").not_ready("down", "");
        let (status, body) = ask(&address, "/readyz", WITHIN).await.unwrap();
        assert_eq!(status, 503);
        assert!(body.contains("\"down\""), "{body}");
        let (status, body) = ask(&format!("http://{address}/"), "/metrics", WITHIN)
            .await
            .unwrap();
        assert_eq!(status, 200);
        assert!(body.contains("changegate_resident_bytes"), "{body}");
        assert!(tasks.stop(WITHIN).await.is_clean());
        let error = ask(&address, "/readyz", WITHIN).await.unwrap_err();
        assert!(error.to_string().contains(&address), "{error}");
        let error = ask("no host", "/readyz", WITHIN).await.unwrap_err();
        assert!(matches!(error, AskError::Address { .. }), "{error}");
    }
}
