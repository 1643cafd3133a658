//! Planned work: ticket, pull request, review, merge, pipeline run, calls of the pipeline's role, ticket closed.

use crate::calendar::{HOUR, MINUTE, SECOND, is_weekend, weekday};
use crate::event::{Agent, Who};
use crate::organisation::{Environment, PlaceKind};
use crate::plan::{Actor, At, Plan, Task};
use crate::truth::Label;

const DEPLOY_ECS: &[&str] = &["ecr:PutImage", "ecs:RegisterTaskDefinition", "ecs:UpdateService"];
const DEPLOY_LAMBDA: &[&str] = &["lambda:UpdateFunctionCode20150331v2"];
const DEPLOY_KUBERNETES: &[&str] = &["apps/v1:patch deployments", "core/v1:patch configmaps"];
const DEPLOY_GCP: &[&str] = &["run.googleapis.com:google.cloud.run.v1.Services.ReplaceService"];
const DEPLOY_AZURE: &[&str] = &[
    "Microsoft.Resources:deployments/write",
    "Microsoft.Web:sites/write",
];
const TERRAFORM_AWS: &[&str] = &[
    "ec2:AuthorizeSecurityGroupIngress",
    "iam:PutRolePolicy",
    "s3:PutBucketPolicy",
    "cloudwatch:PutMetricAlarm",
    "rds:ModifyDBInstance",
    "route53:ChangeResourceRecordSets",
    "ec2:CreateTags",
    "sqs:SetQueueAttributes",
    "s3:PutBucketLifecycle",
    "iam:AttachRolePolicy",
    "dynamodb:UpdateTable",
];
const TERRAFORM_GCP: &[&str] = &[
    "compute.googleapis.com:v1.compute.firewalls.insert",
    "storage.googleapis.com:storage.buckets.update",
    "cloudresourcemanager.googleapis.com:SetIamPolicy",
    "compute.googleapis.com:v1.compute.instances.insert",
];
const TERRAFORM_AZURE: &[&str] = &[
    "Microsoft.Network:networkSecurityGroups/securityRules/write",
    "Microsoft.Storage:storageAccounts/write",
    "Microsoft.Sql:servers/databases/write",
    "Microsoft.Compute:virtualMachines/write",
];

impl Plan {
    pub(crate) fn plan_changes(&mut self, day_ms: i64) {
        for team in 0..self.organisation.teams.len() as u8 {
            if !self.organisation.teams[team as usize].active {
                continue;
            }
            let mean = if is_weekend(day_ms) { 0.05 } else { 4.0 };
            for _ in 0..self.rng.around(mean * self.config.rate) {
                self.plan_change(team, day_ms, Label::Benign);
            }
        }
    }

    /// One change from its ticket to its end, at an ordinary time. Returns the piece of work and its task.
    pub(crate) fn plan_change(&mut self, team: u8, day_ms: i64, label: Label) -> (u32, Task) {
        let site = self.organisation.teams[team as usize].site;
        let app = self.app_of(team);
        let author = self.member(team, None);
        let reviewer = self.member(team, Some(author));
        let work = self.open_work(app, author);
        let task = Task {
            work,
            story: self.new_story(),
            approved: true,
            label,
        };
        let hour = 8.5 + 5.0 * self.rng.unit();
        let start = self.local(day_ms, site, hour);
        let reviewed = self.propose(start, author, reviewer, app, task);
        let mut merged = reviewed + self.rng.range(2 * MINUTE, 40 * MINUTE);
        // Nothing goes out late on a Friday: it waits for Monday morning.
        if weekday(merged) == 4 && merged > self.local(day_ms, site, 15.0) {
            merged = self.local(day_ms + 3 * crate::calendar::DAY, site, 9.0) + self.rng.range(0, 2 * HOUR);
        }
        self.merge_and_deploy(merged, author, app, task);
        (work, task)
    }

    /// Ticket, branch, pull request, review. Returns the time of the approval.
    pub(crate) fn propose(&mut self, start: i64, author: u16, reviewer: u16, app: u16, task: Task) -> i64 {
        let team = self.organisation.apps[app as usize].team;
        let gitlab = self.organisation.teams[team as usize].on_gitlab;
        let at = At {
            place: self.cloud(team, Environment::Production),
            app,
        };
        let browser = |actor: Actor| Actor {
            agent: Agent::Browser,
            ..actor
        };
        let writer = browser(self.person(author, start));
        let reader = browser(self.person(reviewer, start));
        let mut time_ms = start;
        time_ms = self.sequence(
            time_ms,
            12 * MINUTE,
            writer,
            &["jira:issue_created", "jira:issue_updated#progress"],
            at,
            task,
        );
        let proposal: &[&str] = if gitlab {
            &["Push Hook:push", "Merge Request Hook:open"]
        } else {
            &["git:push", "push:", "pull_request:opened", "check_run:completed"]
        };
        for key in proposal {
            let mut event = self.draft(time_ms, writer, key, at, task);
            event.other = reviewer;
            self.submit(event);
            time_ms += self.rng.range(5 * SECOND, 4 * MINUTE);
        }
        if !gitlab && self.rng.chance(0.4) {
            time_ms = self.sequence(
                time_ms,
                15 * MINUTE,
                writer,
                &["push:", "pull_request:synchronize"],
                at,
                task,
            );
        }
        self.act(time_ms, writer, "jira:issue_updated#review", at, task);
        time_ms += self.rng.range(10 * MINUTE, 90 * MINUTE);
        let approval: &[&str] = if gitlab {
            &[
                "Merge Request Hook:approved",
                "merge_request_approval_operation:MergeRequest",
            ]
        } else {
            &["pull_request_review:submitted"]
        };
        time_ms = self.sequence(time_ms, 2 * SECOND, reader, approval, at, task);
        self.act(time_ms, reader, "jira:issue_updated#approved", at, task);
        time_ms
    }

    /// Merge, then staging, then production, then the ticket is closed.
    pub(crate) fn merge_and_deploy(&mut self, start: i64, author: u16, app: u16, task: Task) {
        let team = self.organisation.apps[app as usize].team;
        let at = At {
            place: self.cloud(team, Environment::Production),
            app,
        };
        let mut time_ms = self.merge(start, author, app, task);
        time_ms = self.deploy(time_ms, author, app, Environment::Staging, task, false);
        time_ms += self.rng.range(5 * MINUTE, 30 * MINUTE);
        time_ms = self.deploy(time_ms, author, app, Environment::Production, task, false);
        let actor = Actor {
            agent: Agent::Browser,
            ..self.person(author, time_ms)
        };
        self.sequence(
            time_ms + 3 * MINUTE,
            5 * MINUTE,
            actor,
            &["comment_created:", "jira:issue_updated#done"],
            at,
            task,
        );
    }

    pub(crate) fn merge(&mut self, start: i64, author: u16, app: u16, task: Task) -> i64 {
        let team = self.organisation.apps[app as usize].team;
        let at = At {
            place: self.cloud(team, Environment::Production),
            app,
        };
        let actor = Actor {
            agent: Agent::Browser,
            ..self.person(author, start)
        };
        let keys: &[&str] = if self.organisation.teams[team as usize].on_gitlab {
            &[
                "Merge Request Hook:merge",
                "Push Hook:push#main",
                "dev.cdevents.change.merged:0.3.0",
            ]
        } else {
            &[
                "pull_request:closed",
                "push:#main",
                "dev.cdevents.change.merged:0.3.0",
            ]
        };
        self.sequence(start, 2 * SECOND, actor, keys, at, task) + 10 * SECOND
    }

    /// One pipeline run into one environment. `manual` is a run that someone started by hand.
    pub(crate) fn deploy(
        &mut self,
        start: i64,
        by: u16,
        app: u16,
        environment: Environment,
        task: Task,
        manual: bool,
    ) -> i64 {
        let team = self.organisation.apps[app as usize].team;
        let gitlab = self.organisation.teams[team as usize].on_gitlab;
        let cloud = At {
            place: self.cloud(team, environment),
            app,
        };
        let cluster = At {
            place: self.cluster(team, environment),
            app,
        };
        let person = Actor {
            agent: Agent::Browser,
            ..self.person(by, start)
        };
        let runner = self.pipeline(team, start, Agent::Runner);
        let kind = self.cloud_kind(team);
        let mut time_ms = start;
        if !gitlab {
            let requested = if manual {
                "workflow_run:requested#manual"
            } else {
                "workflow_run:requested"
            };
            time_ms = self.sequence(
                time_ms,
                4 * SECOND,
                person,
                &[requested, "deployment:created"],
                cloud,
                task,
            );
            self.act(time_ms, person, "workflows:prepared_workflow_job", cloud, task);
        }
        time_ms += self.rng.range(5 * SECOND, 40 * SECOND);
        self.act(
            time_ms,
            runner,
            "dev.cdevents.pipelinerun.started:0.3.0",
            cloud,
            task,
        );
        if kind == PlaceKind::Aws {
            time_ms += 2 * SECOND;
            self.act(time_ms, runner, "sts:AssumeRoleWithWebIdentity", cloud, task);
            if self.rng.chance(0.15) {
                self.act(
                    time_ms,
                    runner,
                    "aws.codepipeline:CodePipeline Pipeline Execution State Change",
                    cloud,
                    task,
                );
            }
        }
        time_ms += self.rng.range(20 * SECOND, 3 * MINUTE);
        time_ms = match self.rng.below(10) {
            0..=2 => self.deploy_infrastructure(time_ms, team, cloud, task),
            3..=5 => {
                let agent = Actor {
                    agent: Agent::Kubectl,
                    ..runner
                };
                self.sequence(time_ms, 5 * SECOND, agent, DEPLOY_KUBERNETES, cluster, task)
            }
            6 => self.sequence(
                time_ms,
                5 * SECOND,
                runner,
                &["apps/v1:patch deployments#json"],
                cluster,
                task,
            ),
            _ => {
                let keys = match kind {
                    PlaceKind::Gcp => DEPLOY_GCP,
                    PlaceKind::Azure => DEPLOY_AZURE,
                    _ if self.works[task.work as usize].app.is_multiple_of(3) => DEPLOY_LAMBDA,
                    _ => DEPLOY_ECS,
                };
                self.sequence(time_ms, 9 * SECOND, runner, keys, cloud, task)
            }
        };
        if kind == PlaceKind::Aws && self.rng.chance(0.15) {
            self.act(
                time_ms,
                runner,
                "aws.codedeploy:CodeDeploy Deployment State-change Notification",
                cloud,
                task,
            );
        }
        time_ms += self.rng.range(10 * SECOND, MINUTE);
        let published = [
            "dev.cdevents.artifact.published:0.3.0",
            "dev.cdevents.service.deployed:0.3.0",
        ];
        let upgraded = ["dev.cdevents.service.upgraded:0.3.0"];
        let news: &[&str] = if environment == Environment::Staging {
            &published
        } else {
            &upgraded
        };
        time_ms = self.sequence(time_ms, SECOND, runner, news, cloud, task);
        self.act(
            time_ms,
            runner,
            "dev.cdevents.pipelinerun.finished:0.3.0",
            cloud,
            task,
        );
        let end: &[&str] = if gitlab {
            &["Pipeline Hook:pipeline", "Deployment Hook:deployment"]
        } else {
            &["deployment_status:created", "workflow_run:completed"]
        };
        self.sequence(time_ms, 2 * SECOND, person, end, cloud, task)
    }

    fn deploy_infrastructure(&mut self, start: i64, team: u8, at: At, task: Task) -> i64 {
        let kind = self.cloud_kind(team);
        let keys = match kind {
            PlaceKind::Gcp => TERRAFORM_GCP,
            PlaceKind::Azure => TERRAFORM_AZURE,
            _ => TERRAFORM_AWS,
        };
        let count = 2 + self.rng.below(6);
        self.terraform(start, team, keys, count, at, task)
    }

    /// A plan of `count` resources, applied by the team's pipeline.
    pub(crate) fn terraform(
        &mut self,
        start: i64,
        team: u8,
        keys: &[&str],
        count: u64,
        at: At,
        task: Task,
    ) -> i64 {
        let actor = self.pipeline(team, start - MINUTE, Agent::Terraform);
        let mut time_ms = start;
        for number in 0..count {
            let key = self.rng.pick(keys);
            let mut event = self.draft(time_ms, actor, key, at, task);
            event.serial = number as u16 % 40;
            self.submit(event);
            time_ms += self.rng.range(300, 6 * SECOND);
        }
        time_ms
    }

    pub(crate) fn terraform_keys(&self, team: u8) -> &'static [&'static str] {
        match self.cloud_kind(team) {
            PlaceKind::Gcp => TERRAFORM_GCP,
            PlaceKind::Azure => TERRAFORM_AZURE,
            _ => TERRAFORM_AWS,
        }
    }

    /// A ticket alone, opened and moved on by one person.
    pub(crate) fn ticket(&mut self, time_ms: i64, author: u16, app: u16, task: Task) {
        let team = self.organisation.apps[app as usize].team;
        let at = At {
            place: self.cloud(team, Environment::Production),
            app,
        };
        let actor = Actor {
            agent: Agent::Browser,
            who: Who::Person(author),
            ..self.person(author, time_ms)
        };
        self.sequence(
            time_ms,
            MINUTE,
            actor,
            &["jira:issue_created", "jira:issue_updated#progress"],
            at,
            task,
        );
    }
}
