//! What kind of operation: OCSF class and privilege class, by service and operation.

use changegate_types::{Class, PrivilegeClass, Verb};

/// Operations that begin a session.
pub(super) fn is_sign_in(operation: &str) -> bool {
    operation.starts_with("AssumeRole")
        || operation.starts_with("GetFederationToken")
        || operation.starts_with("GetSessionToken")
        || matches!(
            operation,
            "ConsoleLogin"
                | "SwitchRole"
                | "CheckMfa"
                | "Federate"
                | "UserAuthentication"
                | "Authenticate"
                | "ListApplicationsForUser"
        )
}

pub(super) fn class(service: &str, operation: &str, verb: Verb) -> Class {
    let iam = service == "iam.amazonaws.com" && verb != Verb::Read;
    if !iam {
        return Class::ApiActivity;
    }
    match operation {
        _ if operation.contains("UserToGroup") || operation.contains("UserFromGroup") => {
            Class::GroupManagement
        }
        _ if [
            "User",
            "AccessKey",
            "LoginProfile",
            "MFA",
            "Password",
            "SSHPublicKey",
        ]
        .iter()
        .any(|part| operation.contains(part)) =>
        {
            Class::AccountChange
        }
        _ if operation.contains("Role") && operation.contains("Policy") => Class::UserAccess,
        _ => Class::ApiActivity,
    }
}

/// Version 1 of the table; raise `PrivilegeClass::VERSION` with it.
pub(crate) fn privilege_class(service: &str, operation: &str) -> PrivilegeClass {
    let service = service.strip_suffix(".amazonaws.com").unwrap_or(service);
    let has = |parts: &[&str]| parts.iter().any(|part| operation.contains(part));
    match service {
        "iam" | "sts" | "sso" | "sso-directory" | "identitystore" | "organizations" | "cognito-idp"
        | "cognito-identity" | "ds" | "signin" | "ram" | "rolesanywhere" => PrivilegeClass::Identity,
        "cloudtrail" | "guardduty" | "securityhub" | "config" | "logs" | "macie2" | "detective"
        | "access-analyzer" | "inspector2" | "auditmanager" | "monitoring" => PrivilegeClass::Logging,
        "kms" | "secretsmanager" | "acm" | "acm-pca" | "cloudhsm" => PrivilegeClass::Keys,
        "ssm" if has(&["Parameter"]) => PrivilegeClass::Keys,
        "route53"
        | "route53domains"
        | "elasticloadbalancing"
        | "network-firewall"
        | "wafv2"
        | "waf"
        | "waf-regional"
        | "directconnect"
        | "apigateway"
        | "cloudfront"
        | "globalaccelerator"
        | "vpc-lattice" => PrivilegeClass::Network,
        "s3" | "s3control" | "rds" | "dynamodb" | "redshift" | "glacier" | "backup" | "elasticache"
        | "es" | "opensearch" | "glue" | "athena" | "lakeformation" | "fsx" | "elasticfilesystem" | "ebs"
        | "dms" | "docdb" | "neptune" => {
            if has(&["Logging", "FlowLog"]) {
                PrivilegeClass::Logging
            } else {
                PrivilegeClass::Data
            }
        }
        "ec2" => match operation {
            _ if has(&["FlowLog"]) => PrivilegeClass::Logging,
            _ if has(&["Snapshot", "Volume"]) => PrivilegeClass::Data,
            _ if has(&["KeyPair", "Password"]) => PrivilegeClass::Keys,
            _ if has(&["IamInstanceProfile"]) => PrivilegeClass::Identity,
            _ if has(&[
                "SecurityGroup",
                "NetworkAcl",
                "Route",
                "Vpc",
                "Subnet",
                "Gateway",
                "Address",
                "NetworkInterface",
                "Peering",
                "Transit",
                "Dhcp",
                "Vpn",
            ]) =>
            {
                PrivilegeClass::Network
            }
            _ => PrivilegeClass::Compute,
        },
        "codepipeline" | "codebuild" | "codedeploy" | "codecommit" | "codeartifact" | "cloudformation"
        | "servicecatalog" | "proton" | "ecr" => PrivilegeClass::Pipeline,
        "lambda" | "ecs" | "eks" | "autoscaling" | "elasticbeanstalk" | "batch" | "lightsail" | "ssm"
        | "apprunner" | "imagebuilder" | "sagemaker" | "bedrock" | "states" => {
            if has(&["Permission", "AccessEntry", "AccessPolicy"]) {
                PrivilegeClass::Identity
            } else {
                PrivilegeClass::Compute
            }
        }
        "events" | "scheduler" | "sns" | "sqs" => PrivilegeClass::None,
        _ => PrivilegeClass::None,
    }
}
