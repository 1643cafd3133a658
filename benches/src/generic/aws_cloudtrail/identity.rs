//! Who acted.

use changegate_types::ActorType;
use serde_json::Value;

use super::{Columns, Generic, owned, take};

pub(super) fn actor(generic: &Generic, columns: &mut Columns, mut identity: Value) {
    let mut session = take(&mut identity, "sessionContext");
    let mut issuer = take(&mut session, "sessionIssuer");
    let mut text = |name: &str| owned(take(&mut identity, name));
    let (kind, arn, principal, name) = (text("type"), text("arn"), text("principalId"), text("userName"));
    columns.actor_credential_uid = text("accessKeyId");
    columns.actor_invoked_by = text("invokedBy");
    columns.org_uid = text("organizationId");
    if columns.account_uid.is_empty() {
        columns.account_uid = text("accountId");
    }
    let (role, role_name) = (
        owned(take(&mut issuer, "arn")),
        owned(take(&mut issuer, "userName")),
    );
    let mut attributes = take(&mut session, "attributes");
    columns.actor_is_mfa = owned(take(&mut attributes, "mfaAuthenticated")).parse().ok();
    let delegated = [
        owned(take(&mut session, "sourceIdentity")),
        owned(take(&mut take(&mut identity, "onBehalfOf"), "userId")),
        owned(take(
            &mut take(&mut session, "webIdFederationData"),
            "federatedProvider",
        )),
    ];
    match kind.as_str() {
        "AssumedRole" | "Role" => {
            let session = match principal.split_once(':') {
                Some((_, session)) if !session.is_empty() => session,
                _ => arn.rsplit_once('/').map_or("", |(_, last)| last),
            };
            generic.tickets_in(columns, session);
            let is_person = session.contains('@') || role.contains("AWSReservedSSO_");
            if is_person {
                columns.actor_uid = session.to_owned();
                columns.actor_name = session.to_owned();
                columns.actor_type = ActorType::User;
            } else {
                columns
                    .actor_uid
                    .clone_from(if role.is_empty() { &arn } else { &role });
                columns.actor_name = if role_name.is_empty() {
                    session.to_owned()
                } else {
                    role_name
                };
                columns.actor_type = ActorType::Service;
            }
            columns.actor_issuer = role;
            columns.actor_session_uid = principal;
        }
        "Root" => {
            columns.actor_uid = arn;
            columns.actor_name = if name.is_empty() { "root".to_owned() } else { name };
            columns.actor_type = ActorType::Admin;
        }
        "AWSService" => {
            columns.actor_uid.clone_from(&columns.actor_invoked_by);
            columns.actor_name.clone_from(&columns.actor_invoked_by);
            columns.actor_type = ActorType::System;
        }
        _ => {
            columns.actor_uid = if arn.is_empty() { principal } else { arn };
            columns.actor_name = name;
            if !kind.is_empty() {
                columns.actor_type = ActorType::User;
            }
        }
    }
    let links = delegated
        .into_iter()
        .filter(|link| !link.is_empty() && *link != columns.actor_uid);
    columns.actor_delegated_from = links.collect();
}
