//! Okta log events and CDEvents.

use crate::calendar::{Fraction, Millis};
use crate::event::{Agent, Event, Who};
use crate::organisation::geo;
use crate::put::{Letters, MIXED, Uuid, put};
use crate::rng::Rng;
use crate::scene::Scene;

/// One event of Okta's system log.
pub(super) fn okta(scene: Scene<'_>, event: &Event, rng: &mut Rng, out: &mut Vec<u8>) {
    let call = scene.call(event);
    let seed = scene.actor_seed(event.who);
    let geo = geo(event.ip);
    let place = |out: &mut Vec<u8>| {
        put!(out; r#"{"city":""#, geo.city, r#"","state":null,"country":""#, geo.country, r#"","postalCode":null,"geolocation":{"lat":0.0,"lon":0.0}}"#);
    };
    let actor_type = if matches!(event.who, Who::Person(_)) {
        "User"
    } else {
        "PublicClientApp"
    };
    put!(out; r#"{"actor":{"id":"00u"#, Letters(seed, 17, MIXED), r#"","type":""#, actor_type, r#"","alternateId":""#);
    put!(out; scene.actor(event.who), r#"","displayName":""#, scene.actor_name(event.who), r#"","detailEntry":null},"client":{"userAgent":{"rawUserAgent":""#);
    put!(out; scene.agent(event), r#"","os":"Unknown","browser":""#, if event.agent == Agent::Browser { "CHROME" } else { "UNKNOWN" });
    put!(out; r#""},"zone":"null","device":"Computer","id":null,"ipAddress":""#, event.ip, r#"","geographicalContext":"#);
    place(out);
    put!(out; r#"},"device":null,"authenticationContext":{"authenticationProvider":null,"credentialProvider":null,"credentialType":null,"issuer":null,"interface":null,"authenticationStep":0,"rootSessionId":"idx"#);
    put!(out; Letters(seed ^ event.since_ms as u64, 20, MIXED), r#"","externalSessionId":"idx"#, Letters(seed ^ event.since_ms as u64, 20, MIXED));
    put!(out; r#""},"displayMessage":""#, call.name, r#"","eventType":""#, call.service, r#"","outcome":{"result":""#);
    put!(out; if event.denied { r#"FAILURE","reason":"INVALID_CREDENTIALS"}"# } else { r#"SUCCESS","reason":null}"# });
    put!(out; r#","published":""#, Millis(event.time_ms), r#"","securityContext":{"asNumber":"#, geo.as_number, r#","asOrg":""#);
    put!(out; geo.as_org, r#"","isp":""#, geo.as_org, r#"","domain":"example.net","isProxy":false},"severity":"INFO","debugContext":{"debugData":"#);
    if call.response.is_empty() {
        put!(out; "{}")
    } else {
        scene.fill(&call.response, event, rng, out)
    }
    put!(out; r#"},"legacyEventType":"core.event","transaction":{"type":"WEB","id":""#, Letters(event.link, 27, MIXED), r#"","detail":{}},"uuid":""#);
    scene.native_id(event, out);
    put!(out; r#"","version":"0","request":{"ipChain":[{"ip":""#, event.ip, r#"","geographicalContext":"#);
    place(out);
    put!(out; r#","version":"V4","source":null}]},"target":"#);
    if call.resources.is_empty() {
        put!(out; "[]")
    } else {
        scene.fill(&call.resources, event, rng, out)
    }
    put!(out; "}");
}

/// One CDEvent.
pub(super) fn cdevents(scene: Scene<'_>, event: &Event, rng: &mut Rng, out: &mut Vec<u8>) {
    let call = scene.call(event);
    let work = scene.work(event);
    put!(out; r#"{"context":{"specversion":"0.5.0","id":""#);
    scene.native_id(event, out);
    put!(out; r#"","chainId":""#, Uuid(u128::from(work.run.max(1)) << 64 | u128::from(work.commit)));
    put!(out; r#"","source":"/ci/"#, crate::organisation::ORG, "/", scene.app(event).name, r#"","type":""#, call.service, ".", call.name);
    put!(out; r#"","timestamp":""#, Fraction(event.time_ms, event.seed % 1000, 3), r#""},"subject":{"#);
    scene.fill(&call.request, event, rng, out);
    put!(out; r#"},"customData":{"ticket":""#, work.ticket.as_str(), r#"","triggeredBy":""#, scene.actor(event.who));
    put!(out; r#"","run":""#, scene.run(event), r#"","changedBy":""#, scene.actor_login(Who::Person(work.author)), "\"");
    if event.seed.is_multiple_of(5) {
        put!(out; r#","env":{"REGISTRY_PASSWORD":""#, crate::secrets::planted(crate::secrets::SecretKind::Password, rng.next()), "\"}");
    }
    put!(out; r#"},"customDataContentType":"application/json"}"#);
}
