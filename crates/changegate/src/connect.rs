//! Kafka and ClickHouse as the settings describe them.

use changegate_clickhouse::{LedgerClient, Options};
use changegate_config::{ClickHouseUser, Settings, Stages};
use changegate_kafka::TopicPlan;

/// Kafka as the settings describe it.
pub(crate) fn kafka(settings: &Settings) -> changegate_kafka::Settings {
    let kafka = &settings.kafka;
    let mut properties = vec![(
        "security.protocol".to_owned(),
        kafka.security_protocol.name().to_owned(),
    )];
    let mut add = |name: &str, value: String| properties.push((name.to_owned(), value));
    if let Some(sasl) = &kafka.sasl {
        add("sasl.mechanism", sasl.mechanism.name().to_owned());
        add("sasl.username", sasl.username.clone());
        add("sasl.password", sasl.password.reveal().to_owned());
    }
    let files = [
        ("ssl.ca.location", &kafka.ssl_ca_location),
        ("ssl.certificate.location", &kafka.ssl_certificate_location),
        ("ssl.key.location", &kafka.ssl_key_location),
    ];
    for (name, file) in files {
        if let Some(file) = file {
            add(name, file.display().to_string());
        }
    }
    if let Some(password) = &kafka.ssl_key_password {
        add("ssl.key.password", password.reveal().to_owned());
    }
    for (name, value) in kafka.properties.iter() {
        add(name, value.to_owned());
    }
    changegate_kafka::Settings {
        bootstrap: kafka.bootstrap.clone(),
        group: kafka.group.clone(),
        session_timeout: kafka.session_timeout,
        max_poll_interval: kafka.max_poll_interval,
        record_bytes_max: kafka.dlq_record_bytes_max,
        properties,
    }
}

/// ClickHouse as this user sees it.
pub(crate) fn clickhouse(settings: &Settings, user: &ClickHouseUser) -> anyhow::Result<LedgerClient> {
    let password = user.password.as_ref().map_or("", |password| password.reveal());
    let mut options =
        Options::new(&settings.clickhouse.url, &settings.clickhouse.database).with_user(&user.name, password);
    options.ca_file.clone_from(&settings.clickhouse.ca_file);
    options.connect_timeout = settings.clickhouse.connect_timeout;
    options.read_timeout = settings.clickhouse.query_timeout;
    options.hop_topic.clone_from(&settings.stages.hop_topic);
    Ok(LedgerClient::new(options)?)
}

/// Every topic that the stream reads or writes.
pub(crate) fn topics(settings: &Settings) -> Vec<TopicPlan> {
    let (kafka, replication) = (&settings.kafka, i32::from(settings.kafka.replication));
    let mut plans = Vec::new();
    for topic in &settings.topics {
        let partitions = i32::from(topic.partitions);
        plans.push(TopicPlan::raw(
            &topic.name,
            partitions,
            replication,
            kafka.retention,
            kafka.raw_record_bytes_max,
        ));
        plans.push(TopicPlan::kept(
            &settings.dead_letter_topic(&topic.name),
            1,
            replication,
            kafka.dlq_record_bytes_max,
        ));
    }
    if settings.stages.run != Stages::Whole {
        let (stages, shards) = (&settings.stages, i32::from(settings.stages.shards));
        let hop = &stages.hop_topic;
        plans.push(TopicPlan::hop(
            hop,
            shards,
            replication,
            kafka.dlq_record_bytes_max,
        ));
        plans.push(TopicPlan::kept(
            &settings.dead_letter_topic(hop),
            1,
            replication,
            kafka.dlq_record_bytes_max + kafka.dlq_record_bytes_max - kafka.raw_record_bytes_max,
        ));
        plans.push(TopicPlan::compacted(&stages.state_topic, shards, replication));
    }
    let mut ours = vec![&settings.decision.approval_topic];
    if settings.decision.publish_decisions {
        ours.push(&settings.decision.decision_topic);
    }
    plans.extend(
        ours.iter()
            .map(|name| TopicPlan::kept(name, 4, replication, kafka.raw_record_bytes_max)),
    );
    plans
}
