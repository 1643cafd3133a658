//! Who acted: from the session to the role, and to the person behind it.

use changegate_json::{Value, members};
use changegate_types::{ActorType, ChangeEvent};

use crate::context::{Context, each_member, first};

/// `userIdentity` and what is in it.
#[derive(Default)]
struct Identity<'a> {
    kind: &'a str,
    principal: &'a str,
    arn: &'a str,
    account: &'a str,
    credential: &'a str,
    name: &'a str,
    invoked_by: &'a str,
    organization: &'a str,
    provider: &'a str,
    on_behalf_of: Value<'a>,
    issuer: Value<'a>,
    web_identity: Value<'a>,
    attributes: Value<'a>,
    source_identity: &'a str,
}

impl<'a> Identity<'a> {
    fn of(value: Value<'a>) -> Self {
        let mut identity = Self::default();
        let mut session = Value::MISSING;
        each_member(
            value,
            &[
                "type",
                "principalId",
                "arn",
                "accountId",
                "accessKeyId",
                "sessionContext",
                "userName",
                "invokedBy",
                "organizationId",
                "identityProvider",
                "onBehalfOf",
            ],
            |name, value| {
                match name {
                    "type" => identity.kind = value.text(),
                    "principalId" => identity.principal = value.text(),
                    "arn" => identity.arn = value.text(),
                    "accountId" => identity.account = value.text(),
                    "accessKeyId" => identity.credential = value.text(),
                    "sessionContext" => session = value,
                    "userName" => identity.name = value.text(),
                    "invokedBy" => identity.invoked_by = value.text(),
                    "organizationId" => identity.organization = value.text(),
                    "identityProvider" => identity.provider = value.text(),
                    "onBehalfOf" => identity.on_behalf_of = value,
                    "credentialId" | "inScopeOf" => {}
                    _ => return false,
                }
                true
            },
        );
        each_member(
            session,
            &[
                "sessionIssuer",
                "webIdFederationData",
                "attributes",
                "sourceIdentity",
            ],
            |name, value| {
                match name {
                    "sessionIssuer" => identity.issuer = value,
                    "webIdFederationData" => identity.web_identity = value,
                    "attributes" => identity.attributes = value,
                    "sourceIdentity" => identity.source_identity = value.text(),
                    "ec2RoleDelivery" | "assumedRoot" => {}
                    _ => return false,
                }
                true
            },
        );
        identity
    }
}

pub(super) fn resolve<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, identity: Value<'a>) {
    let identity = Identity::of(identity);
    let Identity {
        kind,
        principal,
        arn,
        name,
        invoked_by,
        issuer,
        on_behalf_of,
        ..
    } = identity;
    // Where the issuer is left out, the session's own ARN names its role.
    let [role, role_name] = members!(issuer, "arn", "userName");
    let (role, role_name, _) = match (role.text(), role_name.text()) {
        ("", name) => session_role(context, arn).map_or(("", name, ""), |role| role),
        (role, name) => (role, name, ""),
    };

    if event.actor_credential_uid.is_empty() {
        event.actor_credential_uid = identity.credential;
    }
    if event.account_uid.is_empty() {
        event.account_uid = identity.account;
    }
    event.actor_invoked_by = invoked_by;
    event.actor_is_mfa = identity.attributes.get("mfaAuthenticated").bool();
    event.org_uid = identity.organization;

    let session_name = memchr::memchr(b':', principal.as_bytes())
        .and_then(|colon| principal.get(colon + 1..))
        .unwrap_or_default();
    let session_name = if session_name.is_empty() {
        memchr::memrchr(b'/', arn.as_bytes())
            .and_then(|slash| arn.get(slash + 1..))
            .unwrap_or_default()
    } else {
        session_name
    };
    match kind {
        "AssumedRole" | "Role" => {
            event.actor_issuer = role;
            event.actor_session_uid = principal;
            context.tickets_in(session_name);
            // A session of IAM Identity Center, or one that carries a mail address, stands for one person; any
            // other session stands for its role.
            let is_person = !session_name.is_empty()
                && (memchr::memchr(b'@', session_name.as_bytes()).is_some() || is_of_identity_center(role));
            let (uid, display) = if is_person {
                (session_name, session_name)
            } else {
                (
                    if role.is_empty() { arn } else { role },
                    if role_name.is_empty() {
                        session_name
                    } else {
                        role_name
                    },
                )
            };
            event.actor_uid = if uid.is_empty() { principal } else { uid };
            event.actor_name = display;
            event.actor_type = if is_person {
                ActorType::User
            } else {
                ActorType::Service
            };
        }
        "Root" => {
            event.actor_uid = if arn.is_empty() { principal } else { arn };
            event.actor_name = if name.is_empty() { "root" } else { name };
            event.actor_type = ActorType::Admin;
        }
        "AWSService" => {
            event.actor_uid = invoked_by;
            event.actor_name = invoked_by;
            event.actor_type = ActorType::System;
        }
        "AWSAccount" => {
            event.actor_uid = first(&[arn, principal, identity.account]);
            event.actor_name = first(&[name, event.actor_uid]);
            event.actor_type = ActorType::Service;
        }
        "IdentityCenterUser" => {
            event.actor_uid = first(&[on_behalf_of.get("userId").text(), principal, arn]);
            event.actor_name = first(&[name, event.actor_uid]);
            event.actor_issuer = on_behalf_of.get("identityStoreArn").text();
            event.actor_type = ActorType::User;
        }
        "WebIdentityUser" | "SAMLUser" => {
            event.actor_issuer = identity.provider;
            event.actor_uid = first(&[name, principal]);
            event.actor_name = event.actor_uid;
            event.actor_type = if kind == "SAMLUser" {
                ActorType::User
            } else {
                ActorType::Service
            };
            event.vcs_repo = pipeline_repository(name);
        }
        _ => {
            event.actor_uid = first(&[arn, principal, name, event.actor_name, invoked_by]);
            event.actor_name = first(&[
                name,
                event.actor_name,
                arn.rsplit('/').next().unwrap_or_default(),
                invoked_by,
            ]);
            event.actor_type = if kind.is_empty() {
                ActorType::Unknown
            } else {
                ActorType::User
            };
            if kind == "FederatedUser" {
                event.actor_issuer = role;
            }
        }
    }

    let mut delegated = context.list();
    for link in [
        identity.source_identity,
        on_behalf_of.get("userId").text(),
        identity.web_identity.get("federatedProvider").text(),
    ] {
        if !link.is_empty() && link != event.actor_uid {
            delegated.push(link);
        }
    }
    event.actor_delegated_from = delegated.into_bump_slice();
}

/// Whether a role is one that IAM Identity Center made for people.
fn is_of_identity_center(role: &str) -> bool {
    memchr::memchr_iter(b'/', role.as_bytes()).any(|slash| {
        let part = role.get(slash + 1..).unwrap_or_default();
        part.starts_with("AWSReservedSSO_")
            || part
                .strip_prefix("aws-reserved")
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Role and its name, and the session's name, of `arn:aws:sts::1:assumed-role/role/session`. The ARN of a session leaves
/// out the role's path, so that of a role with one is not the role's own; it is the same for all its sessions.
pub(crate) fn session_role<'a>(context: &Context<'a>, arn: &'a str) -> Option<(&'a str, &'a str, &'a str)> {
    let (account, session) = arn.split_once(":assumed-role/")?;
    let (role, session) = session.split_once('/').unwrap_or((session, ""));
    let account = account.rsplit(':').next().unwrap_or_default();
    let role_arn = context.join(&["arn:aws:iam::", account, ":role/", role]);
    Some((role_arn, role, session))
}

/// `repo:owner/name:ref:…`, the subject of a GitHub Actions token.
fn pipeline_repository(subject: &str) -> &str {
    subject
        .strip_prefix("repo:")
        .and_then(|rest| rest.split(':').next())
        .unwrap_or_default()
}
