-- Questions over years of changes.

-- Questions are about a quarter, a week, an hour. The table is sorted by source first and by hour then: a granule in which one
-- source ends and the next begins may hold any time, as far as the key tells. Parts that are there already get the indices
-- when they are merged.
ALTER TABLE {db}.{table:changes} {on_cluster}
    ADD INDEX IF NOT EXISTS ix_event_time event_time TYPE minmax GRANULARITY 1,
    ADD INDEX IF NOT EXISTS ix_decision_time decision_time TYPE minmax GRANULARITY 1;

-- Every change once. A position in superseded is left out; of copies that are equal in everything one is let back in.
-- What tells a row apart is put into four numbers of eight bytes: ClickHouse looks such a key up three times as fast as one
-- with a text and of 41 bytes, and this is most of what a question over all changes costs. Rows of one topic never share a
-- key. Rows of two do where the hashes of the names differ in the same bits as the ids of their batches, at the same
-- offset: once in 2^64.
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
    WHERE (
        bitXor(cityHash64(topic), batch_id),
        bitOr(bitShiftLeft(toUInt64(incarnation), 32), toUInt32(partition)),
        offset,
        bitOr(bitShiftLeft(toUInt64(toUInt32(child)), 8), attempt)
    ) {global} NOT IN
    (
        SELECT
            bitXor(cityHash64(topic), batch_id),
            bitOr(bitShiftLeft(toUInt64(incarnation), 32), toUInt32(partition)),
            offset,
            bitOr(bitShiftLeft(toUInt64(toUInt32(child)), 8), attempt)
        FROM {db}.superseded
        WHERE child >= 0
    )
    UNION ALL
    SELECT * EXCEPT (child_bytes)
    FROM {db}.changes
    WHERE (topic, incarnation, partition, offset, child, batch_id, attempt) {global} IN
        (SELECT topic, incarnation, partition, offset, child, batch_id, attempt FROM {db}.superseded
         WHERE why = 'identical' AND child >= 0)
    LIMIT 1 BY topic, incarnation, partition, offset, child
);
