use std::future::Future;

use changegate_clickhouse::{ClickHouseLedger, LedgerClient, Options, grants, migrate};
use changegate_engines::{ClickHouse, ClickHouseOptions, User};
use changegate_types::TimeMicros;

/// Databases of the tests; users' grants are fixed when the server starts.
const DATABASES: [&str; 17] = [
    "migrations",
    "parts",
    "edited",
    "columns",
    "encoded",
    "resend",
    "recovery",
    "copies",
    "keys",
    "late",
    "versions",
    "redeliveries",
    "hop",
    "gaps",
    "errors",
    "roles",
    "questions",
];

/// One server, its users and a runtime for the client.
pub(crate) struct Server {
    pub(crate) clickhouse: ClickHouse,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    pub(crate) fn start() -> Self {
        let user = |name: &str, grants: fn(&str) -> Vec<String>| User {
            name: name.to_owned(),
            password: name.to_owned(),
            grants: DATABASES.iter().flat_map(|database| grants(database)).collect(),
            settings: vec![("http_receive_timeout".to_owned(), "5".to_owned())],
        };
        let options = ClickHouseOptions {
            users: vec![
                user("writer", grants::writer),
                user("reader", grants::reader),
                user("auditor", grants::auditor_raw),
            ],
            ..ClickHouseOptions::default()
        };
        let clickhouse = ClickHouse::start(&options).expect("ClickHouse starts");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        Self { clickhouse, runtime }
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn client_as(&self, database: &str, user: &str, password: &str) -> LedgerClient {
        assert!(DATABASES.contains(&database), "name {database} in DATABASES");
        let options = Options::new(self.clickhouse.url(), database).with_user(user, password);
        LedgerClient::new(options).expect("the settings are right")
    }

    pub(crate) fn admin(&self, database: &str) -> LedgerClient {
        let admin = self.clickhouse.admin();
        self.client_as(database, &admin.user, &admin.password)
    }

    /// A migrated database and the pipeline's ledger on it, with the writer's rights.
    pub(crate) fn ledger(&self, database: &str) -> ClickHouseLedger {
        self.migrate(database);
        self.ledger_at(&self.clickhouse.url(), database)
    }

    /// The same by way of another address.
    pub(crate) fn ledger_at(&self, url: &str, database: &str) -> ClickHouseLedger {
        let options = Options::new(url, database).with_user("writer", "writer");
        let client = LedgerClient::new(options).expect("the settings are right");
        ClickHouseLedger::new(client, self.runtime.handle().clone())
    }

    /// The same for who reads this hop.
    pub(crate) fn ledger_over(&self, database: &str, hop: &str) -> ClickHouseLedger {
        let mut options = Options::new(self.clickhouse.url(), database).with_user("writer", "writer");
        options.hop_topic = hop.to_owned();
        let client = LedgerClient::new(options).expect("the settings are right");
        ClickHouseLedger::new(client, self.runtime.handle().clone())
    }

    pub(crate) fn migrate(&self, database: &str) -> migrate::Report {
        let admin = self.admin(database);
        self.wait(migrate::run(
            &admin,
            &migrate::Form::Single,
            TimeMicros(0),
            "test",
        ))
        .expect("migrations run")
    }

    /// The answer as tab-separated text.
    pub(crate) fn ask(
        &self,
        client: &LedgerClient,
        sql: &str,
    ) -> Result<String, changegate_clickhouse::Error> {
        let mut out = Vec::new();
        self.wait(client.copy(sql, "TSV", &mut out))?;
        Ok(String::from_utf8(out).expect("text"))
    }
}
