//! GCP `LogEntry` with an `AuditLog`.

use crate::calendar::Fraction;
use crate::catalog::Kind;
use crate::event::{Event, Identity, Phase, Who};
use crate::put::{Hex, LOWER, Letters, put};
use crate::rng::Rng;
use crate::scene::Scene;

fn principal(scene: Scene<'_>, event: &Event, out: &mut Vec<u8>) {
    match (event.who, event.identity) {
        (_, Identity::AccessKey) => {
            put!(out; scene.app(event).name, "@", scene.place(event).id.as_str(), ".iam.gserviceaccount.com");
        }
        (Who::Person(_), _) => put!(out; scene.actor(event.who)),
        (Who::Service(_), _) => {
            put!(out; scene.actor(event.who), "@", scene.place(event).id.as_str(), ".iam.gserviceaccount.com");
        }
    }
}

fn resource_type(service: &str) -> &'static str {
    match service {
        "compute.googleapis.com" => "gce_instance",
        "storage.googleapis.com" => "gcs_bucket",
        "iam.googleapis.com" => "service_account",
        "bigquery.googleapis.com" => "bigquery_resource",
        "container.googleapis.com" => "gke_cluster",
        "run.googleapis.com" => "cloud_run_revision",
        "cloudresourcemanager.googleapis.com" => "project",
        _ => "audited_resource",
    }
}

fn name(scene: Scene<'_>, event: &Event, rng: &mut Rng, out: &mut Vec<u8>) {
    let call = scene.call(event);
    put!(out; "projects/");
    put!(out; if call.service == "storage.googleapis.com" { "_" } else { scene.place(event).id.as_str() });
    if !call.resources.is_empty() {
        put!(out; "/");
        scene.fill(&call.resources, event, rng, out);
    }
}

/// One entry.
pub(super) fn audit(scene: Scene<'_>, event: &Event, rng: &mut Rng, out: &mut Vec<u8>) {
    let call = scene.call(event);
    let project = scene.place(event).id.as_str();
    let part = if let Phase::Part(index) = event.phase {
        Some(index)
    } else {
        None
    };
    put!(out; r#"{"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","#);
    put!(out; if event.denied { r#""status":{"code":7,"message":"PERMISSION_DENIED"},"# } else { r#""status":{},"# });
    put!(out; r#""authenticationInfo":{"principalEmail":""#);
    principal(scene, event, out);
    match (event.identity, event.who) {
        (Identity::AccessKey, _) => {
            put!(out; r#"","serviceAccountKeyName":"//iam.googleapis.com/projects/"#, project, "/serviceAccounts/");
            principal(scene, event, out);
            put!(out; "/keys/", Hex(u128::from(scene.organisation.stable("key", u64::from(event.app))), 16), "\"}");
        }
        (Identity::Pipeline, _) => {
            put!(out; r#"","principalSubject":"principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/attribute.run/"#);
            put!(out; scene.run(event), r#"","serviceAccountDelegationInfo":[{"principalSubject":"repo:"#);
            put!(out; crate::organisation::ORG, "/", scene.app(event).name, r#""}]}"#);
        }
        (_, Who::Service(_)) => put!(out; "\"}"),
        (_, Who::Person(_)) => put!(out; r#"","principalSubject":"user:"#, scene.actor(event.who), "\"}"),
    }
    put!(out; r#","requestMetadata":{"callerIp":""#, event.ip, r#"","callerSuppliedUserAgent":""#, scene.agent(event));
    put!(out; r#",gzip(gfe)","requestAttributes":{"time":""#, Fraction(event.time_ms, event.seed % 1_000_000, 6));
    put!(out; r#"","auth":{}},"destinationAttributes":{}},"serviceName":""#, call.service, r#"","methodName":""#, call.name);
    put!(out; "\",");
    if part != Some(1) {
        put!(out; r#""authorizationInfo":[{"permission":""#, call.service.split('.').next().unwrap_or_default());
        put!(out; ".resources.use", r#"","granted":"#, if event.denied { "false" } else { "true" }, r#","resource":""#);
        name(scene, event, rng, out);
        put!(out; r#"","resourceAttributes":{}}],"#);
    }
    put!(out; r#""resourceName":""#);
    name(scene, event, rng, out);
    put!(out; r#"","resourceLocation":{"currentLocations":[""#, scene.place(event).region, r#""]}"#);
    // No part of a split entry holds all fields.
    if !call.request.is_empty() && event.phase != Phase::Last && part != Some(1) {
        put!(out; r#","request":"#);
        scene.fill(&call.request, event, rng, out);
    }
    if !call.response.is_empty() && !event.denied && event.phase != Phase::Last && part != Some(0) {
        put!(out; r#","response":"#);
        scene.fill(&call.response, event, rng, out);
    }
    put!(out; r#"},"insertId":""#);
    scene.native_id(event, out);
    put!(out; r#"","resource":{"type":""#, resource_type(call.service), r#"","labels":{"project_id":""#, project);
    put!(out; r#"","location":""#, scene.place(event).region, r#""}},"timestamp":""#);
    put!(out; Fraction(event.time_ms, event.seed % 1_000_000, 6), r#"","severity":""#);
    put!(out; if event.denied { "ERROR" } else if call.kind == Kind::Write { "NOTICE" } else { "INFO" });
    put!(out; r#"","logName":"projects/"#, project, "/logs/cloudaudit.googleapis.com%2F");
    put!(out; if call.kind == Kind::Write { "activity" } else { "data_access" }, "\"");
    match event.phase {
        Phase::First | Phase::Last => {
            put!(out; r#","operation":{"id":"operation-"#, Hex(u128::from(event.link), 16), r#"","producer":""#, call.service);
            put!(out; if event.phase == Phase::First { r#"","first":true}"# } else { r#"","last":true}"# });
        }
        Phase::Part(index) => {
            put!(out; r#","split":{"uid":""#, Letters(event.link, 20, LOWER), r#"","index":"#, u64::from(index));
            put!(out; r#","totalSplits":2}"#);
        }
        Phase::Only => {}
    }
    put!(out; r#","receiveTimestamp":""#, Fraction(event.time_ms + 700, event.seed % 1_000_000, 6), "\"}");
}
