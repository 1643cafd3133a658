//! Incidents that start in a repository or a pipeline.

use super::Case;
use crate::calendar::{MINUTE, SECOND};
use crate::event::Agent;
use crate::organisation::Environment;
use crate::plan::{Actor, Plan, Task};

impl Plan {
    pub(super) fn self_approved(&mut self, case: Case) {
        let work = self.open_work(case.app, case.person);
        let task = Task { work, ..case.task };
        let reviewed = self.propose(case.start, case.person, case.person, case.app, task);
        if !self.organisation.teams[case.team as usize].on_gitlab {
            let actor = self.person(case.person, reviewed);
            self.act(
                reviewed + SECOND,
                actor,
                "protected_branch:policy_override",
                case.cloud,
                task,
            );
        }
        let merged = self.merge(reviewed + 20 * SECOND, case.person, case.app, task);
        self.deploy(
            merged,
            case.person,
            case.app,
            Environment::Production,
            task,
            false,
        );
    }

    pub(super) fn branch_protection(&mut self, case: Case) {
        let actor = Actor {
            agent: Agent::Browser,
            ..case.actor
        };
        let task = Task { work: 0, ..case.task };
        let keys: &[&str] = if self.organisation.teams[case.team as usize].on_gitlab {
            &[
                "protected_branch_removed:Project",
                "Push Hook:push#main",
                "ci_variable_updated:Project",
                "Pipeline Hook:pipeline",
            ]
        } else if self.rng.chance(0.5) {
            &[
                "protected_branch:destroy",
                "branch_protection_rule:deleted",
                "git:push",
                "push:#forced",
                "workflow_run:requested",
                "protected_branch:create",
            ]
        } else {
            &[
                "protected_branch:destroy",
                "branch_protection_rule:deleted",
                "meta:deleted",
                "push:#forced",
                "org:create_actions_secret",
            ]
        };
        self.sequence(case.start, case.pace_ms, actor, keys, case.cloud, task);
    }

    pub(super) fn outside_window(&mut self, case: Case) {
        let task = if self.rng.chance(0.5) {
            Task { work: 0, ..case.task }
        } else {
            let work = self.open_work(case.app, case.person);
            Task { work, ..case.task }
        };
        self.deploy(
            case.start,
            case.person,
            case.app,
            Environment::Production,
            task,
            true,
        );
        if self.rng.chance(0.4) {
            let keys = self.terraform_keys(case.team);
            let count = 2 + self.rng.below(5);
            self.terraform(case.start + 10 * MINUTE, case.team, keys, count, case.cloud, task);
        }
    }
}
