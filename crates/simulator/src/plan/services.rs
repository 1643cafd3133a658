//! What runs by itself: workloads, controllers, scanners, nightly jobs, and bursts of reads.

use crate::calendar::{DAY, HOUR, MINUTE, SECOND, is_weekend};
use crate::catalog::Source;
use crate::event::{Agent, Identity, Who};
use crate::organisation::{PlaceKind, Service, ServiceKind};
use crate::plan::people::Habit;
use crate::plan::{Actor, At, Plan, Task};

const AWS_WORKLOAD: (&[&str], &[&str]) = (
    &[
        "kms:Decrypt",
        "secretsmanager:GetSecretValue",
        "sts:AssumeRole",
        "kms:GenerateDataKey",
        "ssm:GetParametersByPath",
        "ecr:BatchGetImage",
    ],
    &["logs:CreateLogStream"],
);
const AWS_AUTOSCALING: (&[&str], &[&str]) = (
    &[
        "ec2:DescribeInstances",
        "elasticloadbalancing:DescribeTargetHealth",
    ],
    &["ec2:CreateTags", "ec2:RunInstances", "ec2:TerminateInstances"],
);
const AWS_SCANNER: &[&str] = &[
    "s3:GetBucketEncryption",
    "s3:GetBucketAcl",
    "s3:GetBucketPolicy",
    "ec2:DescribeSecurityGroups",
    "iam:GetPolicyVersion",
    "iam:ListAttachedRolePolicies",
    "ec2:DescribeVolumes",
    "iam:ListAccessKeys",
    "rds:DescribeDBInstances",
    "lambda:GetFunction20150331v2",
    "config:DescribeConfigRules",
    "cloudtrail:DescribeTrails",
    "cloudtrail:GetTrailStatus",
];
const AWS_BACKUP: (&[&str], &[&str]) = (
    &["ec2:DescribeVolumes", "rds:DescribeDBInstances"],
    &["ec2:CreateSnapshot", "ec2:DeleteSnapshot", "rds:CreateDBSnapshot"],
);
const GCP_WORKLOAD: (&[&str], &[&str]) = (
    &[
        "secretmanager.googleapis.com:google.cloud.secretmanager.v1.SecretManagerService.AccessSecretVersion",
        "storage.googleapis.com:storage.objects.list",
        "bigquery.googleapis.com:google.cloud.bigquery.v2.TableService.GetTable",
    ],
    &["bigquery.googleapis.com:google.cloud.bigquery.v2.JobService.InsertJob"],
);
const GCP_SCANNER: &[&str] = &[
    "cloudresourcemanager.googleapis.com:GetIamPolicy",
    "iam.googleapis.com:google.iam.admin.v1.ListServiceAccounts",
    "storage.googleapis.com:storage.buckets.get",
    "compute.googleapis.com:v1.compute.firewalls.list",
];
const GCP_BACKUP: (&[&str], &[&str]) = (
    &["compute.googleapis.com:v1.compute.instances.list"],
    &[
        "compute.googleapis.com:v1.compute.disks.createSnapshot",
        "compute.googleapis.com:v1.compute.snapshots.delete",
    ],
);
const AZURE_SCANNER: &[&str] = &[
    "Microsoft.KeyVault:vaults/read",
    "Microsoft.Network:networkSecurityGroups/read",
    "Microsoft.Compute:virtualMachines/read",
];
const AZURE_BACKUP: (&[&str], &[&str]) = (
    &["Microsoft.Compute:virtualMachines/read"],
    &["Microsoft.Compute:snapshots/write"],
);
const CLUSTER_WORKLOAD: (&[&str], &[&str]) = (
    &[
        "core/v1:get configmaps",
        "core/v1:list services",
        "core/v1:get secrets",
    ],
    &["core/v1:create serviceaccounts/token"],
);

/// What a controller reads and writes, by name.
fn controller(name: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match name {
        "deployment-controller" => (
            &["apps/v1:list replicasets"],
            &["apps/v1:update deployments/status", "apps/v1:update replicasets"],
        ),
        "replicaset-controller" => (
            &["core/v1:list pods"],
            &["core/v1:create pods", "core/v1:delete pods"],
        ),
        "horizontal-pod-autoscaler" => (
            &["autoscaling/v2:list horizontalpodautoscalers"],
            &[
                "autoscaling/v2:update horizontalpodautoscalers/status",
                "apps/v1:patch deployments/scale",
            ],
        ),
        "cert-manager" => (
            &["cert-manager.io/v1:list certificates"],
            &[
                "cert-manager.io/v1:update certificates/status",
                "core/v1:update secrets",
            ],
        ),
        "external-secrets" => (
            &[
                "external-secrets.io/v1:list externalsecrets",
                "core/v1:get secrets",
            ],
            &[
                "external-secrets.io/v1:update externalsecrets/status",
                "core/v1:update secrets",
            ],
        ),
        _ => (
            &[
                "argoproj.io/v1alpha1:list applications",
                "apps/v1:list deployments",
            ],
            &["argoproj.io/v1alpha1:patch applications"],
        ),
    }
}

impl Plan {
    pub(crate) fn form_routines(&mut self) {
        self.routines.clear();
        for service in &self.organisation.services {
            let kind = self.organisation.places[service.place as usize].kind;
            let (reads, writes): (&[&str], &[&str]) = match (kind, service.kind) {
                (_, ServiceKind::Pipeline | ServiceKind::BreakGlass) => (&[], &[]),
                (_, ServiceKind::Controller) => controller(&service.name),
                (PlaceKind::Aws, ServiceKind::Scanner) => (AWS_SCANNER, &[]),
                (PlaceKind::Aws, ServiceKind::Batch) => AWS_BACKUP,
                (PlaceKind::Aws, _) if service.name == "AWSServiceRoleForAutoScaling" => AWS_AUTOSCALING,
                (PlaceKind::Aws, _) => AWS_WORKLOAD,
                (PlaceKind::Gcp, ServiceKind::Scanner) => (GCP_SCANNER, &[]),
                (PlaceKind::Gcp, ServiceKind::Batch) => GCP_BACKUP,
                (PlaceKind::Gcp, _) => GCP_WORKLOAD,
                (PlaceKind::Azure, ServiceKind::Batch) => AZURE_BACKUP,
                (PlaceKind::Azure, _) => (AZURE_SCANNER, &[]),
                (PlaceKind::Cluster, ServiceKind::Batch) => {
                    (&["batch/v1:list jobs"], &["batch/v1:create jobs"])
                }
                (PlaceKind::Cluster, _) => CLUSTER_WORKLOAD,
            };
            let ids = |keys: &[&str]| keys.iter().map(|key| self.catalog.id(key)).collect();
            self.routines.push(Habit {
                reads: ids(reads),
                writes: ids(writes),
            });
        }
    }

    pub(crate) fn plan_services(&mut self, day_ms: i64) {
        let quiet = if is_weekend(day_ms) { 0.6 } else { 1.0 };
        for at in 0..self.organisation.services.len() as u16 {
            let service = self.organisation.services[at as usize].clone();
            if service.per_day > 0.0 && self.organisation.teams[service.team as usize].active {
                self.plan_service(at, &service, day_ms, service.per_day * quiet * self.config.rate);
            }
        }
        if self.rng.chance(self.config.bursts_per_day) {
            self.burst(day_ms);
        }
        self.platform_news(day_ms);
    }

    fn service_actor(&self, at: u16, service: &Service, since_ms: i64) -> Actor {
        let in_cluster = self.organisation.places[service.place as usize].kind == PlaceKind::Cluster;
        Actor {
            who: Who::Service(at),
            ip: service.ip,
            agent: if in_cluster { Agent::Controller } else { Agent::Sdk },
            identity: match service.name.as_str() {
                "AWSServiceRoleForConfig" => Identity::ServiceLinked,
                _ => Identity::Workload,
            },
            mfa: false,
            since_ms,
        }
    }

    fn app_at(&mut self, service: &Service) -> u16 {
        // A workload touches its own things; shared services touch everyone's.
        let own = self
            .organisation
            .apps
            .iter()
            .position(|app| service.name.starts_with(app.name));
        match own {
            Some(app) => app as u16,
            None => self.any_app(),
        }
    }

    fn plan_service(&mut self, at: u16, service: &Service, day_ms: i64, mean: f64) {
        let count = self.rng.around(mean);
        let read_share = match service.kind {
            ServiceKind::Controller => 0.35,
            ServiceKind::Batch => 0.35,
            _ if service.name == "AWSServiceRoleForAutoScaling" => 0.35,
            _ => 0.8,
        };
        for _ in 0..count {
            let time_ms = match service.kind {
                ServiceKind::Batch => {
                    day_ms + (1 + i64::from(at % 4)) * HOUR + self.rng.range(0, 40 * MINUTE)
                }
                // Sweeps every four hours.
                ServiceKind::Scanner => {
                    day_ms
                        + self.rng.range(0, 6) * 4 * HOUR
                        + i64::from(at % 60) * MINUTE
                        + self.rng.range(0, 9 * MINUTE)
                }
                _ if self.rng.chance(0.6) => day_ms + self.rng.range(6 * HOUR, 19 * HOUR),
                _ => day_ms + self.rng.range(0, DAY),
            };
            let read = self.rng.chance(read_share);
            let routine = &self.routines[at as usize];
            let list = if read || routine.writes.is_empty() {
                &routine.reads
            } else {
                &routine.writes
            };
            if list.is_empty() {
                continue;
            }
            let call = list[self.rng.skewed(list.len())];
            let app = self.app_at(service);
            let actor = self.service_actor(at, service, time_ms - time_ms.rem_euclid(HOUR));
            let mut event = self.draft_call(
                time_ms,
                actor,
                call,
                At {
                    place: service.place,
                    app,
                },
                Task::STANDING,
            );
            event.denied = self.catalog.get(call).source == Source::AwsCloudtrail && self.rng.chance(0.004);
            self.submit(event);
        }
    }

    /// A reporting job or scanner that reads far more than usual for some minutes.
    fn burst(&mut self, day_ms: i64) {
        let scanners: Vec<u16> = (0..self.organisation.services.len() as u16)
            .filter(|&at| self.organisation.services[at as usize].kind == ServiceKind::Scanner)
            .collect();
        let at = self.rng.pick(&scanners);
        let service = self.organisation.services[at as usize].clone();
        let start = day_ms + self.rng.range(0, 23 * HOUR);
        let count = self.rng.around(250.0 * self.config.rate);
        for _ in 0..count {
            let time_ms = start + self.rng.range(0, 3 * MINUTE);
            let reads = &self.routines[at as usize].reads;
            let call = reads[self.rng.skewed(reads.len())];
            let app = self.app_at(&service);
            let actor = self.service_actor(at, &service, start);
            let event = self.draft_call(
                time_ms,
                actor,
                call,
                At {
                    place: service.place,
                    app,
                },
                Task::STANDING,
            );
            self.submit(event);
        }
    }

    /// What the platforms say by themselves: configuration items and findings that mean nothing.
    fn platform_news(&mut self, day_ms: i64) {
        let places = self.organisation.places_of(PlaceKind::Aws);
        let count = self.rng.around(60.0 * self.config.rate);
        for _ in 0..count {
            let place = self.rng.pick(&places);
            let app = self.any_app();
            let time_ms = day_ms + self.rng.range(0, DAY);
            let finding = self.rng.chance(0.03);
            let key = if finding {
                "aws.guardduty:GuardDuty Finding"
            } else if self.rng.chance(0.2) {
                "aws.config:Config Configuration Item Change#lambda"
            } else {
                "aws.config:Config Configuration Item Change"
            };
            let who = Who::Service(self.organisation.teams[0].pipeline);
            let service = self.organisation.services[self.organisation.teams[0].pipeline as usize].clone();
            let actor = Actor {
                who,
                ..self.service_actor(self.organisation.teams[0].pipeline, &service, time_ms)
            };
            self.act(time_ms + SECOND, actor, key, At { place, app }, Task::STANDING);
        }
    }
}
