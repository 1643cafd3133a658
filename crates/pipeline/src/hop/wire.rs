//! The wire form of `schema/changegate.change.v1.proto`, written from borrowed values and read into borrowed values.

use std::net::Ipv6Addr;

use bumpalo::Bump;
use bumpalo::collections::Vec as List;
use changegate_normalize::{Origin, source_names};
use changegate_types::{
    ActorType, ChangeEvent, Class, Digest, Keyed128, Mark, Position, PrivilegeClass, Reject, RejectCode,
    Resource, Severity, Status, TimeMicros, Verb,
};

const VERSION: u64 = 1;
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// Appends the record of a child.
pub(super) fn encode<'a>(
    arena: &'a Bump,
    event: &ChangeEvent<'_>,
    origin: &Origin<'_>,
    learn_only: bool,
) -> &'a [u8] {
    let mut to = Writer(List::with_capacity_in(1_024, arena));
    to.number(1, VERSION);
    to.text(2, origin.position.topic);
    to.number(3, origin.position.incarnation.into());
    // As `int32` and `int64` have it: a negative number is that of 64 bits.
    to.number(4, i64::from(origin.position.partition) as u64);
    to.number(5, origin.position.offset as u64);
    to.number(6, origin.child.into());
    to.bytes(7, &origin.raw_hash.0);
    to.number(8, origin.ingest_time.0 as u64);
    to.number(9, learn_only.into());
    to.bytes(10, &event.event_uid.0.to_be_bytes());
    to.bytes(11, &event.content_hash.0.to_be_bytes());
    to.bytes(12, &event.change_uid.0.to_be_bytes());
    to.text(13, event.native_uid);
    to.text(14, event.correlation_uid);
    to.text(15, event.tenant_uid);
    to.text(16, event.source);
    to.text(17, event.source_product);
    to.text(18, event.schema_version);
    to.number(19, event.event_time.0 as u64);
    to.optional(20, event.logged_time.map(|time| time.0 as u64));
    to.number(21, event.class.id().into());
    to.number(22, event.activity.into());
    to.number(23, event.severity.id().into());
    to.number(24, event.status.id().into());
    to.text(25, event.status_code);
    to.text(26, event.status_detail);
    to.text(27, event.cloud_provider);
    to.text(28, event.account_uid);
    to.text(29, event.org_uid);
    to.text(30, event.region);
    to.text(31, event.zone);
    to.text(32, event.cluster);
    to.text(33, event.namespace);
    to.text(34, event.actor_uid);
    to.text(35, event.actor_name);
    to.number(36, event.actor_type.id().into());
    to.text(37, event.actor_credential_uid);
    to.text(38, event.actor_session_uid);
    to.optional(39, event.actor_is_mfa.map(u64::from));
    to.text(40, event.actor_issuer);
    to.text(41, event.actor_invoked_by);
    to.texts(42, event.actor_delegated_from);
    if let Some(ip) = event.src_ip {
        to.bytes(43, &ip.octets());
    }
    to.text(44, event.src_domain);
    to.number(45, event.src_asn.into());
    to.text(46, event.src_country);
    to.text(47, event.user_agent);
    to.text(48, event.api_service);
    to.text(49, event.api_operation);
    to.text(50, event.api_version);
    to.text(51, event.request_uid);
    for resource in event.resources {
        let mut inner = Writer(List::new_in(arena));
        inner.text(1, resource.uid);
        inner.text(2, resource.kind);
        inner.text(3, resource.name);
        to.field(52, &inner.0);
    }
    to.text(53, event.resource_owner_account);
    to.text(54, event.environment);
    to.text(55, event.owner);
    to.texts(56, event.scope_tags);
    to.number(57, event.verb.id().into());
    to.number(58, event.privilege_class.id().into());
    to.number(59, event.is_change.into());
    to.text(60, event.vcs_repo);
    to.text(61, event.vcs_change_id);
    to.text(62, event.vcs_head_revision);
    to.text(63, event.cicd_run_id);
    to.text(64, event.cicd_pipeline);
    to.texts(65, event.ticket_uids);
    to.text(66, event.is_amendment_of);
    to.text(67, event.split_uid);
    to.number(68, event.split_index.into());
    to.number(69, event.split_total.into());
    for mark in event.marks.iter() {
        to.text(70, mark.name());
    }
    to.number(71, event.raw_start.into());
    to.number(72, event.raw_len.into());
    to.bytes(73, event.child_bytes);
    to.0.into_bump_slice()
}

/// A record that was read.
#[derive(Debug)]
pub(super) struct Decoded<'a> {
    pub(super) event: &'a ChangeEvent<'a>,
    pub(super) origin: Origin<'a>,
    pub(super) learn_only: bool,
}

/// Reads a record. Whatever the bytes are, the answer borrows from them and is no larger.
pub(super) fn decode<'a>(arena: &'a Bump, bytes: &'a [u8]) -> Result<Decoded<'a>, Reject<'a>> {
    let mut reader = Reader { bytes, at: 0 };
    let read = read(arena, &mut reader);
    read.map_err(|reason| Reject {
        code: RejectCode::UnknownEnvelope,
        reason,
        at_byte: u32::try_from(reader.at).unwrap_or(u32::MAX),
    })
}

fn read<'a>(arena: &'a Bump, from: &mut Reader<'a>) -> Result<Decoded<'a>, &'static str> {
    let event = arena.alloc_with(ChangeEvent::default);
    let mut position = Position {
        topic: "",
        incarnation: 0,
        partition: 0,
        offset: 0,
    };
    let (mut version, mut child, mut ingest_time, mut learn_only) = (0, 0, TimeMicros(0), false);
    let (mut raw_hash, mut source) = (None, "");
    let mut ids = [None; 3];
    let mut delegated = List::new_in(arena);
    let mut resources = List::new_in(arena);
    let mut scope_tags = List::new_in(arena);
    let mut tickets = List::new_in(arena);
    while let Some((field, value)) = from.field()? {
        match field {
            1 => version = value.number()?,
            2 => position.topic = value.text()?,
            3 => position.incarnation = value.small()?,
            4 => position.partition = i32::try_from(value.number()? as i64).map_err(|_| OUT_OF_RANGE)?,
            5 => position.offset = value.number()? as i64,
            6 => child = value.small()?,
            7 => raw_hash = Some(Digest(value.array()?)),
            8 => ingest_time = TimeMicros(value.number()? as i64),
            9 => learn_only = value.number()? != 0,
            10..=12 => ids[field as usize - 10] = Some(Keyed128(u128::from_be_bytes(value.array()?))),
            13 => event.native_uid = value.text()?,
            14 => event.correlation_uid = value.text()?,
            15 => event.tenant_uid = value.text()?,
            16 => source = value.text()?,
            17 => event.source_product = value.text()?,
            18 => event.schema_version = value.text()?,
            19 => event.event_time = TimeMicros(value.number()? as i64),
            20 => event.logged_time = Some(TimeMicros(value.number()? as i64)),
            21 => event.class = by_id(Class::ALL, Class::id, value.number()?),
            22 => event.activity = value.small()?,
            23 => event.severity = by_id(Severity::ALL, Severity::id, value.number()?),
            24 => event.status = by_id(Status::ALL, Status::id, value.number()?),
            25 => event.status_code = value.text()?,
            26 => event.status_detail = value.text()?,
            27 => event.cloud_provider = value.text()?,
            28 => event.account_uid = value.text()?,
            29 => event.org_uid = value.text()?,
            30 => event.region = value.text()?,
            31 => event.zone = value.text()?,
            32 => event.cluster = value.text()?,
            33 => event.namespace = value.text()?,
            34 => event.actor_uid = value.text()?,
            35 => event.actor_name = value.text()?,
            36 => event.actor_type = by_id(ActorType::ALL, ActorType::id, value.number()?),
            37 => event.actor_credential_uid = value.text()?,
            38 => event.actor_session_uid = value.text()?,
            39 => event.actor_is_mfa = Some(value.number()? != 0),
            40 => event.actor_issuer = value.text()?,
            41 => event.actor_invoked_by = value.text()?,
            42 => delegated.push(value.text()?),
            43 => event.src_ip = Some(Ipv6Addr::from(value.array::<16>()?)),
            44 => event.src_domain = value.text()?,
            45 => event.src_asn = value.small()?,
            46 => event.src_country = value.text()?,
            47 => event.user_agent = value.text()?,
            48 => event.api_service = value.text()?,
            49 => event.api_operation = value.text()?,
            50 => event.api_version = value.text()?,
            51 => event.request_uid = value.text()?,
            52 => resources.push(resource(value.bytes()?)?),
            53 => event.resource_owner_account = value.text()?,
            54 => event.environment = value.text()?,
            55 => event.owner = value.text()?,
            56 => scope_tags.push(value.text()?),
            57 => event.verb = by_id(Verb::ALL, Verb::id, value.number()?),
            58 => event.privilege_class = by_id(PrivilegeClass::ALL, PrivilegeClass::id, value.number()?),
            59 => event.is_change = value.number()? != 0,
            60 => event.vcs_repo = value.text()?,
            61 => event.vcs_change_id = value.text()?,
            62 => event.vcs_head_revision = value.text()?,
            63 => event.cicd_run_id = value.text()?,
            64 => event.cicd_pipeline = value.text()?,
            65 => tickets.push(value.text()?),
            66 => event.is_amendment_of = value.text()?,
            67 => event.split_uid = value.text()?,
            68 => event.split_index = value.small()?,
            69 => event.split_total = value.small()?,
            70 => {
                let name = value.text()?;
                let known = Mark::ALL.into_iter().find(|mark| mark.name() == name);
                known.into_iter().for_each(|mark| event.marks.set(mark));
            }
            71 => event.raw_start = value.small()?,
            72 => event.raw_len = value.small()?,
            73 => event.child_bytes = value.bytes()?,
            // Of a later version.
            _ => {}
        }
    }
    if version != VERSION {
        return Err("no change of version 1");
    }
    let [Some(event_uid), Some(content_hash), Some(change_uid)] = ids else {
        return Err("an id is missing");
    };
    (event.event_uid, event.content_hash, event.change_uid) = (event_uid, content_hash, change_uid);
    event.source = source_names()
        .find(|known| *known == source)
        .ok_or("a source that this version does not know")?;
    event.actor_delegated_from = delegated.into_bump_slice();
    event.resources = resources.into_bump_slice();
    event.scope_tags = scope_tags.into_bump_slice();
    event.ticket_uids = tickets.into_bump_slice();
    if position.topic.is_empty() {
        return Err("the raw position is missing");
    }
    Ok(Decoded {
        event,
        origin: Origin {
            position,
            child,
            raw_hash: raw_hash.ok_or("the raw hash is missing")?,
            ingest_time,
        },
        learn_only,
    })
}

fn resource(bytes: &[u8]) -> Result<Resource<'_>, &'static str> {
    let mut resource = Resource::default();
    let mut from = Reader { bytes, at: 0 };
    while let Some((field, value)) = from.field()? {
        match field {
            1 => resource.uid = value.text()?,
            2 => resource.kind = value.text()?,
            3 => resource.name = value.text()?,
            _ => {}
        }
    }
    Ok(resource)
}

/// A number that this version does not know reads as "not known".
fn by_id<T: Copy + Default>(all: &[T], id: impl Fn(T) -> u16, wanted: u64) -> T {
    let is_wanted = |value: &T| u64::from(id(*value)) == wanted;
    all.iter().copied().find(is_wanted).unwrap_or_default()
}

struct Writer<'a>(List<'a, u8>);

impl Writer<'_> {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn optional(&mut self, field: u64, value: Option<u64>) {
        if let Some(value) = value {
            self.varint(field << 3 | VARINT);
            self.varint(value);
        }
    }

    fn number(&mut self, field: u64, value: u64) {
        self.optional(field, (value != 0).then_some(value));
    }

    /// Written also where it is empty.
    fn field(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | BYTES);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        if !value.is_empty() {
            self.field(field, value);
        }
    }

    fn text(&mut self, field: u64, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    fn texts(&mut self, field: u64, values: &[&str]) {
        values
            .iter()
            .for_each(|value| self.field(field, value.as_bytes()));
    }
}

const ENDS_EARLY: &str = "it ends too early";
const OUT_OF_RANGE: &str = "a number is out of range";
const WRONG_TYPE: &str = "a field has another type";

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a type that no field of ours has.
    Other,
}

impl<'a> Reader<'a> {
    fn field(&mut self) -> Result<Option<(u64, Value<'a>)>, &'static str> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            VARINT => Value::Number(self.varint()?),
            BYTES => {
                let length = usize::try_from(self.varint()?).map_err(|_| ENDS_EARLY)?;
                Value::Bytes(self.take(length)?)
            }
            FIXED64 => self.take(8).map(|_| Value::Other)?,
            FIXED32 => self.take(4).map(|_| Value::Other)?,
            _ => return Err("it is none of our messages"),
        };
        Ok(Some((key >> 3, value)))
    }

    fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(ENDS_EARLY)?;
            self.at += 1;
            // Of the tenth byte one bit is left.
            if shift == 63 && byte > 1 {
                return Err(OUT_OF_RANGE);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(OUT_OF_RANGE)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let end = self.at.checked_add(length).ok_or(ENDS_EARLY)?;
        let taken = self.bytes.get(self.at..end).ok_or(ENDS_EARLY)?;
        self.at = end;
        Ok(taken)
    }
}

impl<'a> Value<'a> {
    fn number(&self) -> Result<u64, &'static str> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Bytes(_) | Self::Other => Err(WRONG_TYPE),
        }
    }

    fn small<T: TryFrom<u64>>(&self) -> Result<T, &'static str> {
        T::try_from(self.number()?).map_err(|_| OUT_OF_RANGE)
    }

    fn bytes(&self) -> Result<&'a [u8], &'static str> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) | Self::Other => Err(WRONG_TYPE),
        }
    }

    fn text(&self) -> Result<&'a str, &'static str> {
        str::from_utf8(self.bytes()?).map_err(|_| "a text is no UTF-8")
    }

    fn array<const N: usize>(&self) -> Result<[u8; N], &'static str> {
        self.bytes()?.try_into().map_err(|_| "an id has another length")
    }
}
