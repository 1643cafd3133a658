//! Why a change scored as it did: the features that weigh most, in words, with the counts behind them.

use bumpalo::Bump;
use bumpalo::collections::String as ArenaString;
use std::fmt::{self, Write as _};

use changegate_types::{ChangeEvent, PrivilegeClass, Reason};

use crate::extract::Evidence;
use crate::facts::Field;
use crate::feature::{FEATURES, Feature};
use crate::state::actor::Pace;

/// How many reasons an event keeps.
pub const REASONS: usize = 3;

/// The features that weigh most, strongest first; those without weight are left out.
pub(crate) fn strongest(contributions: &[f32; FEATURES]) -> impl Iterator<Item = (Feature, f32)> {
    let mut top = [(Feature::ActionSurprisal, 0.0f32); REASONS];
    for (feature, &contribution) in Feature::ALL.into_iter().zip(contributions) {
        // Most weigh less than the last of them.
        if contribution <= top[REASONS - 1].1 {
            continue;
        }
        let mut entry = (feature, contribution);
        for place in &mut top {
            if entry.1 > place.1 {
                std::mem::swap(place, &mut entry);
            }
        }
    }
    top.into_iter().filter(|(_, contribution)| *contribution > 0.0)
}

/// Reasons with their sentences, or with the features' general meaning where `evidence` is not asked for.
pub(crate) fn reasons<'a>(
    arena: &'a Bump,
    event: &ChangeEvent<'a>,
    evidence: Option<&Evidence>,
    contributions: &[f32; FEATURES],
) -> &'a [Reason<'a>] {
    let mut reasons = bumpalo::collections::Vec::with_capacity_in(REASONS, arena);
    for (feature, contribution) in strongest(contributions) {
        let spec = feature.spec();
        reasons.push(Reason {
            feature: spec.name,
            text: evidence.map_or(spec.about, |evidence| sentence(arena, feature, event, evidence)),
            contribution,
        });
    }
    reasons.into_bump_slice()
}

/// A decayed count, rounded, with thousands set apart.
struct Count(f32);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What was seen and has nearly faded is still not "0".
        let whole = if self.0 > 0.0 {
            self.0.round().max(1.0) as u64
        } else {
            0
        };
        let (millions, thousands, rest) = (whole / 1_000_000, whole / 1_000 % 1_000, whole % 1_000);
        match (millions, thousands) {
            (0, 0) => write!(f, "{rest}"),
            (0, thousands) => write!(f, "{thousands},{rest:03}"),
            (millions, thousands) => write!(f, "{millions},{thousands:03},{rest:03}"),
        }
    }
}

/// A stretch of time in the unit that people would say it in.
struct Span(u32);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds if seconds < 120 => write!(f, "{seconds} seconds"),
            seconds if seconds < 2 * 3_600 => write!(f, "{} minutes", seconds / 60),
            seconds if seconds < 48 * 3_600 => write!(f, "{} hours", seconds / 3_600),
            seconds => write!(f, "{} days", seconds / 86_400),
        }
    }
}

/// Text of foreign origin, cut so that a reason stays one line.
fn cut(text: &str) -> &str {
    let end = text.char_indices().nth(80).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or(text)
}

fn or<'t>(text: &'t str, otherwise: &'t str) -> &'t str {
    if text.is_empty() { otherwise } else { cut(text) }
}

/// "0 of 1,243 by this actor, 2 of 41,003 by its peers, 9 of 120,411 in the tenant"
fn shares(out: &mut ArenaString<'_>, field: Field, evidence: &Evidence) {
    let at = field as usize;
    let _ = write!(
        out,
        "{} of {} by this actor",
        Count(evidence.own[at]),
        Count(evidence.own_total)
    );
    if let (Some(&peers), Some(&tenant)) = (evidence.peers.get(at), evidence.tenant.get(at)) {
        let _ = write!(
            out,
            ", {} of {} by its peers, {} of {} in the tenant",
            Count(peers),
            Count(evidence.peers_total),
            Count(tenant),
            Count(evidence.tenant_total),
        );
    }
}

/// One feature of one event in words. Writing into the arena cannot fail, so results of `write!` are dropped.
fn sentence<'a>(arena: &'a Bump, feature: Feature, event: &ChangeEvent<'a>, evidence: &Evidence) -> &'a str {
    let mut out = ArenaString::new_in(arena);
    let resource = event.resources.first();
    let resource = resource.map_or("", |resource| {
        if resource.uid.is_empty() {
            resource.name
        } else {
            resource.uid
        }
    });
    let resource = or(resource, "no named resource");
    let action = or(event.api_operation, "an unnamed action");
    let hour = event.event_time.hour_of_week();
    let field = match feature {
        Feature::ActionSurprisal => {
            let _ = write!(out, "{action} is rare here: ");
            Some(Field::Action)
        }
        Feature::ResourceSurprisal => {
            let _ = write!(out, "{resource} is rarely touched here: ");
            Some(Field::Resource)
        }
        Feature::NetworkSurprisal => {
            let _ = write!(out, "the source network {} is rare: ", Network(event));
            Some(Field::Network)
        }
        Feature::AgentSurprisal => {
            let _ = write!(out, "the user agent {} is rare: ", or(event.user_agent, "(none)"));
            Some(Field::Agent)
        }
        Feature::HourSurprisal => {
            let day = if hour >= 120 { "weekend" } else { "workday" };
            let _ = write!(out, "a {day} at {:02} h UTC is unusual: ", hour % 24);
            Some(Field::Hour)
        }
        Feature::RoleSurprisal => {
            let role = or(event.actor_issuer, or(event.actor_invoked_by, "(none)"));
            let _ = write!(out, "the role or issuer {role} is rare: ");
            Some(Field::Role)
        }
        Feature::PrivilegeSurprisal => {
            let class = match event.privilege_class {
                PrivilegeClass::None => "nothing privileged",
                class => class.name(),
            };
            let _ = write!(out, "touching {class} is rare: ");
            Some(Field::Privilege)
        }
        Feature::ReferenceSurprisal => {
            let ticket = event
                .ticket_uids
                .first()
                .map_or("no ticket", |ticket| cut(ticket));
            let review = if event.vcs_change_id.is_empty() { "no" } else { "a" };
            let _ = write!(out, "acting with {ticket} and {review} review is unusual: ");
            Some(Field::Reference)
        }
        Feature::PrivilegedNovelty => {
            let class = event.privilege_class.name();
            let _ = write!(out, "{action} touches {class} and is rare here: ");
            Some(Field::Action)
        }
        Feature::UnreferencedNovelty => {
            let environment = or(event.environment, "unknown");
            let _ = write!(
                out,
                "{action} in {environment} names no ticket, review or run and is rare here: "
            );
            Some(Field::Action)
        }
        Feature::FirstAction => {
            let _ = write!(out, "first time that this actor does {action}: ");
            Some(Field::Action)
        }
        Feature::FirstResource => {
            let _ = write!(out, "first time that this actor touches the like of {resource}: ");
            Some(Field::Resource)
        }
        Feature::FirstNetwork => {
            let _ = write!(out, "first time that this actor comes from {}: ", Network(event));
            Some(Field::Network)
        }
        Feature::FirstAgent => {
            let _ = write!(
                out,
                "first time that this actor uses {}: ",
                or(event.user_agent, "no user agent")
            );
            Some(Field::Agent)
        }
        Feature::FirstEnvironment => {
            let environment = or(event.environment, "unknown");
            let _ = write!(
                out,
                "first time that this actor touches environment {environment}: "
            );
            Some(Field::Environment)
        }
        Feature::FirstCredential => {
            let _ = write!(out, "first time that this actor uses this credential: ");
            Some(Field::Credential)
        }
        Feature::FirstAccount => {
            let (account, region) = (or(event.account_uid, "(none)"), or(event.region, "any region"));
            let _ = write!(
                out,
                "first time that this actor acts in account {account}, {region}: "
            );
            Some(Field::Account)
        }
        _ => None,
    };
    match field {
        Some(field) => shares(&mut out, field, evidence),
        None => measured(&mut out, feature, event, evidence, action),
    }
    out.into_bump_str()
}

/// The features that quote something else than shares.
fn measured(
    out: &mut ArenaString<'_>,
    feature: Feature,
    event: &ChangeEvent<'_>,
    evidence: &Evidence,
    action: &str,
) {
    let pace = |pace: Pace| {
        (
            Count(evidence.paces[pace as usize]),
            evidence.usual[pace as usize],
        )
    };
    let environment = or(event.environment, "unknown (taken for production)");
    let spec = feature.spec();
    let _ = match feature {
        Feature::SequenceSurprisal => write!(
            out,
            "{action} rarely follows what this actor did before: {} of {} times",
            Count(evidence.own[Field::Transition as usize]),
            Count(evidence.after_last),
        ),
        Feature::ActionNewInTenant => write!(
            out,
            "nobody in the tenant did {action} before: 0 of {}",
            Count(evidence.tenant_total)
        ),
        Feature::NewActor => write!(
            out,
            "the actor is known for {} only, by {} events",
            Span(evidence.age_seconds),
            Count(evidence.own_total)
        ),
        Feature::Dormancy => write!(out, "the actor was silent for {}", Span(evidence.silent_seconds)),
        Feature::Burst => {
            let (now, usual) = pace(Pace::Burst);
            write!(
                out,
                "{now} events within 10 minutes, this actor's usual is {usual:.1}"
            )
        }
        Feature::DistinctActions => {
            let (now, usual) = pace(Pace::Actions);
            write!(
                out,
                "{now} different actions within the hour, this actor's usual is {usual:.1}"
            )
        }
        Feature::DistinctResources => {
            let (now, usual) = pace(Pace::Resources);
            write!(
                out,
                "{now} different resources within the hour, this actor's usual is {usual:.1}"
            )
        }
        Feature::ErrorShare => write!(
            out,
            "{} of {} attempts within the hour were refused or failed",
            pace(Pace::Failures).0,
            Count(evidence.events_in_hour)
        ),
        Feature::DeleteBurst => {
            let (now, usual) = pace(Pace::Deletes);
            write!(
                out,
                "{now} deletions within the hour, this actor's usual is {usual:.1}"
            )
        }
        Feature::PrivilegedBurst => {
            let (now, usual) = pace(Pace::Privileged);
            write!(
                out,
                "{now} privileged changes within the hour, this actor's usual is {usual:.1}"
            )
        }
        Feature::PowerInProduction => write!(out, "a {} in environment {environment}", event.verb.name()),
        Feature::PrivilegeWeight => write!(out, "it touches {}", event.privilege_class.name()),
        Feature::UnreferencedInProduction => write!(
            out,
            "no ticket, review or run is named: 0 references, environment {environment}"
        ),
        Feature::WithoutMfa => write!(out, "the session had no second factor"),
        Feature::ActorKindSurprisal => write!(
            out,
            "this kind of actor seldom acts here: {} of {} events of {} in environment {environment}",
            Count(evidence.same_kind),
            Count(evidence.same_scope),
            or(event.api_service, "this service"),
        ),
        _ => write!(out, "{}", spec.about),
    };
}

/// The source network as an auditor would write it.
struct Network<'e>(&'e ChangeEvent<'e>);

impl fmt::Display for Network<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.0;
        match event.src_ip {
            _ if event.src_asn != 0 => write!(f, "AS{}", event.src_asn),
            Some(ip) => match ip.to_ipv4_mapped() {
                Some(ip) => {
                    let [a, b, c, _] = ip.octets();
                    write!(f, "{a}.{b}.{c}.0/24")
                }
                None => {
                    let [a, b, c, ..] = ip.segments();
                    write!(f, "{a:x}:{b:x}:{c:x}::/48")
                }
            },
            None => f.write_str(or(event.src_domain, "(unknown)")),
        }
    }
}
