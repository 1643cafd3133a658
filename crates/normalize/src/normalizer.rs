use std::cell::RefCell;
use std::collections::HashMap;

use bumpalo::Bump;
use changegate_json::{Indexer, Kind, Limits, Value};
use changegate_types::{
    Class, Digest, Keyed128, Mark, Marks, RawRecord, Reject, RejectCode, SkipReason, TimeMicros, Verb,
};
use sha2::{Digest as _, Sha256};

use crate::context::{Context, Draft, Found, List, Unwrapped};
use crate::decode::{self, Unpacked};
use crate::hash::{Begun, IdentityKey};
use crate::output::{Child, NormalizedRecord};
use crate::secret::Masker;
use crate::settings::{SettingsError, TenantSettings, TopicSettings};
use crate::several::{self, Part};
use crate::source::{self, Source};
use crate::{ChangeEvent, reject, shipper};

/// Most scopes whose environment is remembered; beyond that the patterns are asked each time.
const SCOPES_REMEMBERED: usize = 1 << 16;
const DAY_MICROS: i64 = 86_400_000_000;

/// Normalizes the records of one topic. One for each worker: it keeps buffers between records.
pub struct Normalizer {
    source: &'static dyn Source,
    settings: &'static Settings,
    identity: IdentityKey,
    beginnings: Beginnings,
    masker: Masker,
    indexer: RefCell<Indexer>,
    /// Hash of a scope to the rule that matches it. What the hash confuses once in 2^128 gets a wrong tag.
    scopes: RefCell<HashMap<Keyed128, Option<usize>>>,
}

/// What the ids of all events of one topic begin with.
#[derive(Clone, Copy)]
struct Beginnings {
    event: Begun,
    change: Begun,
    change_of_event: Begun,
    scope: Begun,
}

/// What events borrow from. Made once per topic and kept until the process ends, so that an event lives as long as its
/// record and not as long as whoever normalized it.
struct Settings {
    topic: TopicSettings,
    tenant: TenantSettings,
}

impl Clone for Normalizer {
    fn clone(&self) -> Self {
        Self {
            source: self.source,
            settings: self.settings,
            identity: self.identity.clone(),
            beginnings: self.beginnings,
            indexer: RefCell::new(self.masker.indexer()),
            masker: self.masker.clone(),
            scopes: RefCell::default(),
        }
    }
}

impl std::fmt::Debug for Normalizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Normalizer")
            .field("source", &self.source.name())
            .finish_non_exhaustive()
    }
}

impl Normalizer {
    /// For one topic of one tenant.
    ///
    /// # Errors
    /// An unknown source; an empty `mask_key`.
    pub fn new(topic: TopicSettings, tenant: TenantSettings) -> Result<Self, SettingsError> {
        let source = source::by_name(&topic.source).ok_or_else(|| SettingsError::UnknownSource {
            name: topic.source.clone(),
        })?;
        if tenant.mask_key.is_empty() {
            return Err(SettingsError::NoMaskKey);
        }
        let masker = Masker::new(
            &tenant.mask_key,
            source.secrets(),
            &tenant.secret_names,
            tenant.secret_patterns.clone(),
        );
        let identity = IdentityKey::derive(&tenant.mask_key);
        let (uid, name) = (tenant.uid.as_bytes(), source.name().as_bytes());
        Ok(Self {
            source,
            beginnings: Beginnings {
                event: identity.begin("event", [uid, name]),
                change: identity.begin("change", [uid, name]),
                change_of_event: identity.begin("change of event", [uid]),
                scope: identity.begin("scope", []),
            },
            identity,
            indexer: RefCell::new(masker.indexer()),
            masker,
            settings: Box::leak(Box::new(Settings { topic, tenant })),
            scopes: RefCell::default(),
        })
    }

    /// Normalizes one record. What comes out borrows from the record, from `arena` and from the settings.
    pub fn record<'a>(&self, arena: &'a Bump, record: &RawRecord<'a>) -> NormalizedRecord<'a> {
        let value = record.value.unwrap_or_default();
        let raw_hash = sha256(value);
        let mut out = Output {
            arena,
            children: List::new_in(arena),
            raw_hash,
            raw: value,
        };
        if record.value.is_none() {
            out.children.push(Child::Skip(SkipReason::Tombstone));
            return out.finish(value, "", 0);
        }
        if value.len() > self.settings.topic.limits.bytes {
            let reason = bumpalo::format!(in arena, "{} bytes, the limit is {}", value.len(), self.settings.topic.limits.bytes);
            let at_byte = self.settings.topic.limits.bytes as u32;
            let reject = Reject {
                code: RejectCode::TooLarge,
                reason: reason.into_bump_str(),
                at_byte,
            };
            return self.rejected(out, value, "", reject);
        }
        match decode::unpack(arena, value, self.settings.topic.limits.unpacked_bytes) {
            Ok(unpacked) => self.unpacked(arena, record, unpacked, out),
            Err(reject) => self.rejected(out, value, "", reject),
        }
    }

    /// A record that is dead-lettered whole.
    fn rejected<'a>(
        &self,
        mut out: Output<'a>,
        bytes: &'a [u8],
        encoding: &'static str,
        reject: Reject<'a>,
    ) -> NormalizedRecord<'a> {
        out.children.push(Child::Reject(reject));
        match self.masker.bytes(out.arena, bytes) {
            Some(masked) => out.finish(masked.bytes, encoding, masked.secrets),
            None => out.finish(bytes, encoding, 0),
        }
    }

    fn unpacked<'a>(
        &self,
        arena: &'a Bump,
        record: &RawRecord<'a>,
        unpacked: Unpacked<'a>,
        mut out: Output<'a>,
    ) -> NormalizedRecord<'a> {
        let Unpacked { bytes, encoding } = unpacked;
        let parsed = self.documents(arena, bytes);
        let documents = match parsed {
            Ok(documents) => documents,
            Err(reject) => return self.rejected(out, bytes, encoding, reject),
        };
        // Masking comes first, so that nothing below ever sees a secret. It is rare, so what is masked is read anew.
        let mut secrets = 0;
        let mut masked_bytes = List::new_in(arena);
        let mut done = 0;
        for document in documents.iter().filter_map(|document| document.as_ref().ok()) {
            let masked = self
                .masker
                .document(arena, &mut self.indexer.borrow_mut(), document.document);
            if let Some(masked) = masked {
                masked_bytes.extend_from_slice(bytes.get(done..document.start).unwrap_or_default());
                masked_bytes.extend_from_slice(masked.bytes);
                done = document.start + document.document.text().len();
                secrets += masked.secrets;
            }
        }
        let (stored, documents) = if secrets == 0 && documents.iter().all(Result::is_ok) {
            (bytes, documents)
        } else {
            masked_bytes.extend_from_slice(bytes.get(done..).unwrap_or_default());
            let mut stored = masked_bytes.into_bump_slice();
            // Lines that do not parse are masked as bytes.
            if documents.iter().any(Result::is_err)
                && let Some(masked) = self.masker.bytes(arena, stored)
            {
                secrets += masked.secrets;
                stored = masked.bytes;
            }
            match self.documents(arena, stored) {
                Ok(documents) => (stored, documents),
                Err(reject) => return self.rejected(out, stored, encoding, reject),
            }
        };
        for document in documents {
            match document {
                Ok(document) => self.document(arena, record, &document, secrets, &mut out.children),
                Err(reject) => out.children.push(Child::Reject(reject)),
            }
        }
        out.finish(stored, encoding, secrets)
    }

    /// The document of a record, or several where the source sends such.
    fn documents<'a>(
        &self,
        arena: &'a Bump,
        bytes: &'a [u8],
    ) -> Result<List<'a, Result<Part<'a>, Reject<'a>>>, Reject<'a>> {
        let limits = Limits {
            depth: self.settings.topic.limits.depth,
            bytes: self.settings.topic.limits.unpacked_bytes,
            ..Limits::default()
        };
        let mut indexer = self.indexer.borrow_mut();
        let mut parts = List::new_in(arena);
        let fault = match indexer.index(arena, bytes, &limits) {
            Ok(document) => {
                parts.push(Ok(Part { document, start: 0 }));
                return Ok(parts);
            }
            Err(fault) => fault,
        };
        let several = self
            .source
            .lines()
            .then(|| several::split(arena, &mut indexer, bytes, &limits));
        several.flatten().ok_or(reject::fault(fault))
    }

    fn document<'a>(
        &self,
        arena: &'a Bump,
        record: &RawRecord<'a>,
        part: &Part<'a>,
        secrets: u32,
        children: &mut List<'a, Child<'a>>,
    ) {
        // The arena lends it for as long as events live; what it holds comes back below.
        let indexer: &'a RefCell<Indexer> = arena.alloc(RefCell::new(self.indexer.take()));
        let mut context = Context {
            arena,
            record: *record,
            topic: &self.settings.topic,
            tenant: &self.settings.tenant,
            envelope: Value::MISSING,
            marks: Marks::default(),
            tickets: List::new_in(arena),
            indexer,
        };
        let mut found = List::new_in(arena);
        let root = part.document.root();
        self.source.unwrap(&mut context, root, &mut found);
        if shipper::is_lost(&found) && root.kind() == Kind::Object {
            shipper::unwrap(self.source, &mut context, root, &mut found);
        }
        if found.is_empty() {
            let what = match root.kind() {
                Kind::Object => "this JSON object",
                Kind::Array => "this JSON list",
                Kind::Missing | Kind::Null | Kind::Bool | Kind::Number | Kind::String => {
                    "a single JSON value"
                }
            };
            let reason =
                bumpalo::format!(in arena, "{} is none of the envelopes of {}", what, self.source.name());
            let reason = reason.into_bump_str();
            children.push(Child::Reject(Reject {
                code: RejectCode::UnknownEnvelope,
                reason,
                at_byte: part.start as u32,
            }));
        }
        if found.len() > self.settings.topic.limits.children {
            let reason = bumpalo::format!(in arena, "{} children, the limit is {}", found.len(), self.settings.topic.limits.children);
            let reason = reason.into_bump_str();
            children.push(Child::Reject(Reject {
                code: RejectCode::TooMany,
                reason,
                at_byte: part.start as u32,
            }));
            self.indexer.replace(indexer.take());
            return;
        }
        let mut shared = context.marks;
        if secrets > 0 {
            shared.set(Mark::SecretMasked);
        }
        for unwrapped in found {
            children.push(match unwrapped {
                Unwrapped::Skip(reason) => Child::Skip(reason),
                Unwrapped::Reject(reject) => Child::Reject(Reject {
                    at_byte: reject.at_byte + part.start as u32,
                    ..reject
                }),
                Unwrapped::Child(found) => {
                    context.envelope = found.envelope;
                    context.marks = shared;
                    context.tickets = List::new_in(arena);
                    match self.source.normalize(&mut context, found.value) {
                        Ok(draft) => self.finish(&mut context, draft, found, part),
                        Err(reason) => Child::Skip(reason),
                    }
                }
            });
        }
        self.indexer.replace(indexer.take());
    }

    /// Fills in what all sources have alike: ids, times, environment, marks, place in the record.
    fn finish<'a>(
        &self,
        context: &mut Context<'a>,
        draft: Draft<'a>,
        found: Found<'a>,
        part: &Part<'a>,
    ) -> Child<'a> {
        let Draft {
            mut event,
            uid,
            change,
        } = draft;
        let source = self.source.name();
        event.source = source;
        event.tenant_uid = &self.settings.tenant.uid;
        if part.document.has_repeated_names() {
            context.mark(Mark::DuplicateKey);
        }

        event.content_hash = self.identity.content(found.value);
        let tenant = self.settings.tenant.uid.as_bytes();
        if uid.iter().all(|part| part.is_empty()) {
            context.mark(Mark::UidFromContent);
            let content = event.content_hash.0.to_le_bytes();
            event.event_uid = self
                .identity
                .parts("event of content", [tenant, source.as_bytes(), &content]);
        } else {
            let parts = uid.iter().map(|part| part.as_bytes());
            event.event_uid = self.identity.after(&self.beginnings.event, parts);
        }
        event.change_uid = if change.iter().all(|part| part.is_empty()) {
            let (uid, content) = (
                event.event_uid.0.to_le_bytes(),
                event.content_hash.0.to_le_bytes(),
            );
            self.identity
                .after(&self.beginnings.change_of_event, [&uid[..], &content])
        } else {
            let parts = change.iter().map(|part| part.as_bytes());
            self.identity.after(&self.beginnings.change, parts)
        };

        let kafka_time = context.record.kafka_time;
        if event.event_time == TimeMicros::default() {
            context.mark(Mark::MissingTime);
            event.event_time = kafka_time;
        } else if !(-400 * DAY_MICROS..=DAY_MICROS).contains(&(event.event_time.0 - kafka_time.0)) {
            context.mark(Mark::TimeOutOfRange);
        }
        if event.api_operation.is_empty() && event.verb != Verb::Read && event.class != Class::Authentication
        {
            // What does not say what it did may have done anything.
            context.mark(Mark::UnknownType);
            event.is_change = true;
        }
        if event.actor_uid.is_empty() {
            event.actor_uid = event.actor_name;
        }
        if event.actor_uid.is_empty() {
            context.mark(Mark::MissingActor);
        }
        if event.cluster.is_empty() {
            // A shipper of several clusters into one topic names each in a header.
            event.cluster = context
                .record
                .header("cluster")
                .unwrap_or(&self.settings.topic.cluster);
        }
        self.place(context, &mut event);

        if found.in_record {
            let span = found.value.span();
            event.raw_start = (part.start + span.start) as u32;
            event.raw_len = span.len() as u32;
        } else {
            event.child_bytes = found.value.raw().as_bytes();
        }
        let tickets = std::mem::replace(&mut context.tickets, List::new_in(context.arena));
        event.ticket_uids = tickets.into_bump_slice();
        event.marks = event.marks.union(context.marks);
        if event.is_change || self.settings.topic.store_reads {
            Child::Change(event)
        } else {
            Child::Learn(event)
        }
    }

    /// Environment, owner and scope tags by the tenant's patterns.
    fn place<'a>(&self, context: &mut Context<'a>, event: &mut ChangeEvent<'a>) {
        let scope = [event.account_uid, event.cluster, event.namespace, event.vcs_repo];
        let parts = scope.iter().map(|part| part.as_bytes());
        let key = self.identity.after(&self.beginnings.scope, parts);
        let known = self.scopes.borrow().get(&key).copied();
        let rule = known.unwrap_or_else(|| {
            let rule = self.settings.tenant.environments.find(scope);
            let mut scopes = self.scopes.borrow_mut();
            if scopes.len() < SCOPES_REMEMBERED {
                scopes.insert(key, rule);
            }
            rule
        });
        match rule.and_then(|rule| self.settings.tenant.environments.get(rule)) {
            Some(matched) => {
                event.environment = matched.environment;
                if event.owner.is_empty() {
                    event.owner = matched.owner;
                }
                let mut tags = context.list();
                tags.extend(matched.scope_tags.iter().map(String::as_str));
                event.scope_tags = tags.into_bump_slice();
            }
            None if event.environment.is_empty() => {
                event.environment = "unknown";
                context.mark(Mark::UnknownEnvironment);
            }
            // The source itself names it (a deployment's environment).
            None => {}
        }
    }
}

struct Output<'a> {
    arena: &'a Bump,
    children: List<'a, Child<'a>>,
    raw_hash: Digest,
    raw: &'a [u8],
}

impl<'a> Output<'a> {
    fn finish(self, stored: &'a [u8], encoding: &'static str, secrets_masked: u32) -> NormalizedRecord<'a> {
        // The same slice: nothing was changed, and hashing it again would cost as much as reading it.
        let unchanged = std::ptr::eq(stored, self.raw);
        let stored_hash = if unchanged { self.raw_hash } else { sha256(stored) };
        let children = self.children.into_bump_slice();
        NormalizedRecord {
            raw_hash: self.raw_hash,
            stored,
            stored_hash,
            stored_encoding: encoding,
            secrets_masked,
            children,
            origin: None,
        }
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}
