//! What the features need of one event: hashes instead of text, flags instead of fields.
//!
//! The stream and the training make them with the same function, and the training keeps them instead of events.

use changegate_types::{ActorType, ChangeEvent, PrivilegeClass, Status, TimeMicros, Verb};

use crate::calibration::Stratum;
use crate::hash::{self, Shapes, mix};

/// Who acts, for peers and for the calibration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ActorKind {
    /// A person; also whoever the source does not describe.
    #[default]
    Human = 0,
    /// A workload, pipeline, bot or the provider itself.
    Service = 1,
    /// An account or role for emergencies, or one with all rights.
    BreakGlass = 2,
}

impl ActorKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Human, Self::Service, Self::BreakGlass];

    /// The name in strata.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Service => "service",
            Self::BreakGlass => "break_glass",
        }
    }

    /// The kind behind one byte.
    pub(crate) const fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Service,
            2 => Self::BreakGlass,
            _ => Self::Human,
        }
    }

    fn of(event: &ChangeEvent<'_>) -> Self {
        let names = [event.actor_uid, event.actor_name, event.actor_issuer];
        match event.actor_type {
            ActorType::Admin => Self::BreakGlass,
            _ if names.into_iter().any(names_an_emergency) => Self::BreakGlass,
            ActorType::Service | ActorType::System => Self::Service,
            ActorType::Unknown | ActorType::User | ActorType::Other => Self::Human,
        }
    }
}

/// `break-glass`, `BreakGlass`, `emergency-admin`, `firecall`: looked for at their rare letters.
fn names_an_emergency(name: &str) -> bool {
    let bytes = name.as_bytes();
    let around = |at: usize, before: usize, word: &[u8]| {
        let start = at.checked_sub(before);
        let found = start.and_then(|start| bytes.get(start..start + word.len()));
        found.is_some_and(|found| found.eq_ignore_ascii_case(word))
    };
    memchr::memchr2_iter(b'g', b'G', bytes).any(|at| around(at, 0, b"glass") || around(at, 4, b"emergency"))
        || memchr::memchr2_iter(b'f', b'F', bytes).any(|at| around(at, 0, b"firecall"))
}

/// What is counted per actor. The first [`SHARED`] are counted for peers and tenant too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Field {
    Action = 0,
    Resource = 1,
    Network = 2,
    Agent = 3,
    Hour = 4,
    Role = 5,
    Privilege = 6,
    Reference = 7,
    Environment = 8,
    Credential = 9,
    Account = 10,
    Transition = 11,
}

/// How many fields are counted.
pub(crate) const FIELDS: usize = 12;
/// How many of them at three levels: actor, peers, tenant.
pub(crate) const SHARED: usize = 8;

/// Events of one record time, hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Facts {
    pub(crate) tenant: u64,
    pub(crate) actor: u64,
    /// By [`Field`]; `Transition` is filled in by the actor's state, which knows the action before.
    pub(crate) values: [u64; FIELDS],
    /// The very resource, where `values[Resource]` is its shape.
    pub(crate) resource: u64,
    /// Product area and whether it is production: who usually acts there?
    pub(crate) scope: u64,
    /// Tenant, source and stratum: what has a learning phase of its own.
    pub(crate) phase: u64,
    /// Kafka's record time, in seconds; drives every clock.
    pub(crate) second: u32,
    pub(crate) kind: ActorKind,
    pub(crate) privilege: u8,
    /// 0 reads, 1 other or unknown, 2 creates and updates, 3 deletes.
    pub(crate) power: u8,
    pub(crate) production: bool,
    pub(crate) failed: bool,
    pub(crate) referenced: bool,
    pub(crate) without_mfa: bool,
    pub(crate) is_change: bool,
}

/// How bad each privilege class is in wrong hands, 0 to 6.
pub(crate) const fn privilege_weight(class: PrivilegeClass) -> u8 {
    match class {
        PrivilegeClass::None => 0,
        PrivilegeClass::Compute => 1,
        PrivilegeClass::Pipeline => 2,
        PrivilegeClass::Data | PrivilegeClass::Network => 3,
        PrivilegeClass::Keys => 4,
        PrivilegeClass::Identity => 5,
        PrivilegeClass::Logging => 6,
    }
}

impl Facts {
    /// Room for the shapes of user agents.
    pub(crate) fn agents() -> Shapes {
        Shapes::new(8)
    }

    /// Reads an event once. `record_time` is Kafka's; the event's own time only names the hour of the week. `agents`
    /// are those of [`agents`](Self::agents).
    pub(crate) fn of(event: &ChangeEvent<'_>, record_time: TimeMicros, agents: &mut Shapes) -> Self {
        let tenant = hash::text(1, event.tenant_uid);
        let actor = match (event.actor_uid, event.actor_name) {
            // Whoever has no name shares one history with the nameless of the same account.
            ("", "") => hash::text(hash::text(mix(tenant, 2), event.source), event.account_uid),
            ("", name) => hash::text(mix(tenant, 3), name),
            (uid, _) => hash::text(mix(tenant, 4), uid),
        };
        let action = hash::text(hash::text(5, event.api_service), event.api_operation);
        let first = event.resources.first();
        let uid = first.map_or("", |resource| {
            if resource.uid.is_empty() {
                resource.name
            } else {
                resource.uid
            }
        });
        let kind_of_resource = first.map_or("", |resource| resource.kind);
        let place = hash::text(6, event.account_uid);
        let production = changegate_policy::counts_as_production(event.environment);
        let ticket = !event.ticket_uids.is_empty();
        let review = !event.vcs_change_id.is_empty();
        let run = !event.cicd_run_id.is_empty();
        let kind = ActorKind::of(event);
        let hour = event.event_time.hour_of_week();
        // 24 hours of workdays, 24 of weekends: 168 single hours take half a year to learn.
        let hour = hour % 24 + 24 * u8::from(hour >= 5 * 24);
        let values = [
            action,
            hash::shape(hash::text(mix(place, 7), kind_of_resource), uid),
            network(event),
            agents.of(event.user_agent),
            mix(9, u64::from(hour)),
            hash::text(hash::text(10, event.actor_issuer), event.actor_invoked_by),
            mix(11, u64::from(event.privilege_class.id())),
            mix(
                12,
                u64::from(ticket) | u64::from(review) << 1 | u64::from(run) << 2,
            ),
            hash::text(13, event.environment),
            hash::text(14, event.actor_credential_uid),
            hash::text(mix(place, 15), event.region),
            0,
        ];
        let power = match event.verb {
            Verb::Read => 0,
            Verb::Unknown | Verb::Other => 1,
            Verb::Create | Verb::Update => 2,
            Verb::Delete => 3,
        };
        let stratum = Stratum::new(kind, production);
        Self {
            tenant,
            actor,
            values,
            phase: hash::text(mix(tenant, stratum.0.into()), event.source),
            resource: hash::text(place, uid),
            scope: mix(
                hash::text(16, event.api_service),
                u64::from(production) << 1 | u64::from(event.is_change),
            ),
            second: record_time.seconds().clamp(0, i64::from(u32::MAX)) as u32,
            kind,
            privilege: privilege_weight(event.privilege_class),
            power,
            production,
            failed: event.status == Status::Failure,
            referenced: ticket || review || run,
            without_mfa: event.actor_is_mfa == Some(false) && kind != ActorKind::Service,
            is_change: event.is_change,
        }
    }
}

/// The autonomous system where the source states it, else the /24 (IPv4) or /48 (IPv6), else the name.
fn network(event: &ChangeEvent<'_>) -> u64 {
    if event.src_asn != 0 {
        return mix(17, u64::from(event.src_asn));
    }
    match event.src_ip {
        Some(ip) => {
            let bits = ip.to_bits();
            match ip.to_ipv4_mapped() {
                Some(_) => mix(18, bits as u64 >> 8),
                None => mix(19, (bits >> 80) as u64),
            }
        }
        None => hash::text(20, event.src_domain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emergencies_are_known_by_name() {
        for name in [
            "arn:aws:iam::1:role/BreakGlass-Admin",
            "break-glass",
            "svc-Emergency-1",
            "FIRECALL",
        ] {
            assert!(names_an_emergency(name), "{name}");
        }
        for name in ["", "glas", "gency", "merge-bot", "fireca", "g", "emergenc"] {
            assert!(!names_an_emergency(name), "{name}");
        }
    }

    #[test]
    fn addresses_of_one_prefix_are_one_network() {
        let of = |ip: &str| {
            network(&ChangeEvent {
                src_ip: ip.parse().ok(),
                ..ChangeEvent::default()
            })
        };
        assert_eq!(of("::ffff:10.1.2.3"), of("::ffff:10.1.2.200"));
        assert_ne!(of("::ffff:10.1.2.3"), of("::ffff:10.1.3.3"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("2001:db8:1::1"), of("2001:db8:2::1"));
    }
}
