//! Kubernetes `audit.k8s.io/v1` events.

use crate::calendar::Fraction;
use crate::catalog::Kind;
use crate::event::{Event, Identity, Phase, Who};
use crate::organisation::ServiceKind;
use crate::put::{Hex, LOWER, Letters, Uuid, put};
use crate::rng::Rng;
use crate::scene::Scene;

/// Verb, resource, subresource of a catalogue name such as `create pods/exec`.
fn parts(name: &str) -> (&str, &str, &str) {
    let (verb, rest) = name.split_once(' ').unwrap_or((name, ""));
    let (resource, subresource) = rest.split_once('/').unwrap_or((rest, ""));
    (verb, resource, subresource)
}

fn cluster_wide(resource: &str) -> bool {
    matches!(resource, "nodes" | "namespaces" | "clusterrolebindings")
}

fn object_name(scene: Scene<'_>, event: &Event, resource: &str, out: &mut Vec<u8>) {
    match resource {
        "deployments" | "services" | "horizontalpodautoscalers" | "ingresses" | "applications" => {
            put!(out; scene.app(event).name);
        }
        "namespaces" => put!(out; scene.team(event).name),
        "pods" | "replicasets" => {
            let set = scene.organisation.stable("replicaset", u64::from(event.app));
            put!(out; scene.app(event).name, "-", Hex(u128::from(set), 10));
            if resource == "pods" {
                put!(out; "-", Letters(event.seed, 5, LOWER));
            }
        }
        "daemonsets" => put!(out; "log-forwarder"),
        _ => scene.target(event, out),
    }
}

fn user(scene: Scene<'_>, event: &Event, out: &mut Vec<u8>) {
    let uid = scene.actor_seed(event.who);
    let uid = Uuid(u128::from(uid) << 64 | u128::from(uid ^ 0x55));
    match event.who {
        Who::Person(at) => {
            let team = scene.organisation.people[at as usize].team;
            put!(out; r#"{"username":""#, scene.actor(event.who), r#"","uid":""#, uid, r#"","groups":["team:"#);
            put!(out; scene.organisation.teams[team as usize].name, r#"","system:authenticated"],"extra":{"authentication.kubernetes.io/credential-id":["#);
            put!(out; r#""X509SHA256="#, Hex(u128::from(event.since_ms as u64), 16), r#""]}}"#);
        }
        Who::Service(at) => {
            let service = &scene.organisation.services[at as usize];
            let namespace = match (service.kind, event.identity) {
                (ServiceKind::Controller, _) => "kube-system",
                (ServiceKind::Pipeline, _) | (_, Identity::Pipeline) => "cd",
                _ => scene.organisation.teams[service.team as usize].name,
            };
            put!(out; r#"{"username":"system:serviceaccount:"#, namespace, ":", service.name.as_str(), r#"","uid":""#, uid);
            put!(out; r#"","groups":["system:serviceaccounts","system:serviceaccounts:"#, namespace, r#"","system:authenticated"]}"#);
        }
    }
}

/// One event.
pub(super) fn audit(scene: Scene<'_>, event: &Event, rng: &mut Rng, out: &mut Vec<u8>) {
    let call = scene.call(event);
    let (verb, resource, subresource) = parts(call.name);
    let (group, version) = call.service.split_once('/').unwrap_or(("core", call.service));
    let core = group == "core";
    let namespace = if resource == "applications" {
        "argocd"
    } else {
        scene.team(event).name
    };
    let named = !matches!(verb, "list" | "deletecollection");
    let received = event.phase == Phase::First;
    let bodies = call.kind == Kind::Write && !received;
    put!(out; r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":""#);
    put!(out; if call.kind == Kind::Write { "RequestResponse" } else { "Metadata" }, r#"","auditID":""#);
    scene.native_id(event, out);
    put!(out; r#"","stage":""#, if received { "RequestReceived" } else { "ResponseComplete" }, r#"","requestURI":""#);
    put!(out; if core { "/api/" } else { "/apis/" });
    if !core {
        put!(out; group, "/");
    }
    put!(out; version, "/");
    if !cluster_wide(resource) {
        put!(out; "namespaces/", namespace, "/");
    }
    put!(out; resource);
    if named && verb != "create" || !subresource.is_empty() {
        put!(out; "/");
        object_name(scene, event, resource, out);
    }
    if !subresource.is_empty() {
        put!(out; "/", subresource);
    }
    if subresource == "exec" {
        put!(out; "?command=sh&container=", scene.app(event).name, "&stdin=true&stdout=true&tty=true");
    } else if verb == "list" {
        put!(out; "?limit=500");
    }
    put!(out; r#"","verb":""#, verb, r#"","user":"#);
    user(scene, event, out);
    put!(out; r#","sourceIPs":[""#, event.ip, r#""],"userAgent":""#, scene.agent(event), r#"","objectRef":{"resource":""#);
    put!(out; resource, "\"");
    if !cluster_wide(resource) {
        put!(out; r#","namespace":""#, namespace, "\"");
    }
    if named {
        put!(out; r#","name":""#);
        object_name(scene, event, resource, out);
        put!(out; "\"");
    }
    if !core {
        put!(out; r#","apiGroup":""#, group, "\"");
    }
    put!(out; r#","apiVersion":""#, version, "\"");
    if !subresource.is_empty() {
        put!(out; r#","subresource":""#, subresource, "\"");
    }
    put!(out; "}");
    if !received {
        if event.denied {
            put!(out; r#","responseStatus":{"metadata":{},"status":"Failure","message":""#, resource, " is forbidden: User ");
            put!(out; r#"\""#, scene.actor(event.who), r#"\" cannot "#, verb, " resource");
            put!(out; r#"","reason":"Forbidden","code":403}"#);
        } else {
            let code = if subresource == "exec" {
                101
            } else if verb == "create" {
                201u64
            } else {
                200
            };
            put!(out; r#","responseStatus":{"metadata":{},"code":"#, code, "}");
        }
    }
    if bodies && !call.request.is_empty() {
        put!(out; r#","requestObject":"#);
        scene.fill(&call.request, event, rng, out);
    }
    if bodies && !event.denied && !call.response.is_empty() {
        put!(out; r#","responseObject":"#);
        scene.fill(&call.response, event, rng, out);
    }
    let micros = event.seed % 1000;
    put!(out; r#","requestReceivedTimestamp":""#, Fraction(event.time_ms - 9, micros, 3), r#"","stageTimestamp":""#);
    put!(out; Fraction(if received { event.time_ms - 9 } else { event.time_ms }, micros, 3), "\"");
    if !received {
        let decision = if event.denied { "forbid" } else { "allow" };
        put!(out; r#","annotations":{"authorization.k8s.io/decision":""#, decision, r#"","authorization.k8s.io/reason":""#);
        if !event.denied {
            put!(out; r#"RBAC: allowed by RoleBinding \""#, scene.team(event).name, r#"-edit\""#);
        }
        put!(out; r#""}"#);
    }
    put!(out; "}");
}
