//! Audit entries of GitHub and GitLab.

use crate::calendar::Millis;
use crate::event::Event;
use crate::organisation::{ORG, geo};
use crate::put::put;
use crate::rng::Rng;
use crate::scene::Scene;

/// One entry of GitHub's audit stream.
pub(super) fn github_audit(scene: Scene<'_>, event: &Event, rng: &mut Rng, out: &mut Vec<u8>) {
    let call = scene.call(event);
    let time = event.time_ms as u64;
    put!(out; r#"{"@timestamp":"#, time, r#","_document_id":""#);
    scene.native_id(event, out);
    put!(out; r#"","action":""#, call.service, ".", call.name, r#"","actor":""#, scene.actor_login(event.who));
    put!(out; r#"","actor_id":"#, scene.actor_seed(event.who) % 100_000_000, r#","actor_ip":""#, event.ip);
    put!(out; r#"","actor_location":{"country_code":""#, geo(event.ip).code, r#""},"external_identity_nameid":""#);
    put!(out; scene.actor(event.who), r#"","created_at":"#, time, r#","org":""#, ORG, r#"","org_id":9919,"business":"northwind","business_id":311"#);
    put!(out; r#","repo":""#, ORG, "/", scene.app(event).name, r#"","repository":""#, ORG, "/", scene.app(event).name);
    put!(out; r#"","repository_id":"#, 5_000_000 + u64::from(event.app), r#","user_agent":""#, scene.agent(event));
    put!(out; r#"","request_id":""#);
    crate::put::Put::put(&crate::put::Uuid(u128::from(rng.next()) << 64), out);
    put!(out; "\"");
    if !call.request.is_empty() {
        put!(out; ",");
        scene.fill(&call.request, event, rng, out);
    }
    put!(out; "}");
}

/// One entry of GitLab's audit stream.
pub(super) fn gitlab_audit(scene: Scene<'_>, event: &Event, rng: &mut Rng, out: &mut Vec<u8>) {
    let call = scene.call(event);
    put!(out; r#"{"id":"#);
    scene.native_id(event, out);
    put!(out; r#","author_id":"#, scene.actor_seed(event.who) % 100_000, r#","author_name":""#, scene.actor_name(event.who));
    put!(out; r#"","author_email":""#, scene.actor(event.who), r#"","entity_id":"#, 100 + u64::from(event.app));
    put!(out; r#","entity_type":""#, call.name, r#"","entity_path":""#, ORG, "/", scene.app(event).name, r#"","details":"#);
    scene.fill(&call.request, event, rng, out);
    put!(out; r#","ip_address":""#, event.ip, r#"","target_id":"#, 100 + u64::from(event.app), r#","target_type":""#, call.name);
    put!(out; r#"","target_details":""#, scene.app(event).name, r#"","event_type":""#, call.service);
    put!(out; r#"","created_at":""#, Millis(event.time_ms), "\"}");
}
