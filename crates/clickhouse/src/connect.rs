//! How we reach ClickHouse: address, who we are, certificates, and connections that don't hang.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::Error;

/// Where ClickHouse is and who we are there.
#[derive(Clone)]
pub struct Options {
    /// `http://host:8123` or `https://host:8443`, without user and password.
    pub url: String,
    /// Database of the ledger.
    pub database: String,
    /// User; empty for the server's default.
    pub user: String,
    /// Password; empty for none.
    pub password: String,
    /// PEM file of the authority that signed the server's certificate; the public ones where `None`.
    pub ca_file: Option<PathBuf>,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long a read may take.
    pub read_timeout: Duration,
    /// The hop between processes that normalize and those that score: rows of `changes` are looked for by its positions
    /// where one is asked for. Empty: there is none.
    pub hop_topic: String,
}

impl Options {
    /// The server's default user, 3 s to connect, 60 s to read.
    pub fn new(url: impl Into<String>, database: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            database: database.into(),
            user: String::new(),
            password: String::new(),
            ca_file: None,
            connect_timeout: Duration::from_secs(3),
            read_timeout: Duration::from_secs(60),
            hop_topic: String::new(),
        }
    }

    /// As this user.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = user.into();
        self.password = password.into();
        self
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("url", &self.url)
            .field("database", &self.database)
            .field("user", &self.user)
            .field("password", &"***")
            .finish_non_exhaustive()
    }
}

/// Reads the certificates once; every client it makes has connections of its own.
#[derive(Clone)]
pub(crate) struct Connector {
    tls: Arc<ClientConfig>,
}

impl Connector {
    pub(crate) fn new(options: &Options) -> Result<Self, Error> {
        if !options.url.starts_with("http://") && !options.url.starts_with("https://") {
            return Err(Error::Settings(format!(
                "url {:?} must start with http:// or https:// (ClickHouse's HTTP port is 8123, with TLS 8443)",
                options.url
            )));
        }
        Ok(Self {
            tls: Arc::new(tls(options.ca_file.as_deref())?),
        })
    }

    /// A client that shares no connection with any other.
    pub(crate) fn client(&self, options: &Options) -> clickhouse::Client {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(Duration::from_secs(60)));
        // Without it a black-holed address hangs for minutes.
        http.set_connect_timeout(Some(options.connect_timeout));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls.as_ref().clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let pool = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            // The server closes idle connections after 3 s; a request on a closing one fails.
            .pool_idle_timeout(Duration::from_secs(2))
            .build(https);
        let mut client = clickhouse::Client::with_http_client(pool)
            .with_url(&options.url)
            .with_compression(clickhouse::Compression::None);
        if !options.user.is_empty() {
            client = client.with_user(&options.user);
        }
        if !options.password.is_empty() {
            client = client.with_password(&options.password);
        }
        client
    }
}

/// TLS that trusts the authorities of `ca_file`, else the public ones.
fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let unusable = |reason: String| Error::Settings(format!("ca_file {}: {reason}", path.display()));
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| unusable(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(unusable("holds no certificate in PEM form".to_owned()));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Settings(format!("TLS: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_scheme_says_what_is_missing() {
        let error = Connector::new(&Options::new("localhost:8123", "cg"))
            .map(drop)
            .unwrap_err();
        assert!(error.to_string().contains("must start with http://"), "{error}");
    }

    #[test]
    fn a_certificate_file_that_is_none_is_refused_by_name() {
        let mut options = Options::new("https://localhost:8443", "cg");
        for file in ["Cargo.toml", "no-such-file.pem"] {
            options.ca_file = Some(file.into());
            let error = Connector::new(&options).map(drop).unwrap_err();
            assert!(error.to_string().contains(file), "{error}");
        }
    }

    #[test]
    fn no_password_is_printed() {
        let options = Options::new("http://localhost:8123", "cg").with_user("writer", "hunter2");
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
