//! Azure Activity Log and Entra records, as a diagnostic setting exports them.

use crate::calendar::{Fraction, SECOND, Seconds};
use crate::catalog::Kind;
use crate::event::{Event, Phase, Who};
use crate::put::{Letters, MIXED, Uuid, put};
use crate::rng::{Rng, mix};
use crate::scene::Scene;
use crate::template::Wrap;

fn guid(seed: u64) -> Uuid {
    Uuid(u128::from(mix(seed)) << 64 | u128::from(mix(seed ^ 9)))
}

fn resource_id(scene: Scene<'_>, event: &Event, rng: &mut Rng, out: &mut Vec<u8>) {
    let call = scene.call(event);
    put!(out; "/subscriptions/", scene.place(event).id.as_str(), "/resourceGroups/rg-", scene.app(event).name);
    if !call.resources.is_empty() {
        put!(out; "/providers/", call.service, "/");
        scene.fill(&call.resources, event, rng, out);
    }
}

fn claims(scene: Scene<'_>, event: &Event, out: &mut Vec<u8>) {
    let seed = scene.actor_seed(event.who);
    let tenant = guid(scene.organisation.stable("tenant", 0));
    put!(out; r#"{"aud":"https://management.core.windows.net/","iss":"https://sts.windows.net/"#, tenant);
    put!(out; r#"/","iat":""#, (event.since_ms / SECOND) as u64, r#"","nbf":""#, (event.since_ms / SECOND) as u64);
    put!(out; r#"","exp":""#, (event.since_ms / SECOND + 5400) as u64, r#"","ver":"1.0","uti":""#);
    put!(out; Letters(event.seed, 22, MIXED), r#"","ipaddr":""#, event.ip, r#"","appid":""#, guid(seed ^ 77));
    put!(out; r#"","http://schemas.microsoft.com/identity/claims/objectidentifier":""#, guid(seed));
    put!(out; r#"","http://schemas.microsoft.com/identity/claims/tenantid":""#, tenant, r#"","idtyp":""#);
    match event.who {
        Who::Person(_) => {
            let email = scene.actor(event.who);
            put!(out; r#"user","name":""#, scene.actor_name(event.who));
            put!(out; r#"","http://schemas.microsoft.com/claims/authnmethodsreferences":""#);
            put!(out; if event.mfa { "pwd,mfa" } else { "pwd" });
            put!(out; r#"","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name":""#, email);
            put!(out; r#"","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn":""#, email);
            put!(out; r#"","groups":""#, guid(1), ",", guid(2), r#"","puid":"1003"#, Letters(seed, 12, MIXED), "\"}");
        }
        Who::Service(_) => put!(out; r#"app","appidacr":"2"}"#),
    }
}

/// One record of the activity log.
pub(super) fn activity(scene: Scene<'_>, event: &Event, rng: &mut Rng, out: &mut Vec<u8>) {
    let call = scene.call(event);
    let time = Fraction(event.time_ms, event.seed % 10_000, 4);
    let shouting = event.seed & 1 == 0;
    put!(out; r#"{"RoleLocation":"West Europe","Stamp":"FDWeb","ReleaseVersion":"6.2026.44.1+release_2026w44","time":""#, time);
    put!(out; r#"","resourceId":""#);
    let from = out.len();
    resource_id(scene, event, rng, out);
    if shouting {
        out[from..].make_ascii_uppercase();
    }
    put!(out; r#"","operationName":""#);
    let from = out.len();
    put!(out; call.service, "/", call.name);
    if shouting {
        out[from..].make_ascii_uppercase();
    }
    let category = if event.phase == Phase::Only && shouting {
        "Write"
    } else {
        "Administrative"
    };
    put!(out; r#"","category":""#, category, r#"","resultType":""#);
    match event.phase {
        _ if event.denied => put!(out; r#"Failure","resultSignature":"Failed.Forbidden"#),
        Phase::First => put!(out; r#"Start","resultSignature":"Started."#),
        _ => put!(out; r#"Success","resultSignature":"Succeeded.OK"#),
    }
    put!(out; r#"","durationMs":""#, rng.below(3000), r#"","callerIpAddress":""#, event.ip, r#"","correlationId":""#);
    scene.native_id(event, out);
    put!(out; r#"","identity":{"authorization":{"scope":""#);
    resource_id(scene, event, rng, out);
    put!(out; r#"","action":""#, call.service, "/", call.name, r#"","evidence":{"role":"Contributor","roleAssignmentScope":"/subscriptions/"#);
    let seed = scene.actor_seed(event.who);
    let principal = if matches!(event.who, Who::Person(_)) {
        "User"
    } else {
        "ServicePrincipal"
    };
    put!(out; scene.place(event).id.as_str(), r#"","principalId":""#, guid(seed), r#"","principalType":""#, principal);
    put!(out; r#""}},"claims":"#);
    claims(scene, event, out);
    put!(out; r#"},"level":"Informational","location":"global","properties":{"statusCode":"OK","serviceRequestId":""#);
    put!(out; guid(rng.next()), r#"","eventDataId":""#, guid(event.seed), r#"","operationId":""#, guid(event.link ^ 4), "\"");
    if !call.request.is_empty() && event.phase != Phase::Last {
        nested(scene, event, rng, out, r#","requestbody":""#, &call.request);
    }
    if !call.response.is_empty() && event.phase != Phase::First {
        nested(scene, event, rng, out, r#","responseBody":""#, &call.response);
    }
    put!(out; r#"},"tenantId":""#, guid(scene.organisation.stable("tenant", 0)), "\"}");
}

fn nested(
    scene: Scene<'_>,
    event: &Event,
    rng: &mut Rng,
    out: &mut Vec<u8>,
    key: &str,
    body: &crate::template::Template,
) {
    put!(out; key);
    let from = out.len();
    scene.fill(body, event, rng, out);
    Wrap::Text.tail(out, from);
    put!(out; "\"");
}

/// One record of Entra's audit or sign-in log.
pub(super) fn entra(scene: Scene<'_>, event: &Event, rng: &mut Rng, out: &mut Vec<u8>) {
    let call = scene.call(event);
    let tenant = guid(scene.organisation.stable("tenant", 0));
    let time = Fraction(event.time_ms, event.seed % 10_000, 4);
    let sign_in = call.kind == Kind::SignIn;
    put!(out; r#"{"time":""#, time, r#"","resourceId":"/tenants/"#, tenant);
    put!(out; r#"/providers/Microsoft.aadiam","operationName":""#, call.name, r#"","operationVersion":"1.0","category":""#);
    put!(out; if sign_in { "SignInLogs" } else { "AuditLogs" }, r#"","tenantId":""#, tenant);
    put!(out; r#"","resultSignature":"None","durationMs":0,"callerIpAddress":""#, event.ip, r#"","correlationId":""#);
    put!(out; guid(event.link), r#"","identity":""#, scene.actor_name(event.who), r#"","Level":4,"properties":{"id":""#);
    scene.native_id(event, out);
    if sign_in {
        put!(out; r#"","createdDateTime":""#, Seconds(event.time_ms), r#"","userId":""#, guid(scene.actor_seed(event.who)));
        put!(out; r#"","userPrincipalName":""#, scene.actor(event.who), r#"","userDisplayName":""#, scene.actor_name(event.who));
        put!(out; r#"","appDisplayName":"Azure Portal","ipAddress":""#, event.ip, r#"","userAgent":""#, scene.agent(event));
        put!(out; r#"","status":{"errorCode":0},"authenticationRequirement":""#);
        put!(out; if event.mfa { "multiFactorAuthentication" } else { "singleFactorAuthentication" });
        let geo = crate::organisation::geo(event.ip);
        put!(out; r#"","location":{"city":""#, geo.city, r#"","countryOrRegion":""#, geo.code, r#""},"isInteractive":true}}"#);
        return;
    }
    put!(out; r#"","category":""#, call.service, r#"","correlationId":""#, guid(event.link));
    put!(out; r#"","result":"success","resultReason":"","activityDisplayName":""#, call.name);
    put!(out; r#"","activityDateTime":""#, time, r#"","loggedByService":"Core Directory","operationType":"Update","initiatedBy":{"#);
    match event.who {
        Who::Person(_) => {
            put!(out; r#""user":{"id":""#, guid(scene.actor_seed(event.who)), r#"","displayName":null,"userPrincipalName":""#);
            put!(out; scene.actor(event.who), r#"","ipAddress":""#, event.ip, r#"","roles":[]}"#);
        }
        Who::Service(_) => {
            put!(out; r#""app":{"appId":null,"displayName":""#, scene.actor(event.who), r#"","servicePrincipalId":""#);
            put!(out; guid(scene.actor_seed(event.who)), "\"}");
        }
    }
    put!(out; r#"},"targetResources":"#);
    scene.fill(&call.request, event, rng, out);
    put!(out; r#","additionalDetails":[{"key":"User-Agent","value":""#, scene.agent(event), r#""}]}}"#);
}
