//! Made-up records of the usual size: of CloudTrail here, of other sources by the simulator.

use anyhow::Context as _;
use changegate_simulator::{LoadGenerator, Source};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::KAFKA_TIME;

/// So many different events of one source, bare and in the bytes that it sends: the simulator's, in their ordinary mix
/// of reads and changes, taken out of the lists that they travel in. Stages of Kubernetes that everyone skips are left
/// out, since there is nothing to compare.
///
/// # Errors
/// A source that the simulator does not know.
pub fn of_source(name: &str, count: usize) -> anyhow::Result<Vec<Vec<u8>>> {
    let source = Source::ALL.into_iter().find(|source| source.name() == name);
    let source = source.with_context(|| format!("the simulator makes no events of {name:?}"))?;
    let mut load = LoadGenerator::of(1, count, &[source]);
    let (mut events, mut now_ms) = (Vec::with_capacity(count), KAFKA_TIME.millis());
    while events.len() < count {
        now_ms += 20;
        let travels = bare(load.next(now_ms).value);
        events.extend(travels.into_iter().filter(|event| !is_early(event)));
    }
    events.truncate(count);
    Ok(events)
}

/// The events in a record: in Azure's or Kubernetes' list, one a line, or one alone.
pub(crate) fn bare(record: &[u8]) -> Vec<Vec<u8>> {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(borrow, alias = "records")]
        items: Vec<&'a RawValue>,
    }
    match serde_json::from_slice::<List<'_>>(record) {
        Ok(list) => list
            .items
            .iter()
            .map(|item| item.get().as_bytes().to_vec())
            .collect(),
        Err(_) => record.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect(),
    }
}

fn is_early(event: &[u8]) -> bool {
    let stage = br#""stage":"RequestReceived""#;
    event.windows(stage.len()).any(|window| window == stage)
}

/// About 1.7 KB each, every one different. One in fifty holds a secret, of four kinds in turn.
pub fn cloudtrail(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| cloudtrail_one(number as u64).into_bytes())
        .collect()
}

/// The one of this number.
pub fn cloudtrail_one(number: u64) -> String {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (service, operation, request) = match number % 4 {
        _ if number % 50 == 49 => secret(number, mixed),
        0 => (
            "ec2.amazonaws.com",
            "AuthorizeSecurityGroupIngress",
            format!(
                r#"{{"groupId":"sg-{mixed:017x}","ipPermissions":{{"items":[{{"ipProtocol":"tcp","fromPort":443,"toPort":443,"groups":{{}},"ipRanges":{{"items":[{{"cidrIp":"10.{}.0.0/16","description":"from the shop"}}]}},"ipv6Ranges":{{}},"prefixListIds":{{}}}}]}}}}"#,
                number % 200
            ),
        ),
        1 => (
            "s3.amazonaws.com",
            "PutBucketTagging",
            format!(
                r#"{{"tagging":"","bucketName":"shop-{:05}","Tagging":{{"xmlns":"http://s3.amazonaws.com/doc/2006-03-01/","TagSet":{{"Tag":[{{"Key":"team","Value":"shop"}},{{"Key":"ticket","Value":"SHOP-{}"}}]}}}},"Host":"s3.eu-west-1.amazonaws.com"}}"#,
                number % 900,
                number % 5000
            ),
        ),
        2 => (
            "iam.amazonaws.com",
            "AttachRolePolicy",
            format!(
                r#"{{"roleName":"shop-worker-{}","policyArn":"arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}}"#,
                number % 70
            ),
        ),
        _ => (
            "lambda.amazonaws.com",
            "UpdateFunctionConfiguration20150331v2",
            format!(
                r#"{{"functionName":"shop-resize-{}","memorySize":512,"timeout":30,"handler":"main.handler","description":"resizes pictures for SHOP-{}"}}"#,
                number % 40,
                number % 5000
            ),
        ),
    };
    format!(
        r#"{{"eventVersion":"1.09","userIdentity":{{"type":"AssumedRole","principalId":"AROA{mixed:016X}:deploy-{number}","arn":"arn:aws:sts::111122223333:assumed-role/shop-deployer-{role}/deploy-{number}","accountId":"111122223333","accessKeyId":"ASIA{mixed:016X}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROA{mixed:016X}","arn":"arn:aws:iam::111122223333:role/shop-deployer-{role}","accountId":"111122223333","userName":"shop-deployer-{role}"}},"webIdFederationData":{{}},"attributes":{{"creationDate":"2026-03-04T05:00:00Z","mfaAuthenticated":"false"}}}}}},"eventTime":"2026-03-04T05:{minute:02}:{second:02}Z","eventSource":"{service}","eventName":"{operation}","awsRegion":"eu-west-1","sourceIPAddress":"203.0.113.{host}","userAgent":"APN/1.0 HashiCorp/1.0 Terraform/1.9.5 (+https://www.terraform.io) terraform-provider-aws/5.70.0 (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.32.2 os/linux lang/go","requestParameters":{request},"responseElements":{{"requestId":"{mixed:08x}-aaaa-bbbb-cccc-{number:012x}","_return":true}},"requestID":"{mixed:08x}-aaaa-bbbb-cccc-{number:012x}","eventID":"{mixed:08x}-dddd-eeee-ffff-{number:012x}","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{service}"}}}}"#,
        role = number % 60,
        minute = number / 60 % 60,
        second = number % 60,
        host = number % 250,
    )
}

/// By the name of a key, below a key that holds secrets by nature, in JSON inside a text, by shape.
fn secret(number: u64, mixed: u64) -> (&'static str, &'static str, String) {
    match number / 50 % 4 {
        0 => (
            "iam.amazonaws.com",
            "CreateLoginProfile",
            format!(
                r#"{{"userName":"ann-{number}","password":"Pa55-{mixed:x}","passwordResetRequired":true}}"#
            ),
        ),
        1 => (
            "lambda.amazonaws.com",
            "UpdateFunctionConfiguration20150331v2",
            format!(
                r#"{{"functionName":"shop-resize-{number}","environment":{{"variables":{{"DATABASE":"pw-{mixed:x}","LEVEL":3}}}}}}"#
            ),
        ),
        2 => (
            "ec2.amazonaws.com",
            "ModifyInstanceAttribute",
            format!(
                r#"{{"instanceId":"i-{mixed:017x}","options":"{{\"client_secret\":\"cs-{mixed:x}\"}}"}}"#
            ),
        ),
        _ => (
            "codebuild.amazonaws.com",
            "StartBuild",
            format!(
                r#"{{"projectName":"shop-{number}","source":"https://bot:pw-{mixed:x}@example.com/shop.git","comment":"ghp_{mixed:016x}{mixed:016x} for SHOP-{}"}}"#,
                number % 5000
            ),
        ),
    }
}
