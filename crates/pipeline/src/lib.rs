//! Batches, fences, progress and recovery as state machines. Knows neither Kafka nor ClickHouse
