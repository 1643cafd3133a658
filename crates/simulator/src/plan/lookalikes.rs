//! Ordinary things that look like incidents: joiners, job moves, nights on call, travel, Terraform bursts, a service
//! that goes live, a break-glass account used well, keys replaced, an approved clean-up.

use crate::calendar::{DAY, HOUR, MINUTE, SECOND, is_weekend};
use crate::config::LookalikeKind;
use crate::event::{Agent, Identity, Who};
use crate::organisation::{Environment, PlaceKind, travel_address};
use crate::plan::{Actor, At, Plan, Task};
use crate::truth::Label;

impl Plan {
    pub(crate) fn plan_lookalikes(&mut self, day_ms: i64) {
        for kind in LookalikeKind::ALL {
            let office_hours = !matches!(kind, LookalikeKind::OnCallNight | LookalikeKind::BreakGlassUse);
            if office_hours && is_weekend(day_ms) {
                continue;
            }
            let days = if office_hours { 5.0 } else { 7.0 };
            if self.rng.chance((self.config.lookalike_rate / days).min(1.0)) {
                self.plan_lookalike(kind, day_ms);
            }
        }
    }

    fn plan_lookalike(&mut self, kind: LookalikeKind, day_ms: i64) {
        let label = Label::Lookalike(kind);
        match kind {
            LookalikeKind::Joiner => self.joiner(day_ms, label),
            LookalikeKind::JobMove => self.job_move(day_ms, label),
            LookalikeKind::OnCallNight => self.on_call_night(day_ms, label),
            LookalikeKind::Travel => self.travel(day_ms),
            LookalikeKind::TerraformBurst => self.terraform_burst(day_ms, label),
            LookalikeKind::GoLive => self.go_live(day_ms, label),
            LookalikeKind::BreakGlassUse => self.break_glass_use(day_ms, label),
            LookalikeKind::KeyRotation => self.key_rotation(day_ms, label),
            LookalikeKind::CleanUp => self.clean_up(day_ms, label),
        }
    }

    /// Someone of corporate IT, or of any active team where that team is left out.
    fn administrator(&mut self) -> u16 {
        let team = self
            .organisation
            .teams
            .iter()
            .position(|team| team.key == "CIT" && team.active);
        match team {
            Some(team) => self.member(team as u8, None),
            None => {
                let team = self.active_team();
                self.member(team, None)
            }
        }
    }

    fn approved(&mut self, app: u16, author: u16, label: Label) -> Task {
        let work = self.open_work(app, author);
        Task {
            work,
            story: self.new_story(),
            approved: true,
            label,
        }
    }

    fn office_time(&mut self, day_ms: i64, team: u8) -> i64 {
        let hour = 9.0 + 6.0 * self.rng.unit();
        self.local(day_ms, self.organisation.teams[team as usize].site, hour)
    }

    fn joiner(&mut self, day_ms: i64, label: Label) {
        let team = self.active_team();
        let site = self.organisation.teams[team as usize].site;
        let person = self.organisation.people.len() as u16;
        let number = 4 + self.rng.below(20);
        let profile = self.organisation.new_person(&mut self.rng, team, site, number);
        self.organisation.people.push(profile);
        self.assignment.push(team);
        self.joined_ms.push(day_ms + DAY);
        let habit = self.habit_of(person);
        self.habits.push(habit);
        let administrator = self.administrator();
        let app = self.app_of(team);
        let task = self.approved(app, administrator, label);
        let time_ms = self.office_time(day_ms, team);
        let actor = Actor {
            agent: Agent::Browser,
            ..self.person(administrator, time_ms)
        };
        self.ticket(time_ms - HOUR, administrator, app, task);
        let mut keys = vec![
            "user.lifecycle.create:Create Okta user",
            "user.lifecycle.activate:Activate Okta user",
            "group.user_membership.add:Add user to group membership",
            "UserManagement:Add user",
            "GroupManagement:Add member to group",
        ];
        keys.push(if self.organisation.teams[team as usize].on_gitlab {
            "member_created:Group"
        } else {
            "team:add_member"
        });
        self.about(time_ms, actor, &keys, app, person, task);
        let newcomer = self.person(person, time_ms + 2 * HOUR);
        let enrol = "user.mfa.factor.activate:Activate factor or authenticator enrollment method for user";
        self.about(
            time_ms + 2 * HOUR,
            newcomer,
            &[enrol],
            app,
            person,
            Task {
                story: task.story,
                ..Task::ROUTINE
            },
        );
    }

    /// Calls that do something to another person.
    fn about(&mut self, start: i64, actor: Actor, keys: &[&str], app: u16, other: u16, task: Task) -> i64 {
        let mut time_ms = start;
        let team = self.organisation.apps[app as usize].team;
        let at = At {
            place: self.cloud(team, Environment::Production),
            app,
        };
        for key in keys {
            let mut event = self.draft(time_ms, actor, key, at, task);
            event.other = other;
            self.submit(event);
            time_ms += self.rng.range(4 * SECOND, 2 * MINUTE);
        }
        time_ms
    }

    fn job_move(&mut self, day_ms: i64, label: Label) {
        let from = self.active_team();
        let to = self.active_team();
        let person = self.member(from, None);
        if from == to {
            return;
        }
        let administrator = self.administrator();
        let app = self.app_of(to);
        let task = self.approved(app, administrator, label);
        let time_ms = self.office_time(day_ms, to);
        let actor = Actor {
            agent: Agent::Browser,
            ..self.person(administrator, time_ms)
        };
        self.ticket(time_ms - HOUR, administrator, app, task);
        let keys = [
            "group.user_membership.remove:Remove user from group membership",
            "group.user_membership.add:Add user to group membership",
            "GroupManagement:Remove member from group",
            "GroupManagement:Add member to group",
            "team:remove_member",
            "team:add_member",
        ];
        self.about(time_ms, actor, &keys, app, person, task);
        self.assignment[person as usize] = to;
        let habit = self.habit_of(person);
        self.habits[person as usize] = habit;
    }

    fn on_call_night(&mut self, day_ms: i64, label: Label) {
        let team = self.active_team();
        let person = self.on_call(team, day_ms);
        let app = self.app_of(team);
        let task = self.approved(app, person, label);
        let site = self.site_of(Who::Person(person));
        let hour = 0.5 + 4.0 * self.rng.unit();
        let time_ms = self.local(day_ms, site, hour);
        let profile = &self.organisation.people[person as usize];
        let home = Actor {
            ip: profile.home,
            ..self.person(person, time_ms)
        };
        self.ticket(time_ms, person, app, task);
        self.sign_in(time_ms + MINUTE, person, home);
        let cluster = At {
            place: self.cluster(team, Environment::Production),
            app,
        };
        let cloud = At {
            place: self.cloud(team, Environment::Production),
            app,
        };
        let kubectl = Actor {
            agent: Agent::Kubectl,
            ..home
        };
        let look = ["core/v1:list pods", "core/v1:get pods/log", "core/v1:list events"];
        let mut time_ms = self.sequence(time_ms + 4 * MINUTE, 40 * SECOND, kubectl, &look, cluster, task);
        let mend: &[&str] = if self.rng.chance(0.5) {
            &[
                "core/v1:create pods/exec",
                "core/v1:delete pods",
                "apps/v1:patch deployments/scale",
            ]
        } else {
            &[
                "core/v1:delete pods",
                "core/v1:delete pods",
                "core/v1:patch configmaps",
            ]
        };
        time_ms = self.sequence(time_ms, 2 * MINUTE, kubectl, mend, cluster, task);
        let keys: &[&str] = match self.cloud_kind(team) {
            PlaceKind::Gcp => &["compute.googleapis.com:v1.compute.instances.setMetadata"],
            PlaceKind::Azure => &["Microsoft.Web:sites/restart/action"],
            _ => &[
                "ecs:DescribeServices",
                "ecs:UpdateService",
                "autoscaling:SetDesiredCapacity",
            ],
        };
        time_ms = self.sequence(time_ms, 3 * MINUTE, home, keys, cloud, task);
        let browser = Actor {
            agent: Agent::Browser,
            ..home
        };
        self.sequence(
            time_ms,
            MINUTE,
            browser,
            &["comment_created:", "jira:issue_updated#done"],
            cloud,
            task,
        );
    }

    fn travel(&mut self, day_ms: i64) {
        let team = self.active_team();
        let person = self.member(team, None);
        let address = travel_address(&mut self.rng);
        let days = 2 + self.rng.below(6) as i64;
        self.travellers.push((person, day_ms + days * DAY, address));
    }

    fn terraform_burst(&mut self, day_ms: i64, label: Label) {
        let team = self.active_team();
        let (work, task) = self.plan_change(team, day_ms, label);
        let app = self.works[work as usize].app;
        let environment = if self.rng.chance(0.6) {
            Environment::Production
        } else {
            Environment::Staging
        };
        let at = At {
            place: self.cloud(team, environment),
            app,
        };
        let time_ms = self.office_time(day_ms, team);
        let keys = self.terraform_keys(team);
        let count = 60 + self.rng.below(160);
        self.terraform(time_ms, team, keys, count, at, task);
    }

    fn go_live(&mut self, day_ms: i64, label: Label) {
        let team = self.active_team();
        let (work, task) = self.plan_change(team, day_ms, label);
        let app = self.works[work as usize].app;
        let cloud = At {
            place: self.cloud(team, Environment::Production),
            app,
        };
        let cluster = At {
            place: self.cluster(team, Environment::Production),
            app,
        };
        let time_ms = self.office_time(day_ms, team);
        let pipeline = self.pipeline(team, time_ms, Agent::Terraform);
        let keys: &[&str] = match self.cloud_kind(team) {
            PlaceKind::Gcp => &[
                "iam.googleapis.com:google.iam.admin.v1.CreateServiceAccount",
                "storage.googleapis.com:storage.buckets.create",
                "cloudresourcemanager.googleapis.com:SetIamPolicy",
                "compute.googleapis.com:v1.compute.firewalls.insert",
            ],
            PlaceKind::Azure => &[
                "Microsoft.Storage:storageAccounts/write",
                "Microsoft.KeyVault:vaults/accessPolicies/write",
                "Microsoft.Authorization:roleAssignments/write",
                "Microsoft.Web:sites/write",
            ],
            _ => &[
                "iam:CreateRole",
                "iam:AttachRolePolicy",
                "s3:CreateBucket",
                "s3:PutBucketPublicAccessBlock",
                "kms:CreateKey",
                "ec2:CreateSecurityGroup",
                "ec2:AuthorizeSecurityGroupIngress",
                "rds:CreateDBInstance",
                "lambda:CreateFunction20150331",
                "route53:ChangeResourceRecordSets",
            ],
        };
        let time_ms = self.sequence(time_ms, 6 * SECOND, pipeline, keys, cloud, task);
        let kubectl = Actor {
            agent: Agent::Kubectl,
            ..pipeline
        };
        let keys = [
            "core/v1:create namespaces",
            "core/v1:create secrets",
            "apps/v1:create deployments",
            "core/v1:create services",
            "networking.k8s.io/v1:patch ingresses",
            "rbac.authorization.k8s.io/v1:create rolebindings",
            "rbac.authorization.k8s.io/v1:create clusterrolebindings#view",
        ];
        let time_ms = self.sequence(time_ms, 5 * SECOND, kubectl, &keys, cluster, task);
        self.act(
            time_ms,
            pipeline,
            "dev.cdevents.environment.modified:0.3.0",
            cloud,
            task,
        );
        let author = self.works[work as usize].author;
        let browser = Actor {
            agent: Agent::Browser,
            ..self.person(author, time_ms)
        };
        let keys: &[&str] = if self.organisation.teams[team as usize].on_gitlab {
            &[
                "protected_branch_created:Project",
                "project_access_token_created:Project",
                "ci_variable_updated:Project",
            ]
        } else {
            &[
                "repository:created",
                "branch_protection_rule:created",
                "hook:create",
                "personal_access_token:access_granted",
                "member:added",
            ]
        };
        self.sequence(time_ms, MINUTE, browser, keys, cloud, task);
        let administrator = self.administrator();
        let actor = Actor {
            agent: Agent::Browser,
            ..self.person(administrator, time_ms)
        };
        self.act(
            time_ms + HOUR,
            actor,
            "system.api_token.create:Create API token",
            cloud,
            task,
        );
    }

    fn break_glass_use(&mut self, day_ms: i64, label: Label) {
        if self.rng.chance(0.5) {
            return;
        }
        let mut team = self.active_team();
        while self.cloud_kind(team) != PlaceKind::Aws {
            team = self.active_team();
        }
        let person = self.on_call(team, day_ms);
        let app = self.app_of(team);
        let task = self.approved(app, person, label);
        let time_ms = day_ms + self.rng.range(0, 22 * HOUR);
        self.ticket(time_ms, person, app, task);
        let actor = Actor {
            who: Who::Service(self.organisation.break_glass),
            identity: Identity::BreakGlass,
            agent: Agent::Cli,
            ..self.person(person, time_ms)
        };
        let at = At {
            place: self.cloud(team, Environment::Production),
            app,
        };
        let keys = [
            "ecs:DescribeServices",
            "rds:DescribeDBInstances",
            "rds:ModifyDBInstance",
            "ecs:UpdateService",
        ];
        self.sequence(time_ms + 5 * MINUTE, 3 * MINUTE, actor, &keys, at, task);
    }

    fn key_rotation(&mut self, day_ms: i64, label: Label) {
        let team = self.active_team();
        let task = Task {
            story: self.new_story(),
            label,
            ..Task::STANDING
        };
        let time_ms = day_ms + 3 * HOUR + self.rng.range(0, HOUR);
        let actor = self.pipeline(team, time_ms, Agent::Sdk);
        for app in self.organisation.teams[team as usize].apps.clone() {
            let at = At {
                place: self.cloud(team, Environment::Production),
                app,
            };
            let offset = self.rng.range(0, 10 * MINUTE);
            let keys: &[&str] = match self.cloud_kind(team) {
                PlaceKind::Gcp => &[
                    "iam.googleapis.com:google.iam.admin.v1.CreateServiceAccountKey",
                    "iam.googleapis.com:google.iam.admin.v1.DeleteServiceAccountKey",
                ],
                PlaceKind::Azure => &["Microsoft.KeyVault:vaults/secrets/write"],
                _ => &[
                    "iam:ListAccessKeys",
                    "iam:CreateAccessKey",
                    "secretsmanager:RotateSecret",
                    "secretsmanager:PutSecretValue",
                    "iam:DeleteAccessKey",
                ],
            };
            self.sequence(time_ms + offset, 20 * SECOND, actor, keys, at, task);
        }
    }

    fn clean_up(&mut self, day_ms: i64, label: Label) {
        let team = self.active_team();
        let app = self.app_of(team);
        let author = self.member(team, None);
        let task = self.approved(app, author, label);
        let time_ms = self.office_time(day_ms, team);
        self.ticket(time_ms - HOUR, author, app, task);
        let environment = if self.rng.chance(0.3) {
            Environment::Production
        } else {
            Environment::Dev
        };
        let at = At {
            place: self.cloud(team, environment),
            app,
        };
        let keys: &[&str] = match self.cloud_kind(team) {
            PlaceKind::Gcp => &[
                "compute.googleapis.com:v1.compute.snapshots.delete",
                "compute.googleapis.com:v1.compute.instances.delete",
            ],
            PlaceKind::Azure => &[
                "Microsoft.Compute:virtualMachines/delete",
                "Microsoft.Sql:servers/databases/delete",
            ],
            _ => &[
                "ec2:DeleteSnapshot",
                "ec2:TerminateInstances",
                "s3:DeleteBucket",
                "logs:DeleteLogGroup",
            ],
        };
        let count = 10 + self.rng.below(40);
        self.terraform(time_ms, team, keys, count, at, task);
    }
}
