-- What an insert and its merges cost the server. Parts that are there already stay as they are until they are merged.

-- A part of one insert is one file, not two hundred: opening, writing and syncing those cost half of the insert. Larger ones,
-- where questions about years read few columns of many rows, have files of their own for each column as before; and a merge
-- into such a part of enough rows goes column by column, at half the cost (docs/adr/0009-changes-by-the-hour.md).
-- Lengths of texts stand in front of them, one byte mostly, not in a stream of eight bytes each. Statistics of every column
-- were made anew with every merge and answered no question. Merges wait for more parts, as those of raw_records do
-- (docs/adr/0003-raw-bytes.md). docs/adr/0008-parts.md has the measurements.
-- What ClickHouse 25.8 does not know stands alone and is left out there.
ALTER TABLE {db}.{table:changes} {on_cluster} MODIFY SETTING
    min_bytes_for_wide_part = 67108864,
    vertical_merge_algorithm_min_rows_to_activate = 65536,
    merge_selector_base = 40;

ALTER TABLE {db}.{table:changes} {on_cluster} MODIFY SETTING string_serialization_version = 'single_stream';

ALTER TABLE {db}.{table:changes} {on_cluster} MODIFY SETTING auto_statistics_types = '';

ALTER TABLE {db}.{table:raw_records} {on_cluster} MODIFY SETTING min_bytes_for_wide_part = 268435456;

ALTER TABLE {db}.{table:raw_records} {on_cluster} MODIFY SETTING auto_statistics_types = '';
