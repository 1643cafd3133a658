//! Okta's System Log, as event hooks, EventBridge and the API deliver it.
//!
//! Fields: Okta developer docs, "System Log API" (LogEvent) and "Event hooks".

mod classify;

use changegate_json::{Kind, Value};
use changegate_types::{ActorType, ChangeEvent, Class, Resource, Severity, SkipReason, Status};

use super::Source;
use super::webhook::{self, link};
use crate::context::{Context, Draft, Found, List, Unwrapped, first};
use crate::secret::{SecretRules, Subtree};

/// `okta.system`.
pub(crate) struct OktaSystem;

const SECRETS: SecretRules = SecretRules {
    names: &[
        "stateToken",
        "recoveryToken",
        "activationToken",
        "factorToken",
        "tempPassword",
        "deviceSecret",
        "authorizationCode",
        "recoveryAnswer",
    ],
    subtrees: &[Subtree {
        names: &["credentials"],
        when: |_, _| true,
        leaf: "value",
    }],
};

impl Source for OktaSystem {
    fn name(&self) -> &'static str {
        "okta.system"
    }

    fn secrets(&self) -> &'static SecretRules {
        &SECRETS
    }

    fn lines(&self) -> bool {
        true
    }

    fn unwrap<'a>(&self, context: &mut Context<'a>, root: Value<'a>, out: &mut List<'a, Unwrapped<'a>>) {
        unwrap(context, root, true, out);
    }

    fn normalize<'a>(&self, context: &mut Context<'a>, child: Value<'a>) -> Result<Draft<'a>, SkipReason> {
        Ok(normalize(context, child))
    }
}

fn unwrap<'a>(
    context: &mut Context<'a>,
    root: Value<'a>,
    in_record: bool,
    out: &mut List<'a, Unwrapped<'a>>,
) {
    let wrapped = root.get("body");
    if root.get("headers").is_some() && wrapped.is_some() {
        let body = context.nested(wrapped);
        return unwrap(context, body, in_record && wrapped.kind() != Kind::String, out);
    }
    let in_hook = root.at(&["data", "events"]);
    let list = match root.kind() {
        Kind::Array => root,
        _ if in_hook.kind() == Kind::Array => in_hook,
        _ => root.get("events"),
    };
    if list.kind() != Kind::Array {
        // The answer to the one-time check of a hook's address.
        if root
            .any(&["verification", "x-okta-verification-challenge"])
            .is_some()
            && root.get("uuid").is_none()
        {
            out.push(Unwrapped::Skip(SkipReason::ControlMessage));
            return;
        }
        let detail = root.get("detail");
        let value = if detail.kind() == Kind::Object {
            detail
        } else {
            root
        };
        one(value, root, in_record, out);
        return;
    }
    webhook::each_item(list, out, |item, out| one(item, root, in_record, out));
}

fn one<'a>(value: Value<'a>, envelope: Value<'a>, in_record: bool, out: &mut List<'a, Unwrapped<'a>>) {
    let who = value.get("actor").is_some() && value.any(&["outcome", "target", "client"]).is_some();
    let marks = ["eventType", "uuid", "legacyEventType", "published"];
    // CloudTrail and Azure DevOps have an `eventType` too.
    let of_others = [
        "eventSource",
        "eventName",
        "eventVersion",
        "userIdentity",
        "publisherId",
    ];
    let own = who || value.any(&marks).is_some();
    if value.kind() == Kind::Object && own && value.any(&of_others).is_none() {
        out.push(Unwrapped::Child(Found {
            value,
            envelope,
            in_record,
        }));
    }
}

#[derive(Default)]
struct Parts<'a> {
    actor: Value<'a>,
    client: Value<'a>,
    authentication: Value<'a>,
    security: Value<'a>,
    debug: Value<'a>,
    transaction: Value<'a>,
    targets: Value<'a>,
    outcome: Value<'a>,
    chain: Value<'a>,
    legacy: &'a str,
    message: &'a str,
}

fn normalize<'a>(context: &mut Context<'a>, child: Value<'a>) -> Draft<'a> {
    let event = context.arena.alloc_with(|| ChangeEvent {
        cloud_provider: "Okta",
        source_product: "Okta System Log",
        ..ChangeEvent::default()
    });
    let mut parts = Parts::default();
    let mut severity = "";
    for (name, value) in child.members() {
        // Some forwarders send every key in lower case.
        match context.lower(name) {
            "uuid" => event.native_uid = context.text(value),
            "published" => event.event_time = context.time(value).unwrap_or_default(),
            "eventtype" => event.api_operation = context.text(value),
            "legacyeventtype" => parts.legacy = context.text(value),
            "version" => event.schema_version = context.text(value),
            "severity" => severity = context.text(value),
            "displaymessage" => parts.message = context.text(value),
            "actor" => parts.actor = value,
            "client" => parts.client = value,
            "outcome" => parts.outcome = value,
            "target" => parts.targets = value,
            "transaction" => parts.transaction = value,
            "debugcontext" => parts.debug = value.get("debugData"),
            "authenticationcontext" => parts.authentication = value,
            "securitycontext" => parts.security = value,
            "request" => parts.chain = value.get("ipChain"),
            _ => {}
        }
    }
    parts.debug = context.nested(parts.debug);
    // The legacy type of all that is new says nothing.
    if event.api_operation.is_empty() && parts.legacy != "core.event" {
        event.api_operation = parts.legacy;
    }
    event.api_service = event.api_operation.split('.').next().unwrap_or_default();
    event.severity = match severity {
        "DEBUG" | "INFO" => Severity::Informational,
        "WARN" => Severity::Medium,
        "ERROR" => Severity::High,
        _ => Severity::Unknown,
    };
    event.org_uid = context
        .envelope
        .get("source")
        .text()
        .rsplit('/')
        .next()
        .unwrap_or_default();
    event.account_uid = event.org_uid;
    event.correlation_uid = first(&[
        parts.transaction.get("id").text(),
        parts.authentication.get("rootSessionId").text(),
    ]);
    event.request_uid = parts.debug.get("requestId").text();
    origin(context, event, &parts);
    actor(context, event, &parts);
    outcome(context, event, &parts);
    classify::kind(context, event);
    mfa(event, &parts);
    let mut list = context.list();
    for target in parts.targets.items() {
        let alternate = target.get("alternateId").text();
        let name = target.get("displayName").text();
        let uid = first(&[target.get("id").text(), alternate, name]);
        if !uid.is_empty() {
            // `unknown` is what Okta writes where a thing has no second name.
            let alternate = if alternate.eq_ignore_ascii_case("unknown") {
                ""
            } else {
                alternate
            };
            list.push(Resource {
                uid,
                kind: target.get("type").text(),
                name: first(&[alternate, name]),
            });
        }
    }
    event.resources = context.resources(list);
    for text in [parts.message, event.status_detail] {
        context.tickets_in(text);
    }
    context.tickets_in(parts.debug.get("reason").text());
    Draft::by_native_uid(event)
}

fn origin<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let client = parts.client;
    let hop = parts.chain.items().next().unwrap_or_default();
    let address = client.get("ipAddress");
    let address = if address.is_some() { address } else { hop.get("ip") };
    context.address(event, address);
    let agent = client.get("userAgent");
    event.user_agent = first(&[agent.get("rawUserAgent").text(), agent.text()]);
    event.src_country = first(&[
        client.at(&["geographicalContext", "country"]).text(),
        hop.at(&["geographicalContext", "country"]).text(),
    ]);
    event.src_asn = context.number(parts.security.get("asNumber")).unwrap_or_default();
    if event.src_domain.is_empty() && event.src_ip.is_none() {
        event.src_domain = parts.security.get("domain").text();
    }
}

fn actor<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let (actor, debug) = (parts.actor, parts.debug);
    let alternate = actor.get("alternateId").text();
    event.actor_uid = first(&[actor.get("id").text(), alternate]);
    event.actor_name = first(&[alternate, actor.get("displayName").text()]);
    event.actor_type = match actor.get("type").text() {
        _ if event.actor_uid.is_empty() => ActorType::Unknown,
        "User" | "AppUser" => ActorType::User,
        "SystemPrincipal" | "System" => ActorType::System,
        "" => ActorType::Unknown,
        _ => ActorType::Service,
    };
    let detail = parts.transaction.get("detail");
    event.actor_credential_uid = first(&[
        detail.get("requestApiTokenId").text(),
        debug.get("requestApiTokenId").text(),
        debug.get("publicClientAppId").text(),
    ]);
    event.actor_session_uid = first(&[
        parts.authentication.get("externalSessionId").text(),
        parts.authentication.get("rootSessionId").text(),
    ]);
    let issuer = parts.authentication.get("issuer");
    event.actor_issuer = first(&[
        issuer.get("id").text(),
        issuer.text(),
        parts.authentication.get("authenticationProvider").text(),
    ]);
    event.actor_invoked_by = first(&[parts.client.get("id").text(), debug.get("clientId").text()]);
    // Support and delegated administrators act as someone; who they are stands beside it.
    let mut chain = context.list();
    for holder in [actor.get("detailEntry"), debug, parts.authentication, detail] {
        for name in [
            "originalPrincipal",
            "impersonator",
            "impersonatorId",
            "originalActor",
            "delegatedBy",
        ] {
            let principal = holder.get(name);
            let principal = if principal.kind() == Kind::String && principal.spelled().starts_with('{') {
                context.nested(principal)
            } else {
                principal
            };
            let who = first(&[
                principal.get("alternateId").text(),
                principal.get("id").text(),
                principal.text(),
            ]);
            if who != event.actor_name {
                link(&mut chain, event.actor_uid, who);
            }
        }
    }
    event.actor_delegated_from = chain.into_bump_slice();
}

fn outcome<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    event.status_code = first(&[parts.outcome.get("result").text(), parts.outcome.text()]);
    event.status_detail = parts.outcome.get("reason").text();
    event.status = match event.status_code {
        "" => return webhook::assume_success(context, event),
        "SUCCESS" | "ALLOW" => Status::Success,
        "FAILURE" | "DENY" => Status::Failure,
        _ => Status::Other,
    };
}

/// A second factor, where the event is about one or says by what it was proved.
fn mfa(event: &mut ChangeEvent<'_>, parts: &Parts<'_>) {
    event.actor_is_mfa = match parts.authentication.get("credentialType").text() {
        "OTP" | "SMS" | "EMAIL" | "VOICE" | "PUSH" | "WEBAUTHN" | "SIGNED_NONCE" | "DEVICE_UDID" => {
            Some(true)
        }
        "PASSWORD" => Some(false),
        _ if event.class == Class::Authentication
            && event.status == Status::Success
            && event.api_operation.ends_with("auth_via_mfa") =>
        {
            Some(true)
        }
        _ => None,
    };
}

#[cfg(test)]
mod tests;
