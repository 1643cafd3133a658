-- The stable surface for auditors and dashboards: every row once, ids as they are printed, no bytes of a record.

-- Every change once. A position in superseded is left out; of copies that are equal in everything one is let back in.
CREATE OR REPLACE VIEW {db}.v_changes {on_cluster} AS
SELECT
    * REPLACE (
        lower(hex(event_uid)) AS event_uid,
        lower(hex(content_hash)) AS content_hash,
        lower(hex(change_uid)) AS change_uid,
        lower(hex(raw_hash)) AS raw_hash,
        lower(hex(model_hash)) AS model_hash,
        lower(hex(calibration_hash)) AS calibration_hash,
        lower(hex(policy_hash)) AS policy_hash,
        lower(hex(config_hash)) AS config_hash
    ),
    toUInt8(intDiv(class_uid, 1000)) AS category_uid,
    toUInt32(class_uid) * 100 + activity_id AS type_uid
FROM
(
    SELECT * EXCEPT (child_bytes)
    FROM {db}.changes
    WHERE (topic, incarnation, partition, offset, child, batch_id, attempt) {global} NOT IN
        (SELECT topic, incarnation, partition, offset, child, batch_id, attempt FROM {db}.superseded WHERE child >= 0)
    UNION ALL
    SELECT * EXCEPT (child_bytes)
    FROM {db}.changes
    WHERE (topic, incarnation, partition, offset, child, batch_id, attempt) {global} IN
        (SELECT topic, incarnation, partition, offset, child, batch_id, attempt FROM {db}.superseded
         WHERE why = 'identical' AND child >= 0)
    LIMIT 1 BY topic, incarnation, partition, offset, child
);

-- Every dead-lettered child once.
CREATE OR REPLACE VIEW {db}.v_rejected {on_cluster} AS
SELECT * REPLACE (lower(hex(raw_hash)) AS raw_hash)
FROM
(
    SELECT * EXCEPT (bytes)
    FROM {db}.rejected
    WHERE (topic, incarnation, partition, offset, child, batch_id, attempt) {global} NOT IN
        (SELECT topic, incarnation, partition, offset, child, batch_id, attempt FROM {db}.superseded WHERE child >= 0)
    UNION ALL
    SELECT * EXCEPT (bytes)
    FROM {db}.rejected
    WHERE (topic, incarnation, partition, offset, child, batch_id, attempt) {global} IN
        (SELECT topic, incarnation, partition, offset, child, batch_id, attempt FROM {db}.superseded
         WHERE why = 'identical' AND child >= 0)
    LIMIT 1 BY topic, incarnation, partition, offset, child
);

-- Every Kafka record once, with the outcomes of its children and without its bytes.
CREATE OR REPLACE VIEW {db}.v_raw_records {on_cluster} AS
SELECT
    * REPLACE (lower(hex(raw_hash)) AS raw_hash, lower(hex(stored_hash)) AS stored_hash),
    toUInt32(arraySum(mapValues(skipped))) AS skipped_children,
    toUInt32(arraySum(mapValues(dead_lettered))) AS dead_lettered_children
FROM
(
    SELECT * EXCEPT (key, headers, raw)
    FROM {db}.raw_records
    WHERE (topic, incarnation, partition, offset, batch_id, attempt) {global} NOT IN
        (SELECT topic, incarnation, partition, offset, batch_id, attempt FROM {db}.superseded WHERE child = -1)
    UNION ALL
    SELECT * EXCEPT (key, headers, raw)
    FROM {db}.raw_records
    WHERE (topic, incarnation, partition, offset, batch_id, attempt) {global} IN
        (SELECT topic, incarnation, partition, offset, batch_id, attempt FROM {db}.superseded
         WHERE why = 'identical' AND child = -1)
    LIMIT 1 BY topic, incarnation, partition, offset
);

-- What the system itself did.
CREATE OR REPLACE VIEW {db}.v_operations {on_cluster} AS
SELECT * FROM {db}.operations;

-- Read = written + skipped + dead-lettered, per partition of a topic. `missing` must be 0.
CREATE OR REPLACE VIEW {db}.v_conservation {on_cluster} AS
SELECT
    topic,
    incarnation,
    partition,
    any(source) AS source,
    count() AS records,
    min(offset) AS first_offset,
    max(offset) AS last_offset,
    sum(children) AS read,
    sum(written) AS written,
    sum(skipped_children) AS skipped,
    sum(dead_lettered_children) AS dead_lettered,
    toInt64(read) - toInt64(written) - toInt64(skipped) - toInt64(dead_lettered) AS missing
FROM {db}.v_raw_records
GROUP BY topic, incarnation, partition;

-- Offsets between the first and the last record of a partition that have no row. Kafka leaves such holes itself
-- (transaction markers, compaction); those that the stream has looked at are on record, the others are not explained.
CREATE OR REPLACE VIEW {db}.v_holes {on_cluster} AS
SELECT
    topic,
    incarnation,
    partition,
    before + 1 AS offset_from,
    offset AS offset_to,
    (topic, incarnation, partition, offset_from, offset_to) {global} IN
        (SELECT topic, incarnation, partition, offset_from, offset_to FROM {db}.operations
         WHERE kind IN ('hole', 'gap_skipped')) AS on_record
FROM
(
    SELECT
        topic,
        incarnation,
        partition,
        offset,
        lagInFrame(offset, 1, offset - 1) OVER (PARTITION BY topic, incarnation, partition ORDER BY offset
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before
    FROM {db}.raw_records
)
WHERE offset > before + 1;

-- Changes for which people were asked, or would have been.
CREATE OR REPLACE VIEW {db}.v_approval_requests {on_cluster} AS
SELECT
    change_uid,
    min(asked.decision_time) AS asked_time,
    argMin(asked.approval, asked.decision_time) AS approval,
    argMin(asked.decision, asked.decision_time) AS decision,
    max(asked.risk) AS risk,
    max(asked.risk_level) AS risk_level,
    argMin(asked.source, asked.decision_time) AS source,
    argMin(asked.tenant_uid, asked.decision_time) AS tenant_uid,
    argMin(asked.environment, asked.decision_time) AS environment,
    argMin(asked.owner, asked.decision_time) AS owner,
    argMin(asked.actor_uid, asked.decision_time) AS actor_uid,
    argMin(asked.actor_name, asked.decision_time) AS actor_name,
    argMin(asked.api_operation, asked.decision_time) AS api_operation,
    argMin(asked.account_uid, asked.decision_time) AS account_uid,
    argMin(asked.resource_uids, asked.decision_time) AS resource_uids,
    argMin(asked.ticket_uids, asked.decision_time) AS ticket_uids,
    argMin(asked.reasons, asked.decision_time) AS reasons,
    argMin(asked.rules, asked.decision_time) AS rules,
    argMin(asked.event_time, asked.decision_time) AS event_time,
    count() AS events
FROM {db}.v_changes AS asked
WHERE asked.approval != 'none'
GROUP BY change_uid;

-- For the role auditor_raw: the bytes of one event as received (secrets masked), and the parts that no column holds.
-- Ask by topic, partition and offset: the bytes are kept in the order of the log.
CREATE OR REPLACE VIEW {db}.raw_changes {on_cluster} AS
SELECT
    topic,
    incarnation,
    partition,
    offset,
    child,
    source,
    lower(hex(event_uid)) AS event_uid,
    native_uid,
    event_time,
    if(raw_len > 0, substring(record, raw_start + 1, raw_len), child_bytes) AS bytes,
    multiIf(
        source IN ('aws.cloudtrail', 'aws.eventbridge'), JSONExtractRaw(bytes, 'requestParameters'),
        source = 'azure.activity', JSONExtractRaw(bytes, 'properties', 'requestbody'),
        source = 'gcp.audit', JSONExtractRaw(bytes, 'protoPayload', 'request'),
        source = 'kubernetes.audit', JSONExtractRaw(bytes, 'requestObject'),
        source = 'okta.system', JSONExtractRaw(bytes, 'debugContext', 'debugData'),
        '') AS request_json,
    multiIf(
        source IN ('aws.cloudtrail', 'aws.eventbridge'), JSONExtractRaw(bytes, 'responseElements'),
        source = 'azure.activity', JSONExtractRaw(bytes, 'properties', 'responseBody'),
        source = 'gcp.audit', JSONExtractRaw(bytes, 'protoPayload', 'response'),
        source = 'kubernetes.audit', JSONExtractRaw(bytes, 'responseObject'),
        source = 'okta.system', JSONExtractRaw(bytes, 'outcome'),
        '') AS response_json,
    multiIf(
        source = 'azure.entra', JSONExtractRaw(bytes, 'properties', 'targetResources'),
        source = 'gcp.audit', JSONExtractRaw(bytes, 'protoPayload', 'resourceOriginalState'),
        source IN ('gitlab.audit', 'gitlab.webhook'), if(JSONHas(bytes, 'changes'),
            JSONExtractRaw(bytes, 'changes'), JSONExtractRaw(bytes, 'details')),
        source = 'github.webhook', JSONExtractRaw(bytes, 'changes'),
        source = 'jira.webhook', JSONExtractRaw(bytes, 'changelog', 'items'),
        source = 'okta.system', JSONExtractRaw(bytes, 'target'),
        '') AS diff_json,
    concat(char(123), arrayStringConcat(arrayMap(
        member -> concat(toJSONString(member.1), ':', member.2),
        arrayFilter(
            member -> NOT has(['requestParameters', 'responseElements', 'protoPayload', 'requestObject',
                'responseObject', 'debugContext', 'outcome', 'changelog', 'changes'], member.1),
            JSONExtractKeysAndValuesRaw(bytes))), ','), char(125)) AS unmapped,
    raw_hash,
    stored_hash,
    stored_encoding,
    secrets_masked
FROM
(
    SELECT topic, incarnation, partition, offset, raw AS record, lower(hex(raw_hash)) AS raw_hash,
        lower(hex(stored_hash)) AS stored_hash, stored_encoding, secrets_masked
    FROM {db}.raw_records
    WHERE (topic, incarnation, partition, offset, batch_id, attempt) {global} NOT IN
        (SELECT topic, incarnation, partition, offset, batch_id, attempt FROM {db}.superseded
         WHERE child = -1 AND why != 'identical')
    LIMIT 1 BY topic, incarnation, partition, offset
) AS records
{global} INNER JOIN
(
    SELECT topic, incarnation, partition, offset, child, source, event_uid, native_uid, event_time, raw_start,
        raw_len, child_bytes
    FROM {db}.changes
    WHERE (topic, incarnation, partition, offset, child, batch_id, attempt) {global} NOT IN
        (SELECT topic, incarnation, partition, offset, child, batch_id, attempt FROM {db}.superseded WHERE child >= 0)
    UNION ALL
    SELECT topic, incarnation, partition, offset, child, source, event_uid, native_uid, event_time, raw_start,
        raw_len, child_bytes
    FROM {db}.changes
    WHERE (topic, incarnation, partition, offset, child, batch_id, attempt) {global} IN
        (SELECT topic, incarnation, partition, offset, child, batch_id, attempt FROM {db}.superseded
         WHERE why = 'identical' AND child >= 0)
    LIMIT 1 BY topic, incarnation, partition, offset, child
) AS children USING (topic, incarnation, partition, offset);
