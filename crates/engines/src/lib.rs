//! The local Kafka and ClickHouse: start, watch, stop
