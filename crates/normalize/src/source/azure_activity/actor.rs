//! Who acted: by the claims of the token, and by the role assignment that let it.

use changegate_json::{Value, members};
use changegate_types::{ActorType, ChangeEvent};

use crate::context::{Context, first};
use crate::text;

/// What claims say, by their short names.
#[derive(Default)]
struct Claims<'a> {
    upn: &'a str,
    mail: &'a str,
    display: &'a str,
    object: &'a str,
    app: &'a str,
    methods: &'a str,
    kind: &'a str,
    managed: &'a str,
}

impl<'a> Claims<'a> {
    /// Keys of claims are short names or URIs that end like them.
    fn of(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, claims: Value<'a>) -> Self {
        let mut found = Self::default();
        for (name, value) in claims.members() {
            // Most have three letters, and what may follow a slash in those is no claim.
            let mut key = if name.len() == 3 {
                name
            } else {
                text::after_last(name, b'/')
            };
            // Nearly all are spelled in lower case.
            while !found.claim(context, event, name, key, value) && text::has_upper(key) {
                key = context.lower(key);
            }
        }
        found
    }

    /// Whether the key is one that is known.
    #[inline(always)]
    fn claim(
        &mut self,
        context: &mut Context<'a>,
        event: &mut ChangeEvent<'a>,
        name: &str,
        key: &str,
        value: Value<'a>,
    ) -> bool {
        // Most keys have three letters and are told by the first ones.
        match key.as_bytes() {
            [b'u', b'p', b'n'] => self.upn = value.text(),
            [b'o', b'i', b'd'] => self.object = value.text(),
            [b'a', b'z', b'p'] => self.app = value.text(),
            [b'a', b'm', b'r'] => self.methods = text::or(value.text(), || value.raw()),
            [b'i', b's', b's'] => event.actor_issuer = value.text(),
            [b's', b'i', b'd'] => event.actor_session_uid = value.text(),
            [b'u', b't', b'i'] => event.actor_credential_uid = value.text(),
            [b't', b'i', b'd'] if event.org_uid.is_empty() => event.org_uid = value.text(),
            [_, _, _] => return false,
            _ => return self.long_claim(context, event, name, key, value),
        }
        true
    }

    #[inline(always)]
    fn long_claim(
        &mut self,
        context: &mut Context<'a>,
        event: &mut ChangeEvent<'a>,
        name: &str,
        key: &str,
        value: Value<'a>,
    ) -> bool {
        match key {
            // The URI holds the sign-in name, the short name what people call the actor.
            "name" if name.len() > 4 => self.mail = first(&[self.mail, value.text()]),
            "name" => self.display = value.text(),
            "emailaddress" | "email" => self.mail = first(&[value.text(), self.mail]),
            "objectidentifier" => self.object = value.text(),
            "appid" => self.app = value.text(),
            "authnmethodsreferences" => self.methods = text::or(value.text(), || value.raw()),
            "idtyp" => self.kind = value.text(),
            "xms_mirid" => self.managed = value.text(),
            "tenantid" if event.org_uid.is_empty() => event.org_uid = value.text(),
            "ipaddr" if event.src_ip.is_none() && event.src_domain.is_empty() => {
                context.address(event, value);
            }
            _ => return false,
        }
        true
    }
}

pub(super) fn resolve<'a>(
    context: &mut Context<'a>,
    event: &mut ChangeEvent<'a>,
    caller: &'a str,
    claims: Value<'a>,
    authorization: Value<'a>,
) {
    let Claims {
        upn,
        mail,
        display,
        object,
        app,
        methods,
        kind,
        managed,
    } = Claims::of(context, event, claims);
    let [principal, principal_type, role] = members!(
        authorization.get("evidence"),
        "principalId",
        "principalType",
        "role"
    );
    let person = [upn, mail, caller, display]
        .into_iter()
        .find(|text| text.bytes().any(|byte| byte == b'@'));
    let is_app = kind == "app"
        || principal_type.text().eq_ignore_ascii_case("ServicePrincipal")
        || (person.is_none() && !app.is_empty());
    let person = if kind == "app" {
        ""
    } else {
        person.unwrap_or_default()
    };
    event.actor_uid = first(&[person, object, caller, principal.text(), app, upn, display]);
    event.actor_name = first(&[display, upn, mail, caller, event.actor_uid]);
    event.actor_type = match event.actor_uid {
        "" => ActorType::Unknown,
        _ if is_app => ActorType::Service,
        _ if role.text() == "Owner" => ActorType::Admin,
        _ => ActorType::User,
    };
    if app != event.actor_uid {
        event.actor_invoked_by = app;
    }
    if !methods.is_empty() {
        event.actor_is_mfa = Some(methods.contains("mfa"));
    }
    let mut delegated = context.list();
    if !managed.is_empty() {
        delegated.push(managed);
    }
    event.actor_delegated_from = context.texts(delegated);
}
