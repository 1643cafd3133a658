//! Who acted: the user, the one that is impersonated, and who stands behind them.

use changegate_json::{Value, members};
use changegate_types::{ActorType, ChangeEvent};

use crate::context::{Context, List, first};

/// The one whose rights counted; where that is an impersonated user, the impersonator stands behind. Returns the user
/// who sent the request.
pub(super) fn resolve<'a>(
    context: &mut Context<'a>,
    event: &mut ChangeEvent<'a>,
    user: Value<'a>,
    impersonated: Value<'a>,
) -> &'a str {
    let [user, groups, extra] = members!(user, "username", "groups", "extra");
    let user = user.text();
    let [impersonated, impersonated_groups] = members!(impersonated, "username", "groups");
    let impersonated = impersonated.text();
    let groups = if impersonated.is_empty() {
        groups
    } else {
        impersonated_groups
    };
    event.actor_uid = first(&[impersonated, user]);
    event.actor_name = event.actor_uid;
    let in_group = |name: &str| groups.items().any(|group| group.text() == name);
    event.actor_type = match event.actor_uid {
        "" => ActorType::Unknown,
        "system:anonymous" | "system:unauthenticated" => ActorType::Other,
        account if account.starts_with("system:serviceaccount:") => {
            event.actor_name = account.get("system:serviceaccount:".len()..).unwrap_or(account);
            ActorType::Service
        }
        "system:admin" => ActorType::Admin,
        system if system.starts_with("system:") => ActorType::System,
        _ if in_group("system:masters") => ActorType::Admin,
        _ => ActorType::User,
    };
    let mut delegated = context.list();
    if !impersonated.is_empty() && !user.is_empty() {
        delegated.push(user);
    }
    if extra.is_some() {
        extras(context, event, extra, &mut delegated);
    }
    event.actor_delegated_from = context.texts(delegated);
    user
}

/// What authenticators add: the token's id and pod, the AWS identity behind an EKS user.
fn extras<'a>(
    context: &mut Context<'a>,
    event: &mut ChangeEvent<'a>,
    extra: Value<'a>,
    delegated: &mut List<'a, &'a str>,
) {
    let extras = members!(
        extra,
        "authentication.kubernetes.io/credential-id",
        "accessKeyId",
        "sessionName",
        "principalId",
        "authentication.kubernetes.io/pod-name",
        "canonicalArn",
        "arn"
    );
    let [
        credential,
        access_key,
        session,
        principal,
        pod,
        canonical_arn,
        arn,
    ] = extras.map(|value| value.items().next().unwrap_or(value).text());
    event.actor_credential_uid = first(&[credential, access_key]);
    event.actor_session_uid = first(&[session, principal]);
    event.actor_invoked_by = pod;
    let arn = first(&[canonical_arn, arn]);
    event.actor_issuer = arn;
    for link in [arn, session] {
        if !link.is_empty() && !delegated.contains(&link) {
            delegated.push(link);
        }
    }
    context.tickets_in(session);
}
