//! Incidents in clouds and clusters: things opened, read or deleted.

use super::Case;
use crate::calendar::{MINUTE, SECOND};
use crate::event::Agent;
use crate::organisation::PlaceKind;
use crate::plan::{Actor, At, Plan};

impl Plan {
    pub(super) fn public_bucket(&mut self, case: Case) {
        let time_ms = self.look_around(&case);
        let keys: &[&str] = match (case.kind, self.rng.below(2)) {
            (PlaceKind::Gcp, _) => &[
                "storage.googleapis.com:storage.buckets.get",
                "storage.googleapis.com:storage.setIamPermissions#public",
            ],
            (PlaceKind::Azure, _) => &[
                "Microsoft.Storage:storageAccounts/write#public",
                "Microsoft.Storage:storageAccounts/blobServices/containers/write#public",
            ],
            (_, 0) => &[
                "s3:GetBucketPolicy",
                "s3:DeleteBucketPublicAccessBlock",
                "s3:PutBucketPolicy#public",
            ],
            (_, _) => &[
                "s3:DeleteBucketPublicAccessBlock",
                "s3:PutBucketAcl#public",
                "s3:PutBucketPolicy#public",
            ],
        };
        self.steps(&case, time_ms, keys);
    }

    pub(super) fn security_group_opened(&mut self, case: Case) {
        let time_ms = self.look_around(&case);
        let keys: &[&str] = match case.kind {
            PlaceKind::Gcp => &[
                "compute.googleapis.com:v1.compute.firewalls.list",
                "compute.googleapis.com:v1.compute.firewalls.insert#open",
            ],
            PlaceKind::Azure => &["Microsoft.Network:networkSecurityGroups/securityRules/write#open"],
            _ => &[
                "ec2:DescribeSecurityGroups",
                "ec2:AuthorizeSecurityGroupIngress#open",
                "ec2:AuthorizeSecurityGroupIngress#open",
            ],
        };
        let time_ms = self.steps(&case, time_ms, keys);
        if case.kind == PlaceKind::Aws && self.rng.chance(0.5) {
            self.steps(
                &case,
                time_ms + MINUTE,
                &["ssm:StartSession", "ec2:CreateSnapshot"],
            );
        }
    }

    pub(super) fn cluster_admin(&mut self, case: Case) {
        let actor = Actor {
            agent: Agent::Kubectl,
            ..case.actor
        };
        let other = self.anyone();
        let before = [
            "rbac.authorization.k8s.io/v1:list clusterrolebindings",
            "core/v1:list namespaces",
        ];
        let time_ms = self.sequence(case.start, case.pace_ms, actor, &before, case.cluster, case.task);
        let key = "rbac.authorization.k8s.io/v1:create clusterrolebindings#admin";
        let mut event = self.draft(time_ms, actor, key, case.cluster, case.task);
        event.other = if self.rng.chance(0.5) { case.person } else { other };
        self.submit(event);
        let after: &[&str] = if self.rng.chance(0.5) {
            &[
                "core/v1:list secrets",
                "core/v1:create pods/exec",
                "core/v1:create serviceaccounts/token",
            ]
        } else {
            &[
                "core/v1:list secrets",
                "networking.k8s.io/v1:delete networkpolicies",
                "core/v1:create pods",
            ]
        };
        self.sequence(
            time_ms + case.pace_ms,
            case.pace_ms,
            actor,
            after,
            case.cluster,
            case.task,
        );
    }

    pub(super) fn secrets_in_bulk(&mut self, case: Case) {
        let mut time_ms = self.look_around(&case);
        let (list, one, end): (&str, &str, &[&str]) = match (case.kind, self.rng.chance(0.3)) {
            (_, true) => (
                "core/v1:list secrets",
                "core/v1:get secrets",
                &["core/v1:patch secrets", "core/v1:create serviceaccounts/token"],
            ),
            (PlaceKind::Gcp, _) => (
                "iam.googleapis.com:google.iam.admin.v1.ListServiceAccounts",
                "secretmanager.googleapis.com:google.cloud.secretmanager.v1.SecretManagerService.AccessSecretVersion",
                &[
                    "secretmanager.googleapis.com:google.cloud.secretmanager.v1.SecretManagerService.AddSecretVersion",
                ],
            ),
            (PlaceKind::Azure, _) => (
                "Microsoft.KeyVault:vaults/read",
                "Microsoft.Storage:storageAccounts/listKeys/action#body",
                &["Microsoft.KeyVault:vaults/accessPolicies/write"],
            ),
            _ => (
                "secretsmanager:ListSecrets",
                "secretsmanager:GetSecretValue",
                &[
                    "secretsmanager:PutResourcePolicy",
                    "secretsmanager:PutSecretValue",
                ],
            ),
        };
        let in_cluster = list.starts_with("core");
        let place = if in_cluster { case.cluster } else { case.cloud };
        let actor = if in_cluster {
            Actor {
                agent: Agent::Kubectl,
                ..case.actor
            }
        } else {
            case.actor
        };
        self.act(time_ms, actor, list, place, case.task);
        for number in 0..15 + self.rng.below(40) {
            time_ms += self.rng.range(200, 8 * SECOND);
            // Across all teams' things, not only the own.
            let app = self.any_app();
            let mut event = self.draft(time_ms, actor, one, At { app, ..place }, case.task);
            event.serial = number as u16 % 30;
            self.submit(event);
        }
        self.sequence(time_ms + MINUTE, case.pace_ms, actor, end, place, case.task);
    }

    pub(super) fn mass_delete(&mut self, case: Case) {
        let mut time_ms = self.look_around(&case);
        let in_cluster = self.rng.chance(0.25);
        let keys: &[&str] = match case.kind {
            _ if in_cluster => &[
                "apps/v1:delete deployments",
                "core/v1:delete secrets",
                "core/v1:deletecollection persistentvolumeclaims",
                "core/v1:delete namespaces",
            ],
            PlaceKind::Gcp => &[
                "compute.googleapis.com:v1.compute.instances.delete",
                "storage.googleapis.com:storage.buckets.delete",
                "bigquery.googleapis.com:google.cloud.bigquery.v2.DatasetService.DeleteDataset",
                "compute.googleapis.com:v1.compute.snapshots.delete",
            ],
            PlaceKind::Azure => &[
                "Microsoft.Compute:virtualMachines/delete",
                "Microsoft.Storage:storageAccounts/delete",
                "Microsoft.Sql:servers/databases/delete",
                "Microsoft.KeyVault:vaults/delete",
                "Microsoft.Resources:subscriptions/resourceGroups/delete",
            ],
            _ => &[
                "ec2:TerminateInstances",
                "ec2:DeleteSnapshot",
                "s3:DeleteBucket",
                "rds:DeleteDBInstance",
                "dynamodb:DeleteTable",
                "logs:DeleteLogGroup",
                "kms:ScheduleKeyDeletion",
            ],
        };
        let place = if in_cluster { case.cluster } else { case.cloud };
        let actor = if in_cluster {
            Actor {
                agent: Agent::Kubectl,
                ..case.actor
            }
        } else {
            case.actor
        };
        for number in 0..8 + self.rng.below(10) {
            let key = self.rng.pick(keys);
            let mut event = self.draft(time_ms, actor, key, place, case.task);
            event.serial = number as u16;
            self.submit(event);
            time_ms += self.rng.range(300, case.pace_ms.min(20 * SECOND));
        }
    }
}
