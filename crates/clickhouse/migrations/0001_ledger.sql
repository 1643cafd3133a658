-- The ledger. Nothing in these tables is updated, replaced or merged away.
-- {…} are placeholders that the runner fills in: one server, or the form for a cluster.

CREATE DATABASE IF NOT EXISTS {db} {on_cluster};

-- One delivered Kafka record: the position ledger. Inserted last, so that a row here means "all of it is written".
-- docs/adr/0003-raw-bytes.md says where the merge settings come from.
CREATE TABLE IF NOT EXISTS {db}.{table:raw_records} {on_cluster}
(
    topic LowCardinality(String),
    incarnation UInt32 CODEC(ZSTD(1)),
    partition Int32 CODEC(ZSTD(1)),
    offset Int64 CODEC(Delta, ZSTD(1)),
    batch_id UInt64 CODEC(ZSTD(1)),
    attempt UInt8 CODEC(ZSTD(1)),
    kafka_time DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    ingest_time DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    tenant_uid LowCardinality(String),
    source LowCardinality(String),
    children UInt32 CODEC(ZSTD(1)),
    written UInt32 CODEC(ZSTD(1)),
    skipped Map(LowCardinality(String), UInt32),
    dead_lettered Map(LowCardinality(String), UInt32),
    raw_hash FixedString(32) CODEC(NONE),
    raw_size UInt32 CODEC(ZSTD(1)),
    stored_hash FixedString(32) CODEC(NONE),
    stored_encoding LowCardinality(String),
    secrets_masked UInt32 CODEC(ZSTD(1)),
    raw_kept Bool CODEC(ZSTD(1)),
    key Nullable(String) CODEC(ZSTD(1)),
    headers Array(Tuple(name LowCardinality(String), value String)) CODEC(ZSTD(1)),
    raw String CODEC(ZSTD(1)),
    INDEX ix_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = {merge_tree:raw_records}
PARTITION BY toYYYYMM(kafka_time)
ORDER BY (topic, incarnation, partition, offset)
SETTINGS {dedup_window} = 10000,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    max_bytes_to_merge_at_max_space_in_pool = 34359738368,
    merge_selector_base = 40;

{distributed:raw_records};

-- One child that is written, with everything known then.
CREATE TABLE IF NOT EXISTS {db}.{table:changes} {on_cluster}
(
    topic LowCardinality(String),
    incarnation UInt32 CODEC(ZSTD(1)),
    partition Int32 CODEC(ZSTD(1)),
    offset Int64 CODEC(Delta, ZSTD(1)),
    child Int32 CODEC(ZSTD(1)),
    batch_id UInt64 CODEC(ZSTD(1)),
    attempt UInt8 CODEC(ZSTD(1)),
    kafka_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    ingest_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    tenant_uid LowCardinality(String),
    source LowCardinality(String),
    source_product LowCardinality(String),
    schema_version LowCardinality(String),
    event_uid FixedString(16) CODEC(NONE),
    native_uid String CODEC(ZSTD(1)),
    content_hash FixedString(16) CODEC(NONE),
    change_uid FixedString(16) CODEC(NONE),
    correlation_uid String CODEC(ZSTD(1)),
    uid_conflict Bool CODEC(ZSTD(1)),
    event_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    logged_time Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    class_uid UInt16 CODEC(ZSTD(1)),
    activity_id UInt8 CODEC(ZSTD(1)),
    severity_id UInt8 CODEC(ZSTD(1)),
    status_id UInt8 CODEC(ZSTD(1)),
    status_code LowCardinality(String),
    status_detail String CODEC(ZSTD(1)),
    cloud_provider LowCardinality(String),
    account_uid LowCardinality(String),
    org_uid LowCardinality(String),
    region LowCardinality(String),
    zone LowCardinality(String),
    actor_uid LowCardinality(String),
    actor_name LowCardinality(String),
    actor_type_id UInt8 CODEC(ZSTD(1)),
    actor_credential_uid String CODEC(ZSTD(1)),
    actor_session_uid String CODEC(ZSTD(1)),
    actor_is_mfa Nullable(Bool) CODEC(ZSTD(1)),
    actor_issuer LowCardinality(String),
    actor_invoked_by String CODEC(ZSTD(1)),
    actor_delegated_from Array(String) CODEC(ZSTD(1)),
    src_ip Nullable(IPv6) CODEC(ZSTD(1)),
    src_domain String CODEC(ZSTD(1)),
    src_asn UInt32 CODEC(ZSTD(1)),
    src_country LowCardinality(String),
    user_agent LowCardinality(String),
    api_service LowCardinality(String),
    api_operation LowCardinality(String),
    api_version LowCardinality(String),
    request_uid String CODEC(ZSTD(1)),
    resource_uids Array(String) CODEC(ZSTD(1)),
    resource_types Array(LowCardinality(String)),
    resource_names Array(String) CODEC(ZSTD(1)),
    resource_owner_account LowCardinality(String),
    environment LowCardinality(String),
    owner LowCardinality(String),
    scope_tags Array(LowCardinality(String)),
    action_verb {verb} CODEC(ZSTD(1)),
    privilege_class {privilege} CODEC(ZSTD(1)),
    is_change Bool CODEC(ZSTD(1)),
    vcs_repo LowCardinality(String),
    vcs_change_id String CODEC(ZSTD(1)),
    vcs_head_revision String CODEC(ZSTD(1)),
    cicd_run_id String CODEC(ZSTD(1)),
    cicd_pipeline LowCardinality(String),
    ticket_uids Array(String) CODEC(ZSTD(1)),
    is_amendment_of String CODEC(ZSTD(1)),
    split_uid String CODEC(ZSTD(1)),
    split_index UInt16 CODEC(ZSTD(1)),
    split_total UInt16 CODEC(ZSTD(1)),
    marks Array(LowCardinality(String)),
    raw_hash FixedString(32) CODEC(NONE),
    raw_start UInt32 CODEC(ZSTD(1)),
    raw_len UInt32 CODEC(ZSTD(1)),
    child_bytes String CODEC(ZSTD(1)),
    risk Nullable(Float32) CODEC(ZSTD(1)),
    risk_level {level} CODEC(ZSTD(1)),
    risk_extrapolated Bool CODEC(ZSTD(1)),
    score_raw Float32 CODEC(ZSTD(1)),
    stratum LowCardinality(String),
    learning Bool CODEC(ZSTD(1)),
    features Array(UInt16) CODEC(ZSTD(1)),
    reasons Array(Tuple(feature LowCardinality(String), text LowCardinality(String), contribution Float32)) CODEC(ZSTD(1)),
    decision {decision} CODEC(ZSTD(1)),
    rules Array(LowCardinality(String)),
    decision_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    approval {approval} CODEC(ZSTD(1)),
    model_name LowCardinality(String),
    model_hash LowCardinality(FixedString(32)),
    calibration_hash LowCardinality(FixedString(32)),
    policy_hash LowCardinality(FixedString(32)),
    config_hash LowCardinality(FixedString(32)),
    program_version LowCardinality(String),
    -- On the printed form of the ids, because that is what the views show and people filter by.
    INDEX ix_event_uid lower(hex(event_uid)) TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX ix_change_uid lower(hex(change_uid)) TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX ix_actor_uid actor_uid TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX ix_resource_uids resource_uids TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX ix_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = {merge_tree:changes}
PARTITION BY toYYYYMM(kafka_time)
-- Within an hour as they arrived, so that a merge moves long runs of rows: docs/adr/0009-changes-by-the-hour.md.
ORDER BY (source, intDiv(toUnixTimestamp64Micro(event_time), 3600000000), topic, partition, offset, child)
SETTINGS {dedup_window} = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

{distributed:changes};

-- One child that is dead-lettered. Its bytes are here and on the dead-letter topic.
CREATE TABLE IF NOT EXISTS {db}.{table:rejected} {on_cluster}
(
    topic LowCardinality(String),
    incarnation UInt32 CODEC(ZSTD(1)),
    partition Int32 CODEC(ZSTD(1)),
    offset Int64 CODEC(Delta, ZSTD(1)),
    child Int32 CODEC(ZSTD(1)),
    batch_id UInt64 CODEC(ZSTD(1)),
    attempt UInt8 CODEC(ZSTD(1)),
    kafka_time DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    ingest_time DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    tenant_uid LowCardinality(String),
    source LowCardinality(String),
    code LowCardinality(String),
    reason String CODEC(ZSTD(1)),
    at_byte UInt32 CODEC(ZSTD(1)),
    error String CODEC(ZSTD(1)),
    raw_hash FixedString(32) CODEC(NONE),
    bytes String CODEC(ZSTD(1)),
    INDEX ix_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = {merge_tree:rejected}
PARTITION BY toYYYYMM(kafka_time)
ORDER BY (topic, incarnation, partition, offset, child)
SETTINGS {dedup_window} = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

{distributed:rejected};

-- One row that is a copy of another. Small: the views leave out what stands here.
CREATE TABLE IF NOT EXISTS {db}.{table:superseded} {on_cluster}
(
    topic LowCardinality(String),
    incarnation UInt32 CODEC(ZSTD(1)),
    partition Int32 CODEC(ZSTD(1)),
    offset Int64 CODEC(Delta, ZSTD(1)),
    child Int32 CODEC(ZSTD(1)),
    batch_id UInt64 CODEC(ZSTD(1)),
    attempt UInt8 CODEC(ZSTD(1)),
    why {why} CODEC(ZSTD(1)),
    of_topic LowCardinality(String),
    of_incarnation UInt32 CODEC(ZSTD(1)),
    of_partition Int32 CODEC(ZSTD(1)),
    of_offset Int64 CODEC(Delta, ZSTD(1)),
    of_child Int32 CODEC(ZSTD(1)),
    of_batch_id UInt64 CODEC(ZSTD(1)),
    of_attempt UInt8 CODEC(ZSTD(1)),
    kafka_time DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    noted_time DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = {merge_tree:superseded}
ORDER BY (topic, incarnation, partition, offset, child, batch_id, attempt)
SETTINGS {dedup_window} = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

{distributed:superseded};

-- What the system itself did.
CREATE TABLE IF NOT EXISTS {db}.{table:operations} {on_cluster}
(
    time DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    kind LowCardinality(String),
    who String CODEC(ZSTD(1)),
    why String CODEC(ZSTD(1)),
    topic LowCardinality(String),
    incarnation UInt32 CODEC(ZSTD(1)),
    partition Int32 CODEC(ZSTD(1)),
    offset_from Int64 CODEC(ZSTD(1)),
    offset_to Int64 CODEC(ZSTD(1)),
    details Map(LowCardinality(String), String) CODEC(ZSTD(1))
)
ENGINE = {merge_tree:operations}
ORDER BY (time, kind)
SETTINGS {dedup_window} = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

{distributed:operations};
