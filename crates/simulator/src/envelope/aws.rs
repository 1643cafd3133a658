//! CloudTrail records and EventBridge envelopes.

use crate::calendar::{MINUTE, Seconds};
use crate::catalog::Kind;
use crate::event::{Event, Identity, Who};
use crate::put::{Hex, Letters, MIXED, UPPER, Uuid, escape, put};
use crate::rng::Rng;
use crate::scene::Scene;
use crate::template::Template;

fn or_null(scene: Scene<'_>, template: &Template, event: &Event, rng: &mut Rng, out: &mut Vec<u8>) {
    if template.is_empty() {
        put!(out; "null")
    } else {
        scene.fill(template, event, rng, out)
    }
}

/// The name of the role and of the session that an event is made with.
struct Session<'a> {
    prefix: &'static str,
    role: &'a str,
}

fn session<'a>(scene: Scene<'a>, event: &Event) -> Session<'a> {
    match event.identity {
        Identity::Sso => {
            let team = match event.who {
                Who::Person(at) => scene.organisation.people[at as usize].team,
                Who::Service(at) => scene.organisation.services[at as usize].team,
            };
            let role = scene.organisation.teams[team as usize].name;
            Session {
                prefix: "AWSReservedSSO_",
                role,
            }
        }
        _ => Session {
            prefix: "",
            role: scene.actor(event.who),
        },
    }
}

fn session_name(scene: Scene<'_>, event: &Event, out: &mut Vec<u8>) {
    match event.identity {
        Identity::Sso => put!(out; scene.actor(event.who)),
        Identity::Pipeline => {
            put!(out; scene.app(event).name, "-", scene.run(event));
            let ticket = scene.work(event).ticket.as_str();
            if !ticket.is_empty() {
                put!(out; "-", ticket);
            }
        }
        Identity::ServiceLinked => put!(out; "AWSConfig-Describe"),
        _ => put!(out; "i-0", Hex(u128::from(scene.actor_seed(event.who)), 16)),
    }
}

fn arn(scene: Scene<'_>, event: &Event, out: &mut Vec<u8>) {
    let account = scene.place(event).id.as_str();
    match event.identity {
        Identity::AccessKey => put!(out; "arn:aws:iam::", account, ":user/svc-", scene.app(event).name),
        Identity::BreakGlass => put!(out; "arn:aws:iam::", account, ":user/", scene.actor(event.who)),
        _ => {
            let Session { prefix, role } = session(scene, event);
            put!(out; "arn:aws:sts::", account, ":assumed-role/", prefix, role, "/");
            session_name(scene, event, out);
        }
    }
}

fn identity(scene: Scene<'_>, event: &Event, out: &mut Vec<u8>) {
    let account = scene.place(event).id.as_str();
    let seed = scene.actor_seed(event.who);
    let call = scene.call(event);
    if call.name == "AssumeRoleWithSAML" {
        let email = scene.actor(event.who);
        put!(out; r#"{"type":"SAMLUser","principalId":""#, Letters(seed, 27, MIXED), ":", email);
        put!(out; r#"","userName":""#, email, r#"","identityProvider":""#, Letters(7, 27, MIXED), r#"="}"#);
        return;
    }
    if call.name == "AssumeRoleWithWebIdentity" {
        put!(out; r#"{"type":"WebIdentityUser","principalId":"arn:aws:iam::"#, account);
        put!(out; ":oidc-provider/token.actions.githubusercontent.com:sts.amazonaws.com:repo:");
        put!(out; crate::organisation::ORG, "/", scene.app(event).name);
        put!(out; r#":environment","userName":"repo:"#, crate::organisation::ORG, "/", scene.app(event).name);
        put!(out; r#"","identityProvider":"arn:aws:iam::"#, account);
        put!(out; r#":oidc-provider/token.actions.githubusercontent.com"}"#);
        return;
    }
    if matches!(event.identity, Identity::AccessKey | Identity::BreakGlass) {
        let break_glass = event.identity == Identity::BreakGlass;
        // The key belongs to the application, whoever uses it.
        let owner = if break_glass {
            seed
        } else {
            scene.organisation.stable("key", u64::from(event.app))
        };
        put!(out; r#"{"type":"IAMUser","principalId":"AIDA"#, Letters(owner, 17, UPPER), r#"","arn":""#);
        arn(scene, event, out);
        put!(out; r#"","accountId":""#, account, r#"","accessKeyId":""#);
        put!(out; if break_glass { "ASIA" } else { "AKIA" }, Letters(owner ^ 5, 16, UPPER), r#"","userName":""#);
        if break_glass {
            put!(out; scene.actor(event.who), r#"","sessionContext":{"attributes":{"creationDate":""#);
            put!(out; Seconds(event.since_ms), r#"","mfaAuthenticated":""#, if event.mfa { "true" } else { "false" });
            put!(out; r#""}}}"#);
        } else {
            put!(out; "svc-", scene.app(event).name, r#""}"#);
        }
        return;
    }
    let Session { prefix, role } = session(scene, event);
    let issuer = Letters(scene.organisation.stable(role, u64::from(event.place)), 17, UPPER);
    put!(out; r#"{"type":"AssumedRole","principalId":"AROA"#, issuer, ":");
    session_name(scene, event, out);
    put!(out; r#"","arn":""#);
    arn(scene, event, out);
    put!(out; r#"","accountId":""#, account, r#"","accessKeyId":"ASIA"#, Letters(seed ^ event.since_ms as u64, 16, UPPER));
    put!(out; r#"","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROA"#, issuer);
    put!(out; r#"","arn":"arn:aws:iam::"#, account, ":role/");
    match event.identity {
        Identity::Sso => put!(out; "aws-reserved/sso.amazonaws.com/"),
        Identity::ServiceLinked => put!(out; "aws-service-role/config.amazonaws.com/"),
        _ => {}
    }
    put!(out; prefix, role, r#"","accountId":""#, account, r#"","userName":""#, prefix, role);
    put!(out; r#""},"webIdFederationData":{"#);
    if event.identity == Identity::Pipeline {
        put!(out; r#""federatedProvider":"arn:aws:iam::"#, account);
        put!(out; r#":oidc-provider/token.actions.githubusercontent.com","attributes":{}"#);
    }
    put!(out; r#"},"attributes":{"creationDate":""#, Seconds(event.since_ms), r#"","mfaAuthenticated":""#);
    put!(out; if event.mfa { "true" } else { "false" }, "\"");
    if event.identity == Identity::Workload {
        put!(out; r#","ec2RoleDelivery":"2.0""#);
    }
    put!(out; "}}");
    match event.identity {
        Identity::ServiceLinked => put!(out; r#","invokedBy":"config.amazonaws.com""#),
        Identity::Workload => {
            put!(out; r#","inScopeOf":{"issuerType":"AWS::EC2::Instance","credentialsIssuedTo":"arn:aws:ec2:"#);
            put!(out; scene.place(event).region, ":", account, ":instance/i-0", Hex(u128::from(seed), 16), "\"}");
        }
        _ => {}
    }
    put!(out; "}");
}

/// One record, as it stands in a delivered file.
pub(super) fn cloudtrail(scene: Scene<'_>, event: &Event, rng: &mut Rng, out: &mut Vec<u8>) {
    let call = scene.call(event);
    let place = scene.place(event);
    let internal = event.identity == Identity::ServiceLinked;
    put!(out; r#"{"eventVersion":"1.11","userIdentity":"#);
    identity(scene, event, out);
    put!(out; r#","eventTime":""#, Seconds(event.time_ms), r#"","eventSource":""#, call.service);
    put!(out; r#".amazonaws.com","eventName":""#, call.name, r#"","awsRegion":""#, place.region);
    put!(out; r#"","sourceIPAddress":""#);
    if internal {
        put!(out; r#"config.amazonaws.com","userAgent":"config.amazonaws.com""#);
    } else {
        put!(out; event.ip, r#"","userAgent":""#, scene.agent(event), "\"");
    }
    if event.denied {
        put!(out; r#","errorCode":"AccessDenied","errorMessage":"User: "#);
        arn(scene, event, out);
        put!(out; " is not authorized to perform: ", call.service, ":", call.name);
        put!(out; r#" because no identity-based policy allows the action""#);
    }
    put!(out; r#","requestParameters":"#);
    or_null(scene, &call.request, event, rng, out);
    put!(out; r#","responseElements":"#);
    if event.denied {
        put!(out; "null")
    } else {
        or_null(scene, &call.response, event, rng, out)
    }
    match call.service {
        "signin" => put!(
            out;
            r#","additionalEventData":{"LoginTo":"https://console.aws.amazon.com/console/home","MobileVersion":"No","MFAUsed":""#,
            if event.mfa { "Yes" } else { "No" }, r#""}"#,
        ),
        "s3" => put!(
            out;
            r#","additionalEventData":{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":"#,
            rng.below(2000), r#","AuthenticationMethod":"AuthHeader","x-amz-id-2":""#, Letters(rng.next(), 75, MIXED),
            r#"=","bytesTransferredOut":"#, rng.below(3000), "}",
        ),
        _ => {}
    }
    put!(out; r#","requestID":""#, Uuid(u128::from(rng.next()) << 60 ^ u128::from(event.link)), r#"","eventID":""#);
    scene.native_id(event, out);
    let read_only = call.kind != Kind::Write;
    put!(out; r#"","readOnly":"#, if read_only { "true" } else { "false" });
    if !call.resources.is_empty() {
        put!(out; r#","resources":"#);
        scene.fill(&call.resources, event, rng, out);
    }
    let kind = if call.service == "signin" {
        "AwsConsoleSignIn"
    } else {
        "AwsApiCall"
    };
    put!(out; r#","eventType":""#, kind, r#"","managementEvent":true,"recipientAccountId":""#, place.id.as_str(), "\"");
    if matches!(event.identity, Identity::Workload | Identity::ServiceLinked) && rng.chance(0.4) {
        put!(out; r#","vpcEndpointId":"vpce-0"#, Hex(u128::from(scene.organisation.stable("vpce", event.place.into())), 16));
        put!(out; r#"","vpcEndpointAccountId":""#, place.id.as_str(), "\"");
    }
    put!(out; r#","eventCategory":"Management""#);
    if !internal {
        put!(out; r#","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":""#);
        put!(out; call.service, ".", place.region, r#".amazonaws.com","keyExchange":"x25519"}"#);
    }
    if event.agent == crate::event::Agent::Browser && event.identity == Identity::Sso {
        put!(out; r#","sessionCredentialFromConsole":"true""#);
    }
    put!(out; "}");
}

/// A CloudTrail record as EventBridge delivers it.
pub(crate) fn as_eventbridge(scene: Scene<'_>, event: &Event, record: &[u8], out: &mut Vec<u8>) {
    let call = scene.call(event);
    let place = scene.place(event);
    let kind = if call.service == "signin" {
        "Console Sign In"
    } else {
        "API Call"
    };
    put!(out; r#"{"version":"0","id":""#, Uuid(u128::from(event.seed) << 64 | u128::from(event.seed ^ 0xeb)));
    put!(out; r#"","detail-type":"AWS "#, kind, r#" via CloudTrail","source":"aws."#, call.service);
    put!(out; r#"","account":""#, place.id.as_str(), r#"","time":""#, Seconds(event.time_ms));
    put!(out; r#"","region":""#, place.region, r#"","resources":[],"detail":"#);
    out.extend_from_slice(record);
    put!(out; "}");
}

/// A CloudTrail record as LookupEvents answers it.
pub(crate) fn as_lookup(scene: Scene<'_>, event: &Event, record: &[u8], out: &mut Vec<u8>) {
    let call = scene.call(event);
    put!(out; r#"{"EventId":""#);
    scene.native_id(event, out);
    put!(out; r#"","EventName":""#, call.name, r#"","ReadOnly":""#);
    put!(out; if call.kind == Kind::Write { "false" } else { "true" }, r#"","EventTime":""#);
    put!(out; crate::calendar::Spaced(event.time_ms), r#"+00:00","EventSource":""#, call.service);
    put!(out; r#".amazonaws.com","Username":""#, scene.actor(event.who), r#"","Resources":[],"CloudTrailEvent":""#);
    escape(record, out);
    put!(out; "\"}");
}

/// A CloudTrail record as one log event of a CloudWatch Logs message.
pub(crate) fn as_log_event(event: &Event, record: &[u8], out: &mut Vec<u8>) {
    put!(out; r#"{"id":"3"#, event.seed % 1_000_000_000, event.link % 1_000_000_000, r#"0000000000","timestamp":"#);
    put!(out; (event.time_ms + 3 * MINUTE) as u64, r#","message":""#);
    escape(record, out);
    put!(out; "\"}");
}

/// An event of another AWS service on the bus.
pub(super) fn eventbridge(scene: Scene<'_>, event: &Event, rng: &mut Rng, out: &mut Vec<u8>) {
    let call = scene.call(event);
    let place = scene.place(event);
    put!(out; r#"{"version":"0","id":""#);
    scene.native_id(event, out);
    put!(out; r#"","detail-type":""#, call.name, r#"","source":""#, call.service);
    put!(out; r#"","account":""#, place.id.as_str(), r#"","time":""#, Seconds(event.time_ms));
    put!(out; r#"","region":""#, place.region, r#"","resources":"#);
    scene.fill(&call.resources, event, rng, out);
    put!(out; r#","detail":"#);
    scene.fill(&call.request, event, rng, out);
    put!(out; "}");
}
