//! Incidents and attacks: sequences of events that vary in actor, network, hour and pace.

mod code;
mod resources;

use crate::calendar::{DAY, HOUR, MINUTE, SECOND};
use crate::config::IncidentKind;
use crate::event::{Agent, Identity, Who};
use crate::organisation::{Environment, PlaceKind, Role, hostile_address};
use crate::plan::{Actor, At, Plan, Task};
use crate::truth::Label;

/// The frame of one incident: who, when, how fast, on what.
#[derive(Clone, Copy)]
struct Case {
    person: u16,
    team: u8,
    app: u16,
    actor: Actor,
    start: i64,
    pace_ms: i64,
    cloud: At,
    cluster: At,
    kind: PlaceKind,
    task: Task,
}

impl Plan {
    pub(crate) fn plan_incidents(&mut self, day_ms: i64) {
        let count = self.rng.around(self.config.incident_rate);
        for _ in 0..count {
            if self.round.is_empty() {
                self.round = self.config.kinds();
                for at in (1..self.round.len()).rev() {
                    let other = self.rng.below(at as u64 + 1) as usize;
                    self.round.swap(at, other);
                }
            }
            let Some(kind) = self.round.pop() else { return };
            let start = self.incident_hour(kind, day_ms);
            // An incident that the period cuts off, or that no habits came before, shows nothing.
            let settled =
                self.config.start_ms + (5 * DAY).min((self.config.end_ms - self.config.start_ms) / 4);
            if start < settled || start > self.config.end_ms - 3 * HOUR {
                self.round.push(kind);
                continue;
            }
            self.plan_incident(kind, start);
        }
    }

    fn incident_hour(&mut self, kind: IncidentKind, day_ms: i64) -> i64 {
        let night = match kind {
            IncidentKind::DeployOutsideWindow => true,
            IncidentKind::SelfApprovedDeploy => false,
            _ => self.rng.chance(0.5),
        };
        if night {
            day_ms + self.rng.range(0, 5 * HOUR)
        } else {
            day_ms + self.rng.range(7 * HOUR, 18 * HOUR)
        }
    }

    fn plan_incident(&mut self, kind: IncidentKind, start: i64) {
        let case = self.case(kind, start);
        match kind {
            IncidentKind::LoggingStopped => self.logging_stopped(case),
            IncidentKind::KeyCreatedUsedElsewhere => self.key_created(case),
            IncidentKind::ConsoleChangeProduction => self.console_change(case),
            IncidentKind::SelfApprovedDeploy => self.self_approved(case),
            IncidentKind::PublicBucket => self.public_bucket(case),
            IncidentKind::SecurityGroupOpened => self.security_group_opened(case),
            IncidentKind::ClusterAdminBinding => self.cluster_admin(case),
            IncidentKind::BranchProtectionRemoved => self.branch_protection(case),
            IncidentKind::DeployOutsideWindow => self.outside_window(case),
            IncidentKind::SecretReadBulk => self.secrets_in_bulk(case),
            IncidentKind::BreakGlassOverrun => self.break_glass_overrun(case),
            IncidentKind::MassDelete => self.mass_delete(case),
        }
    }

    fn case(&mut self, kind: IncidentKind, start: i64) -> Case {
        let aws_only = kind == IncidentKind::BreakGlassOverrun;
        let mut team = self.active_team();
        while aws_only && self.cloud_kind(team) != PlaceKind::Aws {
            team = self.active_team();
        }
        let mut person = self.member(team, None);
        // Managers have no rights to do harm with.
        while self.organisation.people[person as usize].role == Role::Manager {
            person = self.member(team, None);
        }
        let app = self.app_of(team);
        let mut actor = self.person(person, start);
        if self.rng.chance(0.4) {
            actor.ip = hostile_address(&mut self.rng);
            actor.mfa = self.rng.chance(0.3);
            actor.agent = if self.rng.chance(0.5) {
                Agent::Sdk
            } else {
                Agent::Cli
            };
        }
        // Nearly half name a ticket, as if that made it right.
        let recent = self.works.len().saturating_sub(60).max(1) as u64;
        let with_ticket = self.works.len() as u64 > recent && self.rng.chance(0.45);
        let work = if with_ticket {
            recent + self.rng.below(self.works.len() as u64 - recent)
        } else {
            0
        };
        Case {
            person,
            team,
            app,
            actor,
            start,
            pace_ms: self.rng.pick(&[3 * SECOND, 25 * SECOND, 4 * MINUTE]),
            cloud: At {
                place: self.cloud(team, Environment::Production),
                app,
            },
            cluster: At {
                place: self.cluster(team, Environment::Production),
                app,
            },
            kind: self.cloud_kind(team),
            task: Task {
                work: work as u32,
                story: self.new_story(),
                approved: false,
                label: Label::Incident(kind),
            },
        }
    }

    /// Steps of the case's actor in the cloud; returns the time after the last.
    fn steps(&mut self, case: &Case, start: i64, keys: &[&str]) -> i64 {
        self.sequence(start, case.pace_ms, case.actor, keys, case.cloud, case.task)
    }

    fn look_around(&mut self, case: &Case) -> i64 {
        if self.rng.chance(0.5) {
            self.sign_in(case.start - 3 * MINUTE, case.person, case.actor);
        }
        let keys: &[&str] = match case.kind {
            PlaceKind::Gcp => &[
                "cloudresourcemanager.googleapis.com:GetIamPolicy",
                "storage.googleapis.com:storage.buckets.list",
            ],
            PlaceKind::Azure => &[
                "Microsoft.KeyVault:vaults/read",
                "Microsoft.Network:networkSecurityGroups/read",
            ],
            _ => &["sts:GetCallerIdentity", "s3:ListBuckets", "iam:ListUsers"],
        };
        let count = 1 + self.rng.below(keys.len() as u64) as usize;
        let keys = keys[..count].to_vec();
        self.steps(case, case.start, &keys)
    }

    fn logging_stopped(&mut self, case: Case) {
        let time_ms = self.look_around(&case);
        let keys: &[&str] = match (case.kind, self.rng.below(3)) {
            (PlaceKind::Gcp, 0) => &[
                "logging.googleapis.com:google.logging.v2.ConfigServiceV2.UpdateSink",
                "cloudresourcemanager.googleapis.com:SetIamPolicy#owner",
            ],
            (PlaceKind::Gcp, _) => &[
                "logging.googleapis.com:google.logging.v2.ConfigServiceV2.DeleteSink",
                "iam.googleapis.com:google.iam.admin.v1.CreateServiceAccountKey",
            ],
            (PlaceKind::Azure, _) => &[
                "Microsoft.Insights:diagnosticSettings/delete",
                "Microsoft.Authorization:roleAssignments/write",
            ],
            (_, 0) => &[
                "cloudtrail:DescribeTrails",
                "cloudtrail:StopLogging",
                "iam:CreateUser",
                "iam:AttachUserPolicy",
            ],
            (_, 1) => &[
                "cloudtrail:GetTrailStatus",
                "cloudtrail:PutEventSelectors",
                "guardduty:UpdateDetector",
            ],
            (_, _) => &[
                "cloudtrail:DescribeTrails",
                "cloudtrail:DeleteTrail",
                "iam:PutRolePolicy",
            ],
        };
        let time_ms = self.steps(&case, time_ms, keys);
        if self.rng.chance(0.3) {
            let actor = Actor {
                agent: Agent::Kubectl,
                ..case.actor
            };
            self.act(
                time_ms,
                actor,
                "apps/v1:delete daemonsets",
                case.cluster,
                case.task,
            );
        }
    }

    fn key_created(&mut self, case: Case) {
        let time_ms = self.look_around(&case);
        let elsewhere = hostile_address(&mut self.rng);
        let wait = self.rng.pick(&[2 * MINUTE, 40 * MINUTE, 5 * HOUR]);
        let thief = Actor {
            ip: elsewhere,
            identity: Identity::AccessKey,
            agent: Agent::Sdk,
            mfa: false,
            ..case.actor
        };
        match case.kind {
            PlaceKind::Gcp => {
                let time_ms = self.steps(
                    &case,
                    time_ms,
                    &["iam.googleapis.com:google.iam.admin.v1.CreateServiceAccountKey"],
                );
                let keys = [
                    "storage.googleapis.com:storage.buckets.list",
                    "secretmanager.googleapis.com:google.cloud.secretmanager.v1.SecretManagerService.AccessSecretVersion",
                    "compute.googleapis.com:v1.compute.instances.insert",
                ];
                self.sequence(time_ms + wait, case.pace_ms, thief, &keys, case.cloud, case.task);
            }
            PlaceKind::Azure => {
                let key = "ApplicationManagement:Update application – Certificates and secrets management";
                let time_ms = self.steps(&case, time_ms, &[key]);
                let keys = [
                    "Microsoft.Storage:storageAccounts/listKeys/action#body",
                    "Microsoft.Authorization:roleAssignments/write",
                ];
                let app = Actor {
                    who: Who::Service(self.organisation.teams[case.team as usize].pipeline),
                    ..thief
                };
                self.sequence(time_ms + wait, case.pace_ms, app, &keys, case.cloud, case.task);
            }
            _ => {
                let time_ms = self.steps(&case, time_ms, &["iam:ListAccessKeys", "iam:CreateAccessKey"]);
                let keys: &[&str] = if self.rng.chance(0.5) {
                    &[
                        "sts:GetCallerIdentity",
                        "s3:ListBuckets",
                        "ec2:RunInstances",
                        "ec2:RunInstances",
                        "ec2:RunInstances",
                    ]
                } else {
                    &[
                        "sts:GetCallerIdentity",
                        "secretsmanager:ListSecrets",
                        "iam:CreateUser",
                        "iam:CreateLoginProfile",
                        "iam:AttachUserPolicy",
                    ]
                };
                self.sequence(time_ms + wait, case.pace_ms, thief, keys, case.cloud, case.task);
            }
        }
    }

    fn console_change(&mut self, case: Case) {
        let actor = Actor {
            agent: Agent::Browser,
            mfa: self.rng.chance(0.7),
            ..case.actor
        };
        self.sign_in(case.start - 2 * MINUTE, case.person, actor);
        let task = Task { work: 0, ..case.task };
        let keys: &[&str] = match (case.kind, self.rng.below(3)) {
            (PlaceKind::Gcp, _) => &[
                "compute.googleapis.com:v1.compute.instances.setMetadata",
                "container.googleapis.com:google.container.v1.ClusterManager.UpdateNodePool",
            ],
            (PlaceKind::Azure, _) => &[
                "Microsoft.Web:sites/config/write",
                "Microsoft.Sql:servers/databases/write",
            ],
            (_, 0) => &[
                "rds:DescribeDBInstances",
                "rds:ModifyDBInstance",
                "ec2:ModifyInstanceAttribute",
            ],
            (_, 1) => &[
                "lambda:GetFunction20150331v2",
                "lambda:UpdateFunctionConfiguration20150331v2",
                "lambda:UpdateFunctionConfiguration20150331v2",
            ],
            (_, _) => &[
                "ecs:DescribeServices",
                "ecs:UpdateService",
                "route53:ChangeResourceRecordSets",
            ],
        };
        self.sequence(case.start, case.pace_ms, actor, keys, case.cloud, task);
    }

    fn break_glass_overrun(&mut self, case: Case) {
        let service = self.organisation.break_glass;
        let actor = Actor {
            who: Who::Service(service),
            identity: Identity::BreakGlass,
            agent: Agent::Cli,
            mfa: true,
            since_ms: case.start,
            ..case.actor
        };
        let work = self.open_work(case.app, case.person);
        let emergency = Task {
            work,
            approved: true,
            label: Label::Lookalike(crate::config::LookalikeKind::BreakGlassUse),
            ..case.task
        };
        let mend = [
            "ecs:DescribeServices",
            "rds:DescribeDBInstances",
            "ecs:UpdateService",
        ];
        let time_ms = self.sequence(case.start, 3 * MINUTE, actor, &mend, case.cloud, emergency);
        // The emergency is over; the account is not put back.
        let later = time_ms + self.rng.range(3 * HOUR, 9 * HOUR);
        let keys: &[&str] = match self.rng.below(3) {
            0 => &[
                "iam:ListUsers",
                "iam:CreateUser",
                "iam:CreateLoginProfile",
                "iam:AttachUserPolicy",
            ],
            1 => &[
                "ssm:StartSession",
                "iam:PutRolePolicy",
                "iam:AttachRolePolicy#admin",
                "ec2:AuthorizeSecurityGroupIngress",
            ],
            _ => &[
                "secretsmanager:ListSecrets",
                "secretsmanager:PutSecretValue",
                "iam:UpdateAssumeRolePolicy",
                "kms:ScheduleKeyDeletion",
            ],
        };
        self.sequence(
            later,
            case.pace_ms,
            actor,
            keys,
            case.cloud,
            Task { work: 0, ..case.task },
        );
    }
}
