//! The working days of people: sign-ins, looking around, small things done by hand.

use crate::calendar::{MINUTE, SECOND, is_weekend};
use crate::catalog::CallId;
use crate::event::{Agent, Who};
use crate::organisation::{Environment, PlaceKind, Role, SITES};
use crate::plan::{Actor, At, Plan, Task};

/// What someone usually does, the most usual first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Habit {
    pub(crate) reads: Vec<CallId>,
    pub(crate) writes: Vec<CallId>,
}

const AWS_READS: &[&str] = &[
    "logs:FilterLogEvents",
    "ec2:DescribeInstances",
    "ecs:DescribeServices",
    "cloudwatch:DescribeAlarms",
    "logs:DescribeLogGroups",
    "ecs:DescribeTasks",
    "rds:DescribeDBInstances",
    "lambda:GetFunction20150331v2",
    "s3:ListBuckets",
    "dynamodb:DescribeTable",
    "ssm:GetParameter",
    "elasticloadbalancing:DescribeTargetHealth",
    "sts:GetCallerIdentity",
];
const AWS_OPERATOR_READS: &[&str] = &[
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeVolumes",
    "ec2:DescribeNetworkInterfaces",
    "iam:GetRole",
    "route53:ListResourceRecordSets",
    "secretsmanager:ListSecrets",
    "ssm:DescribeInstanceInformation",
];
const AWS_SECURITY_READS: &[&str] = &[
    "iam:ListUsers",
    "iam:ListAccessKeys",
    "iam:GetPolicyVersion",
    "iam:ListAttachedRolePolicies",
    "s3:GetBucketPolicy",
    "config:DescribeConfigRules",
    "cloudtrail:DescribeTrails",
    "cloudtrail:GetTrailStatus",
    "s3:GetBucketAcl",
];
const AWS_WRITES: &[&str] = &[
    "logs:CreateLogStream",
    "lambda:UpdateFunctionConfiguration20150331v2",
    "sqs:SetQueueAttributes",
    "cloudwatch:PutMetricAlarm",
    "ssm:PutParameter",
    "ecs:UpdateService",
    "ec2:CreateTags",
];
const AWS_OPERATOR_WRITES: &[&str] = &[
    "ssm:StartSession",
    "autoscaling:SetDesiredCapacity",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:RevokeSecurityGroupIngress",
    "ec2:ModifyInstanceAttribute",
    "rds:ModifyDBInstance",
    "s3:PutBucketLifecycle",
    "iam:PutRolePolicy",
    "dynamodb:UpdateTable",
];
const GCP_READS: &[&str] = &[
    "bigquery.googleapis.com:google.cloud.bigquery.v2.JobService.GetQueryResults",
    "bigquery.googleapis.com:google.cloud.bigquery.v2.TableService.GetTable",
    "storage.googleapis.com:storage.objects.list",
    "storage.googleapis.com:storage.buckets.list",
    "compute.googleapis.com:v1.compute.instances.list",
    "container.googleapis.com:google.container.v1.ClusterManager.GetCluster",
];
const GCP_WRITES: &[&str] = &[
    "bigquery.googleapis.com:google.cloud.bigquery.v2.JobService.InsertJob",
    "compute.googleapis.com:v1.compute.instances.setMetadata",
    "storage.googleapis.com:storage.buckets.update",
    "compute.googleapis.com:v1.compute.instances.insert",
];
const AZURE_READS: &[&str] = &[
    "Microsoft.Compute:virtualMachines/read",
    "Microsoft.KeyVault:vaults/read",
    "Microsoft.Network:networkSecurityGroups/read",
    "Microsoft.Storage:storageAccounts/listKeys/action",
];
const AZURE_WRITES: &[&str] = &[
    "Microsoft.Compute:virtualMachines/start/action",
    "Microsoft.Compute:virtualMachines/deallocate/action",
    "Microsoft.Web:sites/restart/action",
    "Microsoft.Compute:virtualMachines/write",
    "Microsoft.Web:sites/config/write",
    "Microsoft.Storage:storageAccounts/listKeys/action#body",
];
const KUBERNETES_READS: &[&str] = &[
    "core/v1:list pods",
    "core/v1:get pods/log",
    "apps/v1:get deployments",
    "core/v1:list events",
    "core/v1:get pods",
    "apps/v1:list deployments",
    "core/v1:get configmaps",
    "networking.k8s.io/v1:list ingresses",
];
const KUBERNETES_WRITES: &[&str] = &[
    "core/v1:delete pods",
    "apps/v1:patch deployments/scale",
    "core/v1:create pods/exec",
    "core/v1:patch configmaps",
];
const ADMIN_WRITES: &[&str] = &[
    "UserManagement:Update user",
    "user.account.reset_password:Fired when the user's Okta password is reset",
    "UserManagement:Reset user password",
    "application.user_membership.add:Add user to application membership",
];

impl Plan {
    pub(crate) fn form_habits(&mut self) {
        for person in 0..self.organisation.people.len() as u16 {
            let habit = self.habit_of(person);
            self.habits.push(habit);
        }
        self.form_routines();
    }

    /// The habits that a person has in the team that they work for now.
    pub(crate) fn habit_of(&mut self, person: u16) -> Habit {
        let team = self.assignment[person as usize];
        let role = self.organisation.people[person as usize].role;
        let on_gitlab = self.organisation.teams[team as usize].on_gitlab;
        let (mut reads, mut writes): (Vec<&str>, Vec<&str>) = match self.cloud_kind(team) {
            PlaceKind::Gcp => (GCP_READS.to_vec(), GCP_WRITES.to_vec()),
            PlaceKind::Azure => (AZURE_READS.to_vec(), AZURE_WRITES.to_vec()),
            _ => (AWS_READS.to_vec(), AWS_WRITES.to_vec()),
        };
        let on_aws = self.cloud_kind(team) == PlaceKind::Aws;
        if role != Role::Manager && role != Role::Analyst {
            reads.extend(KUBERNETES_READS);
            writes.extend(KUBERNETES_WRITES);
        }
        if on_aws && role == Role::Operator {
            reads.extend(AWS_OPERATOR_READS);
            writes.extend(AWS_OPERATOR_WRITES);
        }
        if on_aws && role == Role::Security {
            reads.extend(AWS_SECURITY_READS);
            reads.extend([
                "rbac.authorization.k8s.io/v1:list clusterrolebindings",
                "core/v1:list namespaces",
            ]);
        }
        if role == Role::Administrator {
            writes.extend(ADMIN_WRITES);
        }
        // Everyone keeps a part of what the role offers, in an order of their own.
        let mut keep = |list: Vec<&str>, share: f64| {
            let mut list: Vec<CallId> = list.into_iter().map(|key| self.catalog.id(key)).collect();
            for at in (1..list.len()).rev() {
                list.swap(at, self.rng.below(at as u64 + 1) as usize);
            }
            list.truncate(((list.len() as f64 * share) as usize).max(3));
            list
        };
        let (mut reads, mut writes) = (keep(reads, 0.7), keep(writes, 0.5));
        if role == Role::Manager {
            writes.clear();
        } else if on_gitlab {
            reads.insert(0, self.catalog.id("repository_git_operation:Project"));
        } else {
            reads.insert(0, self.catalog.id("git:fetch"));
            reads.push(self.catalog.id("git:clone"));
        }
        writes.insert(0, self.catalog.id("comment_created:"));
        Habit { reads, writes }
    }

    pub(crate) fn plan_people(&mut self, day_ms: i64) {
        for person in 0..self.organisation.people.len() as u16 {
            let team = self.assignment[person as usize];
            if !self.organisation.teams[team as usize].active || self.joined_ms[person as usize] > day_ms {
                continue;
            }
            let at_work = if is_weekend(day_ms) { 0.05 } else { 0.88 };
            if self.rng.chance(at_work) {
                self.plan_person(person, day_ms);
            }
        }
    }

    fn plan_person(&mut self, person: u16, day_ms: i64) {
        let profile = self.organisation.people[person as usize].clone();
        let start = self.local(day_ms, profile.site, 8.75) + profile.shift_min * MINUTE;
        let sessions = 1 + self.rng.below(3);
        let first = self.person(person, start);
        self.sign_in(start, person, first);
        for session in 0..sessions {
            let opens = start + MINUTE + session as i64 * 150 * MINUTE + self.rng.range(0, 60 * MINUTE);
            let actor = Actor {
                since_ms: opens,
                ..self.person(person, opens)
            };
            self.plan_session(person, opens, actor, 5.5 * profile.pace * self.config.rate);
        }
    }

    /// Signs someone in at the identity provider, and from there into what they use.
    pub(crate) fn sign_in(&mut self, time_ms: i64, person: u16, actor: Actor) {
        let team = self.assignment[person as usize];
        let at = At {
            place: self.cloud(team, Environment::Dev),
            app: self.app_of(team),
        };
        let browser = Actor {
            agent: Agent::Browser,
            since_ms: time_ms,
            ..actor
        };
        let mut keys = vec!["user.session.start:User login to Okta"];
        if actor.mfa {
            keys.push("user.authentication.auth_via_mfa:Authentication of user via MFA");
        }
        keys.push("user.authentication.sso:User single sign on to app");
        keys.push(match self.cloud_kind(team) {
            PlaceKind::Azure => "SignInLogs:Sign-in activity",
            PlaceKind::Gcp => "user.authentication.sso:User single sign on to app",
            _ if actor.agent == Agent::Browser => "signin:ConsoleLogin",
            _ => "sts:AssumeRoleWithSAML",
        });
        let keys: Vec<&str> = keys;
        self.sequence(time_ms, 8 * SECOND, browser, &keys, at, Task::ROUTINE);
    }

    fn plan_session(&mut self, person: u16, opens: i64, actor: Actor, mean: f64) {
        let team = self.assignment[person as usize];
        let role = self.organisation.people[person as usize].role;
        let count = self.rng.around(mean);
        let mut time_ms = opens;
        for _ in 0..count {
            time_ms += self.rng.range(2 * SECOND, 9 * MINUTE);
            let read = self.rng.chance(0.72);
            let habit = &self.habits[person as usize];
            let list = if read { &habit.reads } else { &habit.writes };
            let call = list[self.rng.skewed(list.len())];
            // Now and then someone does what they never did.
            let call = if self.rng.chance(0.004) {
                self.unusual_read()
            } else {
                call
            };
            let environment = self.environment_of_hand_work(read, role);
            self.by_hand(time_ms, actor, call, team, environment, Task::ROUTINE);
        }
    }

    fn unusual_read(&mut self) -> CallId {
        let pool = [AWS_SECURITY_READS, AWS_OPERATOR_READS, KUBERNETES_READS];
        let pool = self.rng.pick(&pool);
        let key = self.rng.pick(pool);
        self.catalog.id(key)
    }

    fn environment_of_hand_work(&mut self, read: bool, role: Role) -> Environment {
        let production = match (read, role) {
            (true, _) => 0.3,
            (false, Role::Operator) => 0.12,
            (false, _) => 0.015,
        };
        if self.rng.chance(production) {
            Environment::Production
        } else if self.rng.chance(0.35) {
            Environment::Staging
        } else {
            Environment::Dev
        }
    }

    /// One call by a person, in the place where the call's source keeps the team's things.
    pub(crate) fn by_hand(
        &mut self,
        time_ms: i64,
        actor: Actor,
        call: CallId,
        team: u8,
        environment: Environment,
        task: Task,
    ) {
        use crate::catalog::Source;
        let source = self.catalog.get(call).source;
        let app = self.app_of(team);
        let own = self.cloud(team, environment);
        let kind = self.organisation.places[own as usize].kind;
        let place = match source {
            Source::KubernetesAudit => self.cluster(team, environment),
            Source::AwsCloudtrail if kind != PlaceKind::Aws => self.organisation.places_of(PlaceKind::Aws)[2],
            Source::AzureActivity if kind != PlaceKind::Azure => {
                self.organisation.places_of(PlaceKind::Azure)[2]
            }
            Source::GcpAudit if kind != PlaceKind::Gcp => self.organisation.places_of(PlaceKind::Gcp)[2],
            _ => own,
        };
        let agent = match source {
            Source::KubernetesAudit => Agent::Kubectl,
            Source::AwsCloudtrail => actor.agent,
            _ => Agent::Browser,
        };
        let mut event = self.draft_call(time_ms, Actor { agent, ..actor }, call, At { place, app }, task);
        event.denied = source == Source::AwsCloudtrail && self.rng.chance(0.015);
        if matches!(source, Source::AzureEntra | Source::OktaSystem) {
            event.other = self.anyone();
        }
        if source == Source::JiraWebhook {
            // A comment needs a ticket: one of the last pieces of work of anyone.
            let recent = self.works.len().saturating_sub(40).max(1);
            let count = self.works.len().saturating_sub(recent) as u64;
            if count == 0 {
                return;
            }
            event.work = (recent as u64 + self.rng.below(count)) as u32;
            event.app = self.works[event.work as usize].app;
            if self.rng.chance(0.01) {
                event.call = self.catalog.id("comment_created:#token");
            }
        }
        self.submit(event);
    }

    /// The person on call for a team this week.
    pub(crate) fn on_call(&self, team: u8, day_ms: i64) -> u16 {
        let people = &self.organisation.teams[team as usize].people;
        let week = day_ms.div_euclid(7 * crate::calendar::DAY) as usize;
        people[1 + week % (people.len() - 1)]
    }

    pub(crate) fn site_of(&self, who: Who) -> u8 {
        match who {
            Who::Person(at) => self.organisation.people[at as usize]
                .site
                .min(SITES.len() as u8 - 1),
            Who::Service(_) => 0,
        }
    }
}
