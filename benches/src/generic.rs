//! The rivals: what `Normalizer::record` makes of one event of five sources, by way of `serde_json::Value` and `regex`,
//! as a normalizer is usually written. Same columns, same masked record, ids equal where ours are equal.
//!
//! They are let off what these records do not ask for: envelopes, names in another case, a name that stands twice in
//! one object, JSON in base64, bounds other than `serde_json`'s; and `raw_hash`. Each module says what more.

use std::fmt;

use anyhow::Context as _;
use changegate_normalize::EnvironmentRule;
use changegate_types::{Class, Keyed128, Mark, TimeMicros, Verb};
use hmac::{Hmac, KeyInit as _, Mac as _};
use regex::Regex;
use serde_json::Value;
use sha2::Sha256;
use siphasher::sip128::{Hasher128 as _, SipHasher24};

mod aws_cloudtrail;
mod azure_activity;
mod columns;
mod gcp_audit;
mod github_audit;
mod kubernetes_audit;
mod mask;
mod members;
#[cfg(test)]
mod tests;

// The tables are the product's own, so that both sides decide by the same words.
#[allow(dead_code, reason = "only the list is used, not the product's way to ask it")]
#[path = "../../crates/normalize/src/secret/names.rs"]
mod names;
#[allow(dead_code, reason = "all sources share it, and five stand here")]
#[path = "../../crates/normalize/src/verb.rs"]
mod verb;

pub use columns::Columns;

const DAY_MICROS: i64 = 86_400_000_000;
/// As many tickets and resources as a row keeps.
const LIST_MAX: usize = 64;

/// What the module of a source does.
trait Source: fmt::Debug + Send + Sync {
    /// As in the `source` column.
    fn name(&self) -> &'static str;

    /// What carries secrets by nature in it.
    fn rules(&self) -> mask::Rules;

    /// What the event says, and the ids where it names event or change by more than a native id.
    fn columns(&self, generic: &Generic, event: Value) -> Columns;
}

fn source(name: &str) -> Option<Box<dyn Source>> {
    Some(match name {
        "aws.cloudtrail" => Box::new(aws_cloudtrail::CloudTrail::new()),
        "azure.activity" => Box::new(azure_activity::AzureActivity),
        "gcp.audit" => Box::new(gcp_audit::GcpAudit),
        "github.audit" => Box::new(github_audit::GitHubAudit),
        "kubernetes.audit" => Box::new(kubernetes_audit::KubernetesAudit),
        _ => return None,
    })
}

/// What one record came to.
#[derive(Debug, Default)]
pub struct Normalized {
    /// The masked record, written anew; `None` where nothing had to be masked.
    pub stored: Option<Vec<u8>>,
    /// How many secrets were masked.
    pub secrets_masked: u32,
    /// The columns of the one change in it.
    pub columns: Columns,
}

/// What one topic and its tenant set.
#[derive(Clone, Debug)]
pub struct Settings<'s> {
    /// Name of the source.
    pub source: &'s str,
    /// The cluster that events come from, where they don't say.
    pub cluster: &'s str,
    /// Whose they are.
    pub tenant_uid: &'s str,
    /// Key of commitments and ids.
    pub mask_key: &'s [u8],
    /// Patterns that name the environment.
    pub environments: &'s [EnvironmentRule],
}

/// One topic's rival, all patterns compiled.
#[derive(Debug)]
pub struct Generic {
    source: Box<dyn Source>,
    cluster: String,
    tenant_uid: String,
    ids: SipHasher24,
    masker: mask::Masker,
    tickets: Regex,
    no_projects: Regex,
    environments: Vec<(EnvironmentRule, [Vec<Regex>; 4])>,
}

impl Generic {
    /// For one topic.
    ///
    /// # Errors
    /// A source without a rival, a pattern that does not compile, a key that HMAC refuses.
    pub fn new(settings: &Settings<'_>) -> anyhow::Result<Self> {
        let source =
            source(settings.source).with_context(|| format!("{:?} has no rival", settings.source))?;
        let compile = |globs: &Vec<String>| {
            let pattern = |glob: &String| {
                let pattern = regex::escape(glob).replace(r"\*", ".*").replace(r"\?", ".");
                Regex::new(&format!("(?is)^{pattern}$"))
            };
            globs.iter().map(pattern).collect::<Result<Vec<_>, _>>()
        };
        let environments = settings.environments.iter().map(|rule| {
            let patterns = [
                compile(&rule.account)?,
                compile(&rule.cluster)?,
                compile(&rule.namespace)?,
                compile(&rule.repository)?,
            ];
            Ok((rule.clone(), patterns))
        });
        // Of the key of secrets, which the ids must say nothing about.
        let mut key = Hmac::<Sha256>::new_from_slice(settings.mask_key)?;
        key.update(b"ids");
        let key: [u8; 32] = key.finalize().into_bytes().into();
        Ok(Self {
            cluster: settings.cluster.to_owned(),
            tenant_uid: settings.tenant_uid.to_owned(),
            ids: SipHasher24::new_with_key(key.first_chunk().context("32 bytes begin with 16")?),
            masker: mask::Masker::new(settings.mask_key, source.rules())?,
            tickets: Regex::new(r"(?-u)\b(?:[A-Z][A-Z0-9]+-[0-9]{1,9}|(?:CHG|INC)[0-9]{7,})\b")?,
            no_projects: Regex::new(
                "^(?:UTF|SHA|AES|RSA|MD|ISO|TLS|SSL|RFC|CVE|HTTP|IPV|X|US|EU|AP|UTC|GMT|HMAC|RS|ES|HS|CRC|GHSA)-",
            )?,
            environments: environments.collect::<Result<_, regex::Error>>()?,
            source,
        })
    }

    /// Normalizes one bare event.
    ///
    /// # Errors
    /// What is no text, no JSON or no object.
    pub fn record(&self, kafka_time: TimeMicros, bytes: &[u8]) -> anyhow::Result<Normalized> {
        // Checked once as a whole, which costs less than in each string.
        let text = std::str::from_utf8(bytes)?;
        let mut tree: Value = serde_json::from_str(text)?;
        anyhow::ensure!(tree.is_object(), "the record is no object");
        let secrets_masked = self.masker.record(text, &mut tree);
        // Members of a `Map` are sorted, so this is the canonical form too.
        let canonical = serde_json::to_vec(&tree)?;
        let content_hash = self.id([b"content", &canonical[..]]);
        let mut columns = self.source.columns(self, tree);
        if secrets_masked > 0 {
            columns.marks.set(Mark::SecretMasked);
        }
        columns.content_hash = content_hash;
        self.finish(&mut columns, kafka_time);
        Ok(Normalized {
            stored: (secrets_masked > 0).then_some(canonical),
            secrets_masked,
            columns,
        })
    }

    fn id<'p>(&self, parts: impl IntoIterator<Item = &'p [u8]>) -> Keyed128 {
        let mut hasher = self.ids;
        for part in parts {
            use std::hash::Hasher as _;
            hasher.write_u64(part.len() as u64);
            hasher.write(part);
        }
        Keyed128(hasher.finish128().as_u128())
    }

    /// The id of what this source names by these parts: `event` or `change`.
    fn uid(&self, what: &str, parts: &[&str]) -> Keyed128 {
        let common = [what, &self.tenant_uid, self.source.name()];
        self.id(common.iter().chain(parts).map(|part| part.as_bytes()))
    }

    /// What all sources have alike: ids, times, environment, marks.
    fn finish(&self, columns: &mut Columns, kafka_time: TimeMicros) {
        columns.tenant_uid.clone_from(&self.tenant_uid);
        columns.source = self.source.name();
        let (tenant, content) = (self.tenant_uid.as_bytes(), columns.content_hash.0.to_le_bytes());
        if columns.event_uid == Keyed128::default() {
            columns.event_uid = if columns.native_uid.is_empty() {
                columns.marks.set(Mark::UidFromContent);
                let source = columns.source.as_bytes();
                self.id([b"event of content", tenant, source, &content])
            } else {
                self.uid("event", &[&columns.native_uid])
            };
        }
        if columns.change_uid == Keyed128::default() {
            let event = columns.event_uid.0.to_le_bytes();
            columns.change_uid = self.id([b"change of event", tenant, &event, &content]);
        }
        if columns.event_time == TimeMicros::default() {
            columns.marks.set(Mark::MissingTime);
            columns.event_time = kafka_time;
        } else if !(-400 * DAY_MICROS..=DAY_MICROS).contains(&(columns.event_time.0 - kafka_time.0)) {
            columns.marks.set(Mark::TimeOutOfRange);
        }
        let says_nothing = columns.api_operation.is_empty() && columns.verb != Verb::Read;
        if says_nothing && columns.class != Class::Authentication {
            columns.marks.set(Mark::UnknownType);
            columns.is_change = true;
        }
        if columns.actor_uid.is_empty() {
            columns.actor_uid.clone_from(&columns.actor_name);
        }
        if columns.actor_uid.is_empty() {
            columns.marks.set(Mark::MissingActor);
        }
        if columns.cluster.is_empty() {
            columns.cluster.clone_from(&self.cluster);
        }
        self.place(columns);
    }

    fn place(&self, columns: &mut Columns) {
        let scope = [
            &columns.account_uid,
            &columns.cluster,
            &columns.namespace,
            &columns.vcs_repo,
        ];
        let rule = self.environments.iter().find(|(_, patterns)| {
            let mut asked = patterns
                .iter()
                .zip(scope)
                .filter(|(patterns, _)| !patterns.is_empty());
            asked.all(|(patterns, text)| {
                !text.is_empty() && patterns.iter().any(|pattern| pattern.is_match(text))
            })
        });
        if let Some((rule, _)) = rule {
            columns.environment.clone_from(&rule.environment);
            columns.owner.clone_from(&rule.owner);
            columns.scope_tags.clone_from(&rule.scope_tags);
        } else if columns.environment.is_empty() {
            "unknown".clone_into(&mut columns.environment);
            columns.marks.set(Mark::UnknownEnvironment);
        }
    }

    /// Notes the ticket references in every text below a value.
    fn tickets_below(&self, columns: &mut Columns, value: &Value) {
        match value {
            Value::String(text) => self.tickets_in(columns, text),
            Value::Array(items) => items.iter().for_each(|item| self.tickets_below(columns, item)),
            Value::Object(members) => members
                .values()
                .for_each(|member| self.tickets_below(columns, member)),
            _ => {}
        }
    }

    /// Notes the ticket references in a text.
    fn tickets_in(&self, columns: &mut Columns, text: &str) {
        for found in self.tickets.find_iter(text).map(|found| found.as_str()) {
            let tickets = &mut columns.ticket_uids;
            if self.no_projects.is_match(found) || tickets.iter().any(|ticket| ticket == found) {
            } else if tickets.len() < LIST_MAX {
                tickets.push(found.to_owned());
            } else {
                columns.marks.set(Mark::ListCut);
            }
        }
    }
}
