-- Where a hop lies between processes that normalize and those that score: the record of the hop that a row came in. Rows
-- without one have an empty topic and -1 each.

ALTER TABLE {db}.{table:changes} {on_cluster}
    ADD COLUMN IF NOT EXISTS hop_topic LowCardinality(String),
    ADD COLUMN IF NOT EXISTS hop_incarnation UInt32 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS hop_partition Int32 DEFAULT -1 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS hop_offset Int64 DEFAULT -1 CODEC(Delta, ZSTD(1)),
    ADD INDEX IF NOT EXISTS ix_hop_offset hop_offset TYPE minmax GRANULARITY 1;

{alter_distributed:changes};

-- A view keeps the columns that there were when it was made.
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
