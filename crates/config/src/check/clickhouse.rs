//! `[clickhouse]`

use std::time::Duration;

use super::rules::{MINUTE, identifier, not_blank, within};
use crate::{
    RawClickHouse, Secret,
    error::Problems,
    settings::{ClickHouse, ClickHouseUser},
};

impl RawClickHouse {
    pub(super) fn check(self, problems: &mut Problems) -> ClickHouse {
        let url = self.url.trim_end_matches('/').to_owned();
        if !url.is_empty() {
            let host = url
                .strip_prefix("http://")
                .or_else(|| url.strip_prefix("https://"));
            match host {
                Some(host) if host.contains('@') => {
                    // The password in it must not be printed, so the value is not either.
                    problems.add(
                        "clickhouse.url",
                        "must not hold a user or password: use clickhouse.user and password_file",
                    );
                }
                Some(host) if !host.is_empty() && !host.contains(['?', '#', ' ']) => {}
                _ => problems.add(
                    "clickhouse.url",
                    format!("expected http://host:port or https://host:port, found {url:?}"),
                ),
            }
        }
        identifier(&self.database, "clickhouse.database", problems);
        not_blank(&self.user, "clickhouse.user", problems);
        if let Some(cluster) = &self.cluster {
            identifier(cluster, "clickhouse.cluster", problems);
        }
        for (timeout, key) in [
            (self.connect_timeout, "clickhouse.connect_timeout"),
            (self.send_timeout, "clickhouse.send_timeout"),
            (self.query_timeout, "clickhouse.query_timeout"),
            (self.backoff_min, "clickhouse.backoff_min"),
        ] {
            within(timeout, Duration::from_millis(1), 60 * MINUTE, key, problems);
        }
        within(
            self.backoff_max,
            self.backoff_min,
            10 * MINUTE,
            "clickhouse.backoff_max",
            problems,
        );
        let writer = ClickHouseUser {
            name: self.user,
            password: self.password,
        };
        let mut other = |name: Option<String>, password: Option<Secret>, key: &str| match name {
            Some(name) => ClickHouseUser { name, password },
            None => {
                if password.is_some() {
                    problems.add(
                        format!("clickhouse.{key}_password"),
                        format!("needs clickhouse.{key}_user"),
                    );
                }
                writer.clone()
            }
        };
        ClickHouse {
            reader: other(self.reader_user, self.reader_password, "reader"),
            admin: other(self.admin_user, self.admin_password, "admin"),
            writer,
            url,
            database: self.database,
            ca_file: self.ca_file,
            cluster: self.cluster,
            connect_timeout: self.connect_timeout,
            send_timeout: self.send_timeout,
            query_timeout: self.query_timeout,
            backoff_min: self.backoff_min,
            backoff_max: self.backoff_max,
        }
    }
}
