use std::cell::RefCell;
use std::collections::HashMap;

use bumpalo::Bump;
use changegate_json::{Indexer, Kind, Limits, Value};
use changegate_types::{
    Class, Digest, Keyed128, Mark, Marks, RawRecord, Reject, RejectCode, SkipReason, TimeMicros, Verb,
};
use sha2::{Digest as _, Sha256};

use crate::context::{Context, Draft, Found, List, Shelf, Unwrapped};
use crate::decode::{self, Unpacked};
use crate::hash::{Begun, IdentityKey};
use crate::memo::Memo;
use crate::output::{Child, NormalizedRecord};
use crate::secret::{Inner, Masked, Masker};
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
    indexer: Shelf,
    /// The rules that match the scopes of late.
    recent_scopes: Memo<Option<usize>, 4>,
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
            indexer: Shelf::new(self.masker.indexer()),
            masker: self.masker.clone(),
            recent_scopes: Memo::new(),
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
            indexer: Shelf::new(masker.indexer()),
            masker,
            settings: Box::leak(Box::new(Settings { topic, tenant })),
            recent_scopes: Memo::new(),
            scopes: RefCell::default(),
        })
    }

    /// Normalizes one record. What comes out borrows from the record, from `arena` and from the settings.
    pub fn record<'a>(&self, arena: &'a Bump, record: &RawRecord<'a>) -> NormalizedRecord<'a> {
        let value = record.value.unwrap_or_default();
        let raw_hash = sha256(value);
        let mut out = Output {
            arena,
            children: List::with_capacity_in(1, arena),
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
        // Masking comes first, so that nothing below ever sees a secret.
        let mut secrets = 0;
        let mut masked_bytes = List::new_in(arena);
        let mut done = 0;
        let mut inner = List::new_in(arena);
        let mut patched = None;
        for document in documents.iter().filter_map(|document| document.as_ref().ok()) {
            let masked = self.lend(|indexer| {
                self.masker
                    .document(arena, indexer, document.document, &mut inner)
            });
            if let Some(masked) = masked {
                masked_bytes.extend_from_slice_copy(bytes.get(done..document.start).unwrap_or_default());
                masked_bytes.extend_from_slice_copy(masked.bytes);
                done = document.start + document.document.text().len();
                secrets += masked.secrets;
                patched = self.patched(arena, bytes, document, &masked);
            }
        }
        let (stored, documents) = if secrets == 0 && documents.iter().all(Result::is_ok) {
            (bytes, documents)
        } else {
            masked_bytes.extend_from_slice_copy(bytes.get(done..).unwrap_or_default());
            let mut stored = masked_bytes.into_bump_slice();
            // Lines that do not parse are masked as bytes.
            if documents.iter().any(Result::is_err)
                && let Some(masked) = self.masker.bytes(arena, stored)
            {
                secrets += masked.secrets;
                stored = masked.bytes;
            }
            // It is rare, so what is masked in other ways than most is read anew.
            match patched.map_or_else(|| self.documents(arena, stored), Ok) {
                Ok(documents) => (stored, documents),
                Err(reject) => return self.rejected(out, stored, encoding, reject),
            }
        };
        // Read within other bounds they may be none.
        let inner = if self.has_usual_limits() {
            inner.into_bump_slice()
        } else {
            &[]
        };
        for document in documents {
            match document {
                Ok(document) => self.document(arena, record, &document, inner, secrets, &mut out.children),
                Err(reject) => out.children.push(Child::Reject(reject)),
            }
        }
        out.finish(stored, encoding, secrets)
    }

    /// The document that fills a record as it stands once it is masked, where that can be said without reading it anew.
    #[cold]
    fn patched<'a>(
        &self,
        arena: &'a Bump,
        bytes: &[u8],
        part: &Part<'a>,
        masked: &Masked<'a>,
    ) -> Option<List<'a, Result<Part<'a>, Reject<'a>>>> {
        let is_alone = part.document.text().len() == bytes.len();
        let fits = masked.bytes.len() <= self.settings.topic.limits.unpacked_bytes;
        if !is_alone || !fits || masked.patches.is_empty() {
            return None;
        }
        let text = str::from_utf8(masked.bytes).ok()?;
        let document = part.document.patched(arena, text, masked.patches);
        let mut parts = List::with_capacity_in(1, arena);
        parts.push(Ok(Part { document, start: 0 }));
        Some(parts)
    }

    fn lend<R>(&self, read: impl FnOnce(&mut Indexer) -> R) -> R {
        self.indexer.lend(|| self.masker.indexer(), read)
    }

    /// Whether documents are read within the same bounds as those inside their strings, when these are masked.
    fn has_usual_limits(&self) -> bool {
        let (own, usual) = (&self.settings.topic.limits, Limits::default());
        own.depth == usual.depth && own.unpacked_bytes == usual.bytes
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
        let mut parts = List::with_capacity_in(1, arena);
        let read = self.lend(|indexer| indexer.index(arena, bytes, &limits));
        let fault = match read {
            Ok(document) => {
                parts.push(Ok(Part { document, start: 0 }));
                return Ok(parts);
            }
            Err(fault) => fault,
        };
        let several = self
            .source
            .lines()
            .then(|| self.lend(|indexer| several::split(arena, indexer, bytes, &limits)));
        several.flatten().ok_or(reject::fault(fault))
    }

    fn document<'a>(
        &self,
        arena: &'a Bump,
        record: &RawRecord<'a>,
        part: &Part<'a>,
        inner: &'a [Inner<'a>],
        secrets: u32,
        children: &mut List<'a, Child<'a>>,
    ) {
        // The arena lends it for as long as events live; what it holds comes back below.
        let indexer: &'a Shelf = arena.alloc(self.indexer.take());
        let mut context = Context {
            arena,
            record: *record,
            topic: &self.settings.topic,
            tenant: &self.settings.tenant,
            envelope: Value::MISSING,
            marks: Marks::default(),
            tickets: List::new_in(arena),
            indexer,
            inner,
        };
        let mut found = List::with_capacity_in(1, arena);
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
            self.indexer.put(indexer);
            return;
        }
        let mut shared = context.marks;
        if secrets > 0 {
            shared.set(Mark::SecretMasked);
        }
        for unwrapped in found {
            match unwrapped {
                Unwrapped::Skip(reason) => children.push(Child::Skip(reason)),
                Unwrapped::Reject(reject) => children.push(Child::Reject(Reject {
                    at_byte: reject.at_byte + part.start as u32,
                    ..reject
                })),
                Unwrapped::Child(found) => {
                    context.envelope = found.envelope;
                    context.marks = shared;
                    context.tickets = List::new_in(arena);
                    match self.source.normalize(&mut context, found.value) {
                        Ok(draft) => self.child(&mut context, draft, found, part, children),
                        Err(reason) => children.push(Child::Skip(reason)),
                    }
                }
            }
        }
        self.indexer.put(indexer);
    }

    /// Finishes the event and adds it.
    fn child<'a>(
        &self,
        context: &mut Context<'a>,
        draft: Draft<'a>,
        found: Found<'a>,
        part: &Part<'a>,
        children: &mut List<'a, Child<'a>>,
    ) {
        let Draft { event, uid, change } = draft;
        self.finish(context, event, [uid, change], found, part);
        let is_kept = event.is_change || self.settings.topic.store_reads;
        children.push(if is_kept {
            Child::Change(event)
        } else {
            Child::Learn(event)
        });
    }

    /// Fills in what all sources have alike: ids, times, environment, marks, place in the record.
    fn finish<'a>(
        &self,
        context: &mut Context<'a>,
        event: &mut ChangeEvent<'a>,
        [uid, change]: [[&'a str; 5]; 2],
        found: Found<'a>,
        part: &Part<'a>,
    ) {
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
        self.place(context, event);

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
    }

    /// The rule that matches a scope.
    #[cold]
    fn rule(&self, scope: [&str; 4]) -> Option<usize> {
        let parts = scope.iter().map(|part| part.as_bytes());
        let key = self.identity.after(&self.beginnings.scope, parts);
        let known = self.scopes.borrow().get(&key).copied();
        known.unwrap_or_else(|| {
            let rule = self.settings.tenant.environments.find(scope);
            let mut scopes = self.scopes.borrow_mut();
            if scopes.len() < SCOPES_REMEMBERED {
                scopes.insert(key, rule);
            }
            rule
        })
    }

    /// Environment, owner and scope tags by the tenant's patterns.
    fn place<'a>(&self, context: &mut Context<'a>, event: &mut ChangeEvent<'a>) {
        let scope = [event.account_uid, event.cluster, event.namespace, event.vcs_repo];
        let rule = self.recent_scopes.get(scope, || self.rule(scope));
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
