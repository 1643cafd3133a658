//! The one list of what each table holds. Encoders write in this order; inserts name these columns; a test
//! compares the list with `DESCRIBE TABLE` on a real server.

use changegate_types::TimeMicros;

/// A table of the ledger that rows are inserted into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// One child that is written.
    Changes,
    /// One child that is dead-lettered.
    Rejected,
    /// One row that is a copy of another.
    Superseded,
    /// The position ledger: one Kafka record. Inserted last, as the completion mark.
    RawRecords,
    /// What the system itself did.
    Operations,
}

/// Name and type of a column.
pub type Column = (&'static str, &'static str);

const HOUR_MICROS: i64 = 3_600_000_000;

/// What rows of a table are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortKey {
    /// A column.
    Column(&'static str),
    /// The hour that the time in a column lies in.
    HourOf(&'static str),
}

impl SortKey {
    /// The column.
    pub const fn column(self) -> &'static str {
        match self {
            Self::Column(name) | Self::HourOf(name) => name,
        }
    }

    /// How many of the column's units are one of the key's, as `intDiv` has it.
    pub(crate) const fn unit(self) -> i64 {
        match self {
            Self::Column(_) => 1,
            Self::HourOf(_) => HOUR_MICROS,
        }
    }

    /// As the table's `ORDER BY` has it. `toStartOfHour` would leave 1970 to 2106.
    pub fn expression(self) -> String {
        match self {
            Self::Column(name) => name.to_owned(),
            Self::HourOf(name) => format!("intDiv(toUnixTimestamp64Micro({name}), {HOUR_MICROS})"),
        }
    }
}

impl Table {
    /// Every table, in the order in which a tick inserts into them.
    pub const ALL: [Self; 5] = [
        Self::Changes,
        Self::Rejected,
        Self::Superseded,
        Self::RawRecords,
        Self::Operations,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
            Self::RawRecords => "raw_records",
            Self::Operations => "operations",
        }
    }

    /// Its columns, in the order in which rows are encoded.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Changes => CHANGES,
            Self::Rejected => REJECTED,
            Self::Superseded => SUPERSEDED,
            Self::RawRecords => RAW_RECORDS,
            Self::Operations => OPERATIONS,
        }
    }

    /// Columns that hold bytes of a record, or are cut from them: readers of `v_*` never see these.
    pub const fn byte_columns(self) -> &'static [&'static str] {
        match self {
            Self::Changes => &["child_bytes"],
            Self::Rejected => &["bytes"],
            Self::RawRecords => &["key", "headers", "raw"],
            Self::Superseded | Self::Operations => &[],
        }
    }

    /// By which rows the table is sorted: its `ORDER BY`, or the beginning of it.
    pub const fn sorted_by(self) -> &'static [SortKey] {
        use SortKey::{Column, HourOf};
        match self {
            Self::Changes => &[
                Column("source"),
                HourOf("event_time"),
                Column("topic"),
                Column("partition"),
                Column("offset"),
                Column("child"),
            ],
            Self::RawRecords => &[
                Column("topic"),
                Column("incarnation"),
                Column("partition"),
                Column("offset"),
            ],
            // Few rows: the server sorts them.
            Self::Rejected | Self::Superseded | Self::Operations => &[],
        }
    }

    /// `INSERT INTO <database>.<table> (<every column>) FORMAT Native`.
    pub fn insert_statement(self, database: &str) -> String {
        let columns: Vec<_> = self.columns().iter().map(|(name, _)| quoted(name)).collect();
        format!(
            "INSERT INTO {}.{} ({}) FORMAT Native",
            quoted(database),
            quoted(self.name()),
            columns.join(", ")
        )
    }
}

/// Which partition of `changes`, `rejected` and `raw_records` a row falls into: `toYYYYMM(kafka_time)`.
///
/// One block into one table partition is atomic, so a batch over months is one insert per month.
pub fn partition_of(kafka_time: TimeMicros) -> u32 {
    let (year, month, ..) = kept_kafka_time(kafka_time).civil();
    year.unsigned_abs() * 100 + month
}

/// Kafka's record time as it is stored: within 1970 to 2200, because `toYYYYMM` and [`partition_of`] must agree
/// on every row. A producer that sets no time sends -1.
pub fn kept_kafka_time(kafka_time: TimeMicros) -> TimeMicros {
    // 2200-01-01T00:00:00Z
    TimeMicros(kafka_time.0.clamp(0, 7_258_118_400_000_000))
}

/// A name in backquotes; names of ours hold none.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

const TIME: &str = "DateTime64(6, 'UTC')";
const LOW: &str = "LowCardinality(String)";
const LOWS: &str = "Array(LowCardinality(String))";
const DIGEST: &str = "LowCardinality(FixedString(32))";
const COUNTS: &str = "Map(LowCardinality(String), UInt32)";

/// Values of `action_verb`.
pub(crate) const VERB: &str =
    "Enum8('unknown' = 0, 'create' = 1, 'read' = 2, 'update' = 3, 'delete' = 4, 'other' = 99)";
/// Values of `privilege_class`.
pub(crate) const PRIVILEGE: &str = "Enum8('none' = 0, 'identity' = 1, 'logging' = 2, 'network' = 3, 'data' = 4, \
    'keys' = 5, 'compute' = 6, 'pipeline' = 7)";
/// Values of `risk_level`.
pub(crate) const LEVEL: &str =
    "Enum8('Unscored' = -1, 'Info' = 0, 'Low' = 1, 'Medium' = 2, 'High' = 3, 'Critical' = 4)";
/// Values of `decision`.
pub(crate) const DECISION: &str = "Enum8('allow' = 0, 'require_approval' = 1, 'deny' = 2)";
/// Values of `approval`: `Ask::ALL` in its order.
pub(crate) const APPROVAL: &str =
    "Enum8('none' = 0, 'asked' = 1, 'grouped' = 2, 'backfill' = 3, 'learning' = 4, 'repeat' = 5)";
/// Values of `why` in `superseded`.
pub(crate) const WHY: &str = "Enum8('late_insert' = 0, 'redelivery' = 1, 'identical' = 2)";

const CHANGES: &[Column] = &[
    ("topic", LOW),
    ("incarnation", "UInt32"),
    ("partition", "Int32"),
    ("offset", "Int64"),
    ("child", "Int32"),
    ("batch_id", "UInt64"),
    ("attempt", "UInt8"),
    ("kafka_time", TIME),
    ("ingest_time", TIME),
    ("tenant_uid", LOW),
    ("source", LOW),
    ("source_product", LOW),
    ("schema_version", LOW),
    ("event_uid", "FixedString(16)"),
    ("native_uid", "String"),
    ("content_hash", "FixedString(16)"),
    ("change_uid", "FixedString(16)"),
    ("correlation_uid", "String"),
    ("uid_conflict", "Bool"),
    ("event_time", TIME),
    ("logged_time", "Nullable(DateTime64(6, 'UTC'))"),
    ("class_uid", "UInt16"),
    ("activity_id", "UInt8"),
    ("severity_id", "UInt8"),
    ("status_id", "UInt8"),
    ("status_code", LOW),
    ("status_detail", "String"),
    ("cloud_provider", LOW),
    ("account_uid", LOW),
    ("org_uid", LOW),
    ("region", LOW),
    ("zone", LOW),
    ("actor_uid", LOW),
    ("actor_name", LOW),
    ("actor_type_id", "UInt8"),
    ("actor_credential_uid", "String"),
    ("actor_session_uid", "String"),
    ("actor_is_mfa", "Nullable(Bool)"),
    ("actor_issuer", LOW),
    ("actor_invoked_by", "String"),
    ("actor_delegated_from", "Array(String)"),
    ("src_ip", "Nullable(IPv6)"),
    ("src_domain", "String"),
    ("src_asn", "UInt32"),
    ("src_country", LOW),
    ("user_agent", LOW),
    ("api_service", LOW),
    ("api_operation", LOW),
    ("api_version", LOW),
    ("request_uid", "String"),
    ("resource_uids", "Array(String)"),
    ("resource_types", LOWS),
    ("resource_names", "Array(String)"),
    ("resource_owner_account", LOW),
    ("environment", LOW),
    ("owner", LOW),
    ("scope_tags", LOWS),
    ("action_verb", VERB),
    ("privilege_class", PRIVILEGE),
    ("is_change", "Bool"),
    ("vcs_repo", LOW),
    ("vcs_change_id", "String"),
    ("vcs_head_revision", "String"),
    ("cicd_run_id", "String"),
    ("cicd_pipeline", LOW),
    ("ticket_uids", "Array(String)"),
    ("is_amendment_of", "String"),
    ("split_uid", "String"),
    ("split_index", "UInt16"),
    ("split_total", "UInt16"),
    ("marks", LOWS),
    ("raw_hash", "FixedString(32)"),
    ("raw_start", "UInt32"),
    ("raw_len", "UInt32"),
    ("child_bytes", "String"),
    ("risk", "Nullable(Float32)"),
    ("risk_level", LEVEL),
    ("risk_extrapolated", "Bool"),
    ("score_raw", "Float32"),
    ("stratum", LOW),
    ("learning", "Bool"),
    ("features", "Array(UInt16)"),
    (
        "reasons",
        "Array(Tuple(feature LowCardinality(String), text LowCardinality(String), contribution Float32))",
    ),
    ("decision", DECISION),
    ("rules", LOWS),
    ("decision_time", TIME),
    ("approval", APPROVAL),
    ("model_name", LOW),
    ("model_hash", DIGEST),
    ("calibration_hash", DIGEST),
    ("policy_hash", DIGEST),
    ("config_hash", DIGEST),
    ("program_version", LOW),
    ("hop_topic", LOW),
    ("hop_incarnation", "UInt32"),
    ("hop_partition", "Int32"),
    ("hop_offset", "Int64"),
];

const RAW_RECORDS: &[Column] = &[
    ("topic", LOW),
    ("incarnation", "UInt32"),
    ("partition", "Int32"),
    ("offset", "Int64"),
    ("batch_id", "UInt64"),
    ("attempt", "UInt8"),
    ("kafka_time", TIME),
    ("ingest_time", TIME),
    ("tenant_uid", LOW),
    ("source", LOW),
    ("children", "UInt32"),
    ("written", "UInt32"),
    ("skipped", COUNTS),
    ("dead_lettered", COUNTS),
    ("raw_hash", "FixedString(32)"),
    ("raw_size", "UInt32"),
    ("stored_hash", "FixedString(32)"),
    ("stored_encoding", LOW),
    ("secrets_masked", "UInt32"),
    ("raw_kept", "Bool"),
    ("key", "Nullable(String)"),
    (
        "headers",
        "Array(Tuple(name LowCardinality(String), value String))",
    ),
    ("raw", "String"),
];

const REJECTED: &[Column] = &[
    ("topic", LOW),
    ("incarnation", "UInt32"),
    ("partition", "Int32"),
    ("offset", "Int64"),
    ("child", "Int32"),
    ("batch_id", "UInt64"),
    ("attempt", "UInt8"),
    ("kafka_time", TIME),
    ("ingest_time", TIME),
    ("tenant_uid", LOW),
    ("source", LOW),
    ("code", LOW),
    ("reason", "String"),
    ("at_byte", "UInt32"),
    ("error", "String"),
    ("raw_hash", "FixedString(32)"),
    ("bytes", "String"),
];

const SUPERSEDED: &[Column] = &[
    ("topic", LOW),
    ("incarnation", "UInt32"),
    ("partition", "Int32"),
    ("offset", "Int64"),
    ("child", "Int32"),
    ("batch_id", "UInt64"),
    ("attempt", "UInt8"),
    ("why", WHY),
    ("of_topic", LOW),
    ("of_incarnation", "UInt32"),
    ("of_partition", "Int32"),
    ("of_offset", "Int64"),
    ("of_child", "Int32"),
    ("of_batch_id", "UInt64"),
    ("of_attempt", "UInt8"),
    ("kafka_time", TIME),
    ("noted_time", TIME),
];

const OPERATIONS: &[Column] = &[
    ("time", TIME),
    ("kind", LOW),
    ("who", "String"),
    ("why", "String"),
    ("topic", LOW),
    ("incarnation", "UInt32"),
    ("partition", "Int32"),
    ("offset_from", "Int64"),
    ("offset_to", "Int64"),
    ("details", "Map(LowCardinality(String), String)"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insert_names_every_column() {
        assert_eq!(
            Table::Operations.insert_statement("cg"),
            "INSERT INTO `cg`.`operations` (`time`, `kind`, `who`, `why`, `topic`, `incarnation`, \
             `partition`, `offset_from`, `offset_to`, `details`) FORMAT Native"
        );
    }

    #[test]
    fn no_column_stands_twice_and_byte_columns_exist() {
        for table in Table::ALL {
            let mut names: Vec<_> = table.columns().iter().map(|(name, _)| *name).collect();
            for name in table.byte_columns() {
                assert!(names.contains(name), "{}.{name}", table.name());
            }
            names.sort_unstable();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all, "{}", table.name());
        }
    }

    #[test]
    fn a_time_that_no_producer_set_has_a_partition() {
        assert_eq!(partition_of(TimeMicros::from_millis(-1)), 197_001);
        assert_eq!(partition_of(TimeMicros(i64::MAX)), 220_001);
        assert_eq!(partition_of(TimeMicros(1_764_000_000_000_000)), 202_511);
    }
}
