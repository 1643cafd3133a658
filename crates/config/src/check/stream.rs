//! `[[topics]]`, `[[environments]]`, `[decision]`: what is read, and what is made of it.

use std::{collections::BTreeSet, time::Duration};

use changegate_policy::{RawThresholds, Thresholds};

use super::rules::{YEAR, at_least_one, known_source, not_blank, topic_name, whole_hours, within};
use crate::{
    RawDecision, RawEnvironment, RawTopic, Reads,
    error::Problems,
    settings::{Decision, Environment, Topic},
};

pub(super) fn check_topics(
    topics: Vec<RawTopic>,
    tenant_uid: &str,
    prefix: &str,
    known_sources: &[&str],
    problems: &mut Problems,
) -> Vec<Topic> {
    if topics.is_empty() {
        return known_sources
            .iter()
            .map(|source| Topic {
                name: format!("{prefix}changegate.raw.{source}.v1"),
                source: (*source).to_owned(),
                tenant: tenant_uid.to_owned(),
                cluster: String::new(),
                partitions: RawTopic::default().partitions,
                reads: Reads::Store,
            })
            .collect();
    }
    let mut names = BTreeSet::new();
    let mut checked = Vec::new();
    for (i, topic) in topics.into_iter().enumerate() {
        let key = |name: &str| format!("topics[{i}].{name}");
        topic_name(&topic.name, &key("name"), problems);
        if !names.insert(topic.name.clone()) {
            problems.add(
                key("name"),
                format!("the topic {:?} is configured twice", topic.name),
            );
        }
        known_source(&topic.source, &key("source"), known_sources, problems);
        at_least_one(topic.partitions.into(), &key("partitions"), problems);
        let tenant = topic.tenant.unwrap_or_else(|| tenant_uid.to_owned());
        not_blank(&tenant, &key("tenant"), problems);
        checked.push(Topic {
            name: topic.name,
            source: topic.source,
            tenant,
            cluster: topic.cluster.unwrap_or_default(),
            partitions: topic.partitions,
            reads: topic.reads,
        });
    }
    checked
}

pub(super) fn check_environments(rules: Vec<RawEnvironment>, problems: &mut Problems) -> Vec<Environment> {
    let mut checked = Vec::new();
    for (i, rule) in rules.into_iter().enumerate() {
        let at = format!("environments[{i}]");
        not_blank(&rule.environment, &format!("{at}.environment"), problems);
        let lists = [
            ("account", &rule.account),
            ("subscription", &rule.subscription),
            ("project", &rule.project),
            ("cluster", &rule.cluster),
            ("namespace", &rule.namespace),
            ("repository", &rule.repository),
        ];
        if lists.iter().all(|(_, list)| list.is_empty()) {
            let names: Vec<&str> = lists.iter().map(|(name, _)| *name).collect();
            problems.add(
                &at,
                format!(
                    "needs at least one of {}; a rule without patterns would match all",
                    names.join(", ")
                ),
            );
        }
        for (name, list) in lists {
            for (n, pattern) in list.iter().enumerate() {
                not_blank(pattern, &format!("{at}.{name}[{n}]"), problems);
            }
        }
        // The three clouds have three names for one thing, and an event has only one of them.
        let account = [rule.account, rule.subscription, rule.project].concat();
        checked.push(Environment {
            environment: rule.environment,
            owner: rule.owner.unwrap_or_default(),
            scope_tags: rule.scope_tags,
            account,
            cluster: rule.cluster,
            namespace: rule.namespace,
            repository: rule.repository,
        });
    }
    checked
}

impl RawDecision {
    pub(super) fn check(self, prefix: &str, problems: &mut Problems) -> Decision {
        let raw = RawThresholds {
            approve_from: self.approve_from,
            deny_from: self.deny_from,
        };
        let thresholds = raw.check().unwrap_or_else(|error| {
            let key = match error {
                changegate_policy::Error::ApproveFrom(_) => "decision.approve_from",
                changegate_policy::Error::DenyFrom { .. } => "decision.deny_from",
            };
            problems.add(key, error.to_string());
            Thresholds::default()
        });
        within(
            self.approval_max_age,
            Duration::ZERO,
            10 * YEAR,
            "decision.approval_max_age",
            problems,
        );
        within(
            self.learning_period,
            Duration::ZERO,
            YEAR,
            "decision.learning_period",
            problems,
        );
        if !(0.0..=100.0).contains(&self.learning_approve_from) {
            problems.add(
                "decision.learning_approve_from",
                format!(
                    "expected 0 to 100 risk points, found {}",
                    self.learning_approve_from
                ),
            );
        }
        topic_name(&self.approval_topic, "decision.approval_topic", problems);
        topic_name(&self.decision_topic, "decision.decision_topic", problems);
        Decision {
            thresholds,
            approval_max_age: self.approval_max_age,
            budget_per_hour: self.budget_per_hour,
            learning_hours: whole_hours(self.learning_period, "decision.learning_period", problems),
            learning_approve_from: self.learning_approve_from,
            publish_decisions: self.publish_decisions,
            approval_topic: format!("{prefix}{}", self.approval_topic),
            decision_topic: format!("{prefix}{}", self.decision_topic),
        }
    }
}
