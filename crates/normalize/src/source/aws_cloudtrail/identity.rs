//! Who acted: from the session to the role, and to the person behind it.

use changegate_json::Value;
use changegate_types::{ActorType, ChangeEvent};

use crate::context::{Context, first};

pub(super) fn resolve<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, identity: Value<'a>) {
    let kind = identity.get("type").text();
    let session = identity.get("sessionContext");
    let issuer = session.get("sessionIssuer");
    let arn = identity.get("arn").text();
    let principal = identity.get("principalId").text();
    let name = identity.get("userName").text();
    // Where the issuer is left out, the session's own ARN names its role.
    let (role, role_name, _) = match (issuer.get("arn").text(), issuer.get("userName").text()) {
        ("", name) => session_role(context, arn).map_or(("", name, ""), |role| role),
        (role, name) => (role, name, ""),
    };
    let invoked_by = identity.get("invokedBy").text();

    if event.actor_credential_uid.is_empty() {
        event.actor_credential_uid = identity.get("accessKeyId").text();
    }
    event.actor_invoked_by = invoked_by;
    event.actor_is_mfa = session.at(&["attributes", "mfaAuthenticated"]).bool();
    event.org_uid = identity.get("organizationId").text();

    let session_name = principal.split_once(':').map_or("", |(_, session)| session);
    let session_name = if session_name.is_empty() {
        arn.rsplit_once('/').map_or("", |(_, last)| last)
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
                && (session_name.contains('@')
                    || role
                        .split('/')
                        .any(|part| part == "aws-reserved" || part.starts_with("AWSReservedSSO_")));
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
            event.actor_uid = first(&[arn, principal, identity.get("accountId").text()]);
            event.actor_name = first(&[name, event.actor_uid]);
            event.actor_type = ActorType::Service;
        }
        "IdentityCenterUser" => {
            let on_behalf = identity.get("onBehalfOf").get("userId").text();
            event.actor_uid = first(&[on_behalf, principal, arn]);
            event.actor_name = first(&[name, event.actor_uid]);
            event.actor_issuer = identity.get("onBehalfOf").get("identityStoreArn").text();
            event.actor_type = ActorType::User;
        }
        "WebIdentityUser" | "SAMLUser" => {
            event.actor_issuer = identity.get("identityProvider").text();
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
    let provider = session.get("webIdFederationData").get("federatedProvider").text();
    for link in [
        session.get("sourceIdentity").text(),
        identity.at(&["onBehalfOf", "userId"]).text(),
        provider,
    ] {
        if !link.is_empty() && link != event.actor_uid {
            delegated.push(link);
        }
    }
    event.actor_delegated_from = delegated.into_bump_slice();
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
