//! What an event type means: `category.….verb`, by its first words and its last.

use changegate_types::{ChangeEvent, Class, PrivilegeClass, Verb};

use super::super::webhook;
use crate::context::Context;

/// What runs by itself or at every use of the product: it changes nothing that anyone set.
const RUNTIME: [&str; 24] = [
    "app.",
    "analytics.",
    "application.integration.",
    "application.policy.",
    "core.",
    "credential.used",
    "device.signals",
    "policy.evaluate",
    "policy.execute",
    "scheduled_action.",
    "security.request",
    "security.threat",
    "security.attack",
    "support.org.",
    "system.agent.ad.read",
    "system.email.",
    "system.operation.",
    "system.org.rate_limit",
    "system.org.task",
    "system.push.",
    "system.sms.",
    "system.voice.",
    "user.behavior",
    "user.risk",
];

const SIGN_IN: [&str; 9] = [
    "user.session.start",
    "user.session.end",
    "user.session.access_admin_app",
    "user.session.context",
    "user.session.expire",
    "user.authentication.",
    "user.mfa.attempt",
    "user.mfa.okta_verify",
    "app.oauth2.",
];

pub(super) fn kind<'a>(_context: &mut Context<'a>, event: &mut ChangeEvent<'a>) {
    let operation = event.api_operation;
    let has = |parts: &[&str]| parts.iter().any(|part| operation.contains(part));
    let begins = |parts: &[&str]| parts.iter().any(|part| operation.starts_with(part));
    let sign_in = begins(&SIGN_IN);
    let last = operation.rsplit('.').next().unwrap_or_default();
    event.verb = match webhook::verb_in(last) {
        _ if sign_in => Verb::Other,
        Verb::Unknown if operation.is_empty() => Verb::Unknown,
        Verb::Unknown => Verb::Update,
        verb => verb,
    };
    event.class = if sign_in {
        Class::Authentication
    } else if operation.contains("impersonation") {
        Class::AuthorizeSession
    } else if begins(&["security.threat", "security.attack", "user.risk", "user.behavior"]) {
        Class::DetectionFinding
    } else if has(&["privilege", "user_membership", "iam.role", "iam.resourceset"]) {
        if operation.starts_with("group.user_membership") {
            Class::GroupManagement
        } else {
            Class::UserAccess
        }
    } else if operation.starts_with("user.") {
        Class::AccountChange
    } else {
        Class::EntityManagement
    };
    event.privilege_class = if has(&[
        "api_token",
        "oauth2.client",
        "credential",
        ".key.",
        "certificate",
        "secret",
    ]) {
        PrivilegeClass::Keys
    } else if has(&["log_stream", "event_hook", "threat_insight"]) {
        PrivilegeClass::Logging
    } else if begins(&["zone.", "network_zone", "security.trusted_origin"]) {
        PrivilegeClass::Network
    } else if begins(&["workflows.", "inline_hook", "hook."]) {
        PrivilegeClass::Pipeline
    } else if begins(&[
        "user.",
        "group.",
        "application.",
        "policy.",
        "iam.",
        "system.idp",
        "app.user",
        "role.",
    ]) || begins(&[
        "system.org",
        "directory.",
        "device.",
        "security.authenticator",
        "app.oauth2",
    ]) {
        PrivilegeClass::Identity
    } else {
        PrivilegeClass::None
    };
    event.is_change = !sign_in
        && !operation.is_empty()
        && !begins(&RUNTIME)
        && event.class != Class::DetectionFinding
        && event.verb != Verb::Read;
    event.activity = match event.class {
        Class::Authentication => 1,
        class => webhook::activity(class, event.verb),
    };
}
