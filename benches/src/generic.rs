//! The rival: what `Normalizer::record` makes of a CloudTrail record, by way of `serde_json::Value` and `regex`, as a
//! normalizer is usually written. Same columns, same masked record, ids equal where ours are equal.
//!
//! It is let off what these records do not ask for: other envelopes, a name that stands twice in one object, JSON in
//! base64, resources that only an ending or an error names, bounds other than `serde_json`'s; and `raw_hash`.

use std::collections::HashMap;
use std::hash::Hasher as _;
use std::net::{IpAddr, Ipv6Addr};

use anyhow::Context as _;
use changegate_normalize::EnvironmentRule;
use changegate_types::{ActorType, Class, Keyed128, Mark, Marks, PrivilegeClass, Status, TimeMicros, Verb};
use hmac::{Hmac, KeyInit as _, Mac as _};
use regex::Regex;
use serde_json::{Map, Value};
use sha2::Sha256;
use siphasher::sip128::{Hasher128 as _, SipHasher24};

mod identity;
mod mask;
mod resources;
#[cfg(test)]
mod tests;

// The tables are the product's own, so that both sides decide by the same words.
#[path = "../../crates/normalize/src/source/aws_cloudtrail/classify.rs"]
mod classify;
#[allow(dead_code, reason = "only the list is used, not the product's way to ask it")]
#[path = "../../crates/normalize/src/secret/names.rs"]
mod names;
#[path = "../../crates/normalize/src/source/aws_cloudtrail/naming.rs"]
mod naming;
#[allow(dead_code, reason = "all sources share it, and one stands here")]
#[path = "../../crates/normalize/src/verb.rs"]
mod verb;

const DAY_MICROS: i64 = 86_400_000_000;
/// As many tickets as a row keeps.
const LIST_MAX: usize = 64;

type Object = Map<String, Value>;

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

/// The columns that a CloudTrail record fills, owned. Names are those of `ChangeEvent`.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "`ChangeEvent` says what each is")]
pub struct Columns {
    pub event_uid: Keyed128,
    pub change_uid: Keyed128,
    pub content_hash: Keyed128,
    pub tenant_uid: String,
    pub native_uid: String,
    pub correlation_uid: String,
    pub schema_version: String,
    pub event_time: TimeMicros,
    pub class: Class,
    pub activity: u8,
    pub status: Status,
    pub status_code: String,
    pub status_detail: String,
    pub account_uid: String,
    pub org_uid: String,
    pub region: String,
    pub actor_uid: String,
    pub actor_name: String,
    pub actor_type: ActorType,
    pub actor_credential_uid: String,
    pub actor_session_uid: String,
    pub actor_is_mfa: Option<bool>,
    pub actor_issuer: String,
    pub actor_invoked_by: String,
    pub actor_delegated_from: Vec<String>,
    pub src_ip: Option<Ipv6Addr>,
    pub src_domain: String,
    pub user_agent: String,
    pub api_service: String,
    pub api_operation: String,
    pub api_version: String,
    pub request_uid: String,
    /// Id, type and name of each.
    pub resources: Vec<(String, &'static str, String)>,
    pub environment: String,
    pub owner: String,
    pub scope_tags: Vec<String>,
    pub verb: Verb,
    pub privilege_class: PrivilegeClass,
    pub is_change: bool,
    pub ticket_uids: Vec<String>,
    pub is_amendment_of: String,
    pub marks: Marks,
}

/// One topic's settings, all patterns compiled.
#[derive(Debug)]
pub struct Generic {
    tenant_uid: String,
    ids: SipHasher24,
    masker: mask::Masker,
    naming: HashMap<String, usize>,
    tickets: Regex,
    no_projects: Regex,
    environments: Vec<(EnvironmentRule, [Vec<Regex>; 4])>,
}

impl Generic {
    /// For one tenant.
    ///
    /// # Errors
    /// A pattern that does not compile, a key that HMAC refuses.
    pub fn new(tenant_uid: &str, mask_key: &[u8], rules: &[EnvironmentRule]) -> anyhow::Result<Self> {
        let compile = |globs: &Vec<String>| {
            let pattern = |glob: &String| {
                let pattern = regex::escape(glob).replace(r"\*", ".*").replace(r"\?", ".");
                Regex::new(&format!("(?is)^{pattern}$"))
            };
            globs.iter().map(pattern).collect::<Result<Vec<_>, _>>()
        };
        let environments = rules.iter().map(|rule| {
            let patterns = [
                compile(&rule.account)?,
                compile(&rule.cluster)?,
                compile(&rule.namespace)?,
                compile(&rule.repository)?,
            ];
            Ok((rule.clone(), patterns))
        });
        let naming = naming::NAMING.iter().enumerate();
        // Of the key of secrets, which the ids must say nothing about.
        let mut key = Hmac::<Sha256>::new_from_slice(mask_key)?;
        key.update(b"ids");
        let key: [u8; 32] = key.finalize().into_bytes().into();
        Ok(Self {
            tenant_uid: tenant_uid.to_owned(),
            ids: SipHasher24::new_with_key(key.first_chunk().context("32 bytes begin with 16")?),
            masker: mask::Masker::new(mask_key)?,
            naming: naming
                .map(|(rank, (name, _))| (name.to_ascii_lowercase(), rank))
                .collect(),
            tickets: Regex::new(r"(?-u)\b(?:[A-Z][A-Z0-9]+-[0-9]{1,9}|(?:CHG|INC)[0-9]{7,})\b")?,
            no_projects: Regex::new(
                "^(?:UTF|SHA|AES|RSA|MD|ISO|TLS|SSL|RFC|CVE|HTTP|IPV|X|US|EU|AP|UTC|GMT|HMAC|RS|ES|HS|CRC|GHSA)-",
            )?,
            environments: environments.collect::<Result<_, regex::Error>>()?,
        })
    }

    /// Normalizes one bare record.
    ///
    /// # Errors
    /// What is no text, no JSON or no object.
    pub fn record(&self, kafka_time: TimeMicros, bytes: &[u8]) -> anyhow::Result<Normalized> {
        // Checked once as a whole, which costs less than in each string.
        let text = std::str::from_utf8(bytes)?;
        let mut tree: Value = serde_json::from_str(text)?;
        let secrets_masked = self.masker.record(text, &mut tree);
        // Members of a `Map` are sorted, so this is the canonical form too.
        let canonical = serde_json::to_vec(&tree)?;
        let content_hash = self.id(&[b"content", &canonical]);
        let Value::Object(record) = tree else {
            anyhow::bail!("the record is no object");
        };
        let mut columns = self.columns(record);
        if secrets_masked > 0 {
            columns.marks.set(Mark::SecretMasked);
        }
        columns.content_hash = content_hash;
        self.ids(&mut columns);
        time(&mut columns, kafka_time);
        self.place(&mut columns);
        Ok(Normalized {
            stored: (secrets_masked > 0).then_some(canonical),
            secrets_masked,
            columns,
        })
    }

    fn columns(&self, mut record: Object) -> Columns {
        let mut columns = Columns {
            tenant_uid: self.tenant_uid.clone(),
            ..Columns::default()
        };
        let mut take = |name: &str| record.get_mut(name).map(Value::take).unwrap_or_default();
        let (identity, request, response) = (
            take("userIdentity"),
            take("requestParameters"),
            take("responseElements"),
        );
        let (additional, addendum) = (take("additionalEventData"), take("addendum"));
        let mut wrong_type = false;
        let mut text = |name: &str| {
            let value = take(name);
            wrong_type |= value.is_object() || value.is_array();
            owned(value)
        };
        columns.schema_version = text("eventVersion");
        columns.api_service = text("eventSource");
        columns.api_operation = text("eventName");
        columns.region = text("awsRegion");
        columns.user_agent = text("userAgent");
        columns.status_code = text("errorCode");
        columns.status_detail = text("errorMessage");
        columns.request_uid = text("requestID");
        columns.native_uid = text("eventID");
        columns.api_version = text("apiVersion");
        columns.account_uid = text("recipientAccountId");
        columns.correlation_uid = text("sharedEventID");
        let (event_time, event_type, address) =
            (text("eventTime"), text("eventType"), text("sourceIPAddress"));
        let read_only = text("readOnly").parse().ok();
        columns.event_time = parse_time(&event_time).unwrap_or_default();
        if columns.event_time == TimeMicros::default() && !event_time.is_empty() || wrong_type {
            columns.marks.set(Mark::WrongType);
        }
        if columns.correlation_uid.is_empty() {
            columns.correlation_uid.clone_from(&columns.request_uid);
        }
        source(&mut columns, address);
        let minor = columns
            .schema_version
            .strip_prefix("1.")
            .and_then(|minor| minor.parse().ok());
        if !columns.schema_version.is_empty() && minor.is_none_or(|minor: u32| minor > 11) {
            columns.marks.set(Mark::UnknownVersion);
        }
        self.identity(&mut columns, identity);
        kind(&mut columns, &event_type, read_only, &response, &additional);
        self.tickets(&mut columns, &request);
        for part in [&request, &response, &additional] {
            if part["omitted"] == true {
                columns.marks.set(Mark::Truncated);
            }
        }
        if let Value::Object(mut addendum) = addendum {
            columns.is_amendment_of = addendum.remove("originalEventID").map(owned).unwrap_or_default();
            columns.marks.set(Mark::Amendment);
        }
        self.resources(&mut columns, take("resources"), request, response);
        columns
    }

    fn id(&self, parts: &[&[u8]]) -> Keyed128 {
        let mut hasher = self.ids;
        for part in parts {
            hasher.write_u64(part.len() as u64);
            hasher.write(part);
        }
        Keyed128(hasher.finish128().as_u128())
    }

    fn ids(&self, columns: &mut Columns) {
        let (tenant, content) = (self.tenant_uid.as_bytes(), columns.content_hash.0.to_le_bytes());
        columns.event_uid = if columns.native_uid.is_empty() {
            columns.marks.set(Mark::UidFromContent);
            self.id(&[b"event of content", tenant, b"aws.cloudtrail", &content])
        } else {
            self.id(&[b"event", tenant, b"aws.cloudtrail", columns.native_uid.as_bytes()])
        };
        let event = columns.event_uid.0.to_le_bytes();
        columns.change_uid = self.id(&[b"change of event", tenant, &event, &content]);
    }

    fn tickets(&self, columns: &mut Columns, request: &Value) {
        let written = [
            "roleSessionName",
            "description",
            "comment",
            "changeSetName",
            "commitMessage",
            "reason",
        ];
        for (name, value) in request.as_object().into_iter().flatten() {
            let tags = name.get(..3).is_some_and(|head| head.eq_ignore_ascii_case("tag"));
            if tags || written.contains(&name.as_str()) {
                self.tickets_below(columns, value);
            }
        }
    }

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

    fn place(&self, columns: &mut Columns) {
        let scope = [columns.account_uid.as_str(), "", "", ""];
        let rule = self.environments.iter().find(|(_, patterns)| {
            let mut asked = patterns
                .iter()
                .zip(scope)
                .filter(|(patterns, _)| !patterns.is_empty());
            asked.all(|(patterns, text)| patterns.iter().any(|pattern| pattern.is_match(text)))
        });
        if let Some((rule, _)) = rule {
            columns.environment.clone_from(&rule.environment);
            columns.owner.clone_from(&rule.owner);
            columns.scope_tags.clone_from(&rule.scope_tags);
        } else {
            "unknown".clone_into(&mut columns.environment);
            columns.marks.set(Mark::UnknownEnvironment);
        }
    }
}

/// Text, or a number or word as spelled.
fn owned(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => String::new(),
    }
}

/// `2026-03-04T05:06:07Z`, with a fraction or without.
fn parse_time(text: &str) -> Option<TimeMicros> {
    let part = |from, to| text.get(from..to).and_then(|digits: &str| digits.parse().ok());
    let fraction = text.get(19..)?.strip_suffix('Z')?;
    let micros = match fraction.strip_prefix('.') {
        Some(digits) => format!("{digits:0<6.6}").parse().ok()?,
        None => 0,
    };
    let year: u32 = part(0, 4)?;
    TimeMicros::from_civil(
        year as i32,
        part(5, 7)?,
        part(8, 10)?,
        part(11, 13)?,
        part(14, 16)?,
        part(17, 19)?,
        micros,
    )
}

fn time(columns: &mut Columns, kafka_time: TimeMicros) {
    if columns.event_time == TimeMicros::default() {
        columns.marks.set(Mark::MissingTime);
        columns.event_time = kafka_time;
    } else if !(-400 * DAY_MICROS..=DAY_MICROS).contains(&(columns.event_time.0 - kafka_time.0)) {
        columns.marks.set(Mark::TimeOutOfRange);
    }
}

fn source(columns: &mut Columns, address: String) {
    match address.parse() {
        Ok(IpAddr::V4(address)) => columns.src_ip = Some(address.to_ipv6_mapped()),
        Ok(IpAddr::V6(address)) => columns.src_ip = Some(address),
        Err(_) if address.is_empty() => {}
        Err(_) => {
            columns.src_domain = address;
            columns.marks.set(Mark::AddressIsName);
        }
    }
}

fn kind(
    columns: &mut Columns,
    event_type: &str,
    read_only: Option<bool>,
    response: &Value,
    additional: &Value,
) {
    let signed_in = ["ConsoleLogin", "CheckMfa", "SwitchRole"]
        .iter()
        .find_map(|name| response[name].as_str());
    columns.status = match (columns.status_code.as_str(), signed_in) {
        ("", Some("Failure")) => Status::Failure,
        ("", _) => Status::Success,
        _ => Status::Failure,
    };
    if columns.status_code.is_empty() {
        columns.status_code = signed_in.unwrap_or_default().to_owned();
    }
    let (service, operation) = (columns.api_service.as_str(), columns.api_operation.as_str());
    let sign_in = event_type == "AwsConsoleSignIn"
        || service == "signin.amazonaws.com"
        || classify::is_sign_in(operation);
    columns.verb = match (verb::of(operation), read_only) {
        (_, Some(true)) => Verb::Read,
        (Verb::Read | Verb::Unknown, Some(false)) => Verb::Other,
        (verb, _) => verb,
    };
    columns.privilege_class = classify::privilege_class(service, operation);
    columns.class = if sign_in {
        Class::Authentication
    } else {
        classify::class(service, operation, columns.verb)
    };
    columns.activity = if sign_in {
        1
    } else {
        verb::activity(columns.class, columns.verb)
    };
    columns.is_change = !sign_in && columns.verb != Verb::Read;
    if operation.is_empty() && columns.is_change {
        columns.marks.set(Mark::UnknownType);
    }
    if let Some(used) = additional["MFAUsed"].as_str().filter(|_| sign_in) {
        columns.actor_is_mfa = Some(used.eq_ignore_ascii_case("yes"));
    }
    match event_type {
        "AwsServiceEvent" if columns.actor_type == ActorType::Unknown => {
            columns.actor_type = ActorType::System
        }
        "AwsApiCall"
        | "AwsServiceEvent"
        | "AwsConsoleAction"
        | "AwsConsoleSignIn"
        | "AwsVpceEvent"
        | "AwsCloudTrailInsight"
        | "" => {}
        _ => columns.marks.set(Mark::UnknownType),
    }
}
