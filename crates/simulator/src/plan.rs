//! Decides what happens: fills a list of planned events, day by day. The parts of the organisation's life stand in
//! the modules below.

mod changes;
mod incidents;
mod lookalikes;
mod people;
mod services;

use crate::calendar::{DAY, HOUR, MINUTE, SECOND};
use crate::catalog::{CallId, Catalog, Kind, Source};
use crate::config::Config;
use crate::event::{Agent, Event, Identity, Phase, Who, Work};
use crate::organisation::{Environment, Organisation, PlaceKind, SITES};
use crate::put::Ip;
use crate::rng::Rng;
use crate::truth::Label;

use people::Habit;

/// Someone at work: the credentials, the network and the program that all calls of a session share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Actor {
    pub(crate) who: Who,
    pub(crate) ip: Ip,
    pub(crate) agent: Agent,
    pub(crate) identity: Identity,
    pub(crate) mfa: bool,
    pub(crate) since_ms: i64,
}

/// Why it is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub(crate) work: u32,
    pub(crate) story: u32,
    pub(crate) approved: bool,
    pub(crate) label: Label,
}

impl Task {
    /// Routine of a person: nobody was asked.
    pub(crate) const ROUTINE: Self = Self {
        work: 0,
        story: 0,
        approved: false,
        label: Label::Benign,
    };
    /// Automation that was approved once, when it was set up.
    pub(crate) const STANDING: Self = Self {
        approved: true,
        ..Self::ROUTINE
    };
}

/// Where it is done: an index into the organisation's places, and the application it is done to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) place: u8,
    pub(crate) app: u16,
}

/// The plan so far.
pub(crate) struct Plan {
    pub(crate) organisation: Organisation,
    pub(crate) catalog: Catalog,
    pub(crate) works: Vec<Work>,
    config: Config,
    rng: Rng,
    pending: Vec<Event>,
    habits: Vec<Habit>,
    routines: Vec<Habit>,
    /// The team that each person works for now; moves change it.
    assignment: Vec<u8>,
    /// Who is away, until when, behind which address.
    travellers: Vec<(u16, i64, Ip)>,
    /// First day of work of people who join during the run.
    joined_ms: Vec<i64>,
    /// Applications of active teams.
    active_apps: Vec<u16>,
    stories: u32,
    tickets: u64,
    pull_requests: u64,
    runs: u64,
    /// The incident kinds still to come in this round, so that all of them get their turn.
    round: Vec<crate::config::IncidentKind>,
}

impl Plan {
    pub(crate) fn new(config: &Config) -> Self {
        let organisation = Organisation::new(config.organisation_seed, config.exclude_team.as_deref());
        let catalog = Catalog::new();
        let mut plan = Self {
            assignment: organisation.people.iter().map(|person| person.team).collect(),
            joined_ms: vec![i64::MIN; organisation.people.len()],
            organisation,
            catalog,
            works: vec![Work::none()],
            config: config.clone(),
            rng: Rng::new(config.seed),
            pending: Vec::new(),
            habits: Vec::new(),
            routines: Vec::new(),
            travellers: Vec::new(),
            active_apps: Vec::new(),
            stories: 0,
            tickets: 1000,
            pull_requests: 200,
            runs: 9_000_000_000 + (config.seed % 1000) * 100_000,
            round: Vec::new(),
        };
        plan.active_apps = (0..plan.organisation.apps.len() as u16)
            .filter(|&app| {
                let team = plan.organisation.apps[app as usize].team;
                plan.organisation.teams[team as usize].active
            })
            .collect();
        plan.form_habits();
        plan
    }

    /// Plans the day that starts at `day_ms` and takes out all events of before its end.
    pub(crate) fn take_day(&mut self, day_ms: i64, out: &mut Vec<Event>) {
        self.travellers.retain(|&(_, until_ms, _)| until_ms > day_ms);
        self.plan_lookalikes(day_ms);
        self.plan_people(day_ms);
        self.plan_services(day_ms);
        self.plan_changes(day_ms);
        self.plan_incidents(day_ms);
        let end_ms = (day_ms + DAY).min(self.config.end_ms);
        let start_ms = self.config.start_ms;
        let mut kept = Vec::new();
        for event in self.pending.drain(..) {
            if event.time_ms >= end_ms {
                kept.push(event);
            } else if event.time_ms >= start_ms {
                out.push(event);
            }
        }
        self.pending = kept;
    }

    /// An event that may still be changed before it is [submitted](Self::submit).
    fn draft(&mut self, time_ms: i64, actor: Actor, key: &str, at: At, task: Task) -> Event {
        let call = self.catalog.id(key);
        self.draft_call(time_ms, actor, call, at, task)
    }

    fn draft_call(&mut self, time_ms: i64, actor: Actor, call: CallId, at: At, task: Task) -> Event {
        let seed = self.rng.next();
        Event {
            time_ms,
            seed,
            link: seed,
            call,
            who: actor.who,
            ip: actor.ip,
            agent: actor.agent,
            identity: actor.identity,
            mfa: actor.mfa,
            since_ms: actor.since_ms,
            place: at.place,
            app: at.app,
            serial: self.rng.skewed(8) as u16,
            other: match actor.who {
                Who::Person(at) => at,
                Who::Service(_) => 0,
            },
            work: task.work,
            story: task.story,
            denied: false,
            approved: task.approved,
            label: task.label,
            phase: Phase::Only,
        }
    }

    /// Adds an event, and those that its source reports beside it.
    fn submit(&mut self, event: Event) {
        let call = self.catalog.get(event.call);
        let write = call.kind == Kind::Write && !event.denied;
        let (first, last, gap_ms) = match call.source {
            Source::AzureActivity if write => {
                (Phase::First, Phase::Last, self.rng.range(SECOND, 40 * SECOND))
            }
            Source::GcpAudit if write && call.service == "compute.googleapis.com" => {
                (Phase::First, Phase::Last, self.rng.range(2 * SECOND, 90 * SECOND))
            }
            Source::GcpAudit if write && self.rng.chance(0.03) => (Phase::Part(0), Phase::Part(1), 0),
            Source::KubernetesAudit if self.rng.chance(0.05) => (Phase::First, Phase::Last, 8),
            _ => {
                self.pending.push(event);
                return;
            }
        };
        let seed = if gap_ms == 0 { event.seed } else { self.rng.next() };
        self.pending.push(Event {
            phase: first,
            ..event
        });
        self.pending.push(Event {
            phase: last,
            time_ms: event.time_ms + gap_ms,
            seed,
            ..event
        });
    }

    fn act(&mut self, time_ms: i64, actor: Actor, key: &str, at: At, task: Task) {
        let event = self.draft(time_ms, actor, key, at, task);
        self.submit(event);
    }

    /// One call after the other, `pace_ms` apart on average; returns the time after the last.
    fn sequence(
        &mut self,
        mut time_ms: i64,
        pace_ms: i64,
        actor: Actor,
        keys: &[&str],
        at: At,
        task: Task,
    ) -> i64 {
        for key in keys {
            self.act(time_ms, actor, key, at, task);
            time_ms += self.rng.range(pace_ms / 2, pace_ms * 3 / 2 + 1);
        }
        time_ms
    }

    // People and places ------------------------------------------------------------------------------------------

    /// A person at work, as their usual day has it.
    fn person(&mut self, person: u16, time_ms: i64) -> Actor {
        let away = self
            .travellers
            .iter()
            .find(|&&(who, until_ms, _)| who == person && until_ms > time_ms);
        let away = away.map(|&(_, _, ip)| ip);
        let at_home = self.rng.chance(0.4);
        let profile = &self.organisation.people[person as usize];
        let usual = if at_home {
            profile.home
        } else {
            self.organisation.office(profile.site, person)
        };
        Actor {
            who: Who::Person(person),
            ip: away.unwrap_or(usual),
            agent: if profile.cli { Agent::Cli } else { Agent::Browser },
            identity: Identity::Sso,
            mfa: true,
            since_ms: time_ms - self.rng.range(MINUTE, 90 * MINUTE),
        }
    }

    /// The pipeline of a team, in a run that started at `time_ms`.
    fn pipeline(&self, team: u8, time_ms: i64, agent: Agent) -> Actor {
        let service = self.organisation.teams[team as usize].pipeline;
        Actor {
            who: Who::Service(service),
            ip: self.organisation.services[service as usize].ip,
            agent,
            identity: Identity::Pipeline,
            mfa: false,
            since_ms: time_ms,
        }
    }

    /// A working member of the team, sometimes with a wish for who it should not be.
    fn member(&mut self, team: u8, not: Option<u16>) -> u16 {
        let first = self.organisation.teams[team as usize].people[0];
        for _ in 0..20 {
            let at = self.rng.below(self.assignment.len() as u64) as u16;
            if self.assignment[at as usize] == team
                && Some(at) != not
                && self.joined_ms[at as usize] == i64::MIN
            {
                return at;
            }
        }
        // Large teams are found above; a small one falls back to its first members.
        if Some(first) == not { first + 1 } else { first }
    }

    fn active_team(&mut self) -> u8 {
        let active: Vec<u8> = (0..self.organisation.teams.len() as u8)
            .filter(|&team| self.organisation.teams[team as usize].active)
            .collect();
        self.rng.pick(&active)
    }

    fn app_of(&mut self, team: u8) -> u16 {
        let apps = self.organisation.teams[team as usize].apps.clone();
        apps[self.rng.skewed(apps.len())]
    }

    fn any_app(&mut self) -> u16 {
        self.rng.pick(&self.active_apps)
    }

    /// Anyone of an active team.
    fn anyone(&mut self) -> u16 {
        let team = self.active_team();
        self.member(team, None)
    }

    fn cloud(&self, team: u8, environment: Environment) -> u8 {
        self.organisation.teams[team as usize].cloud[environment as usize]
    }

    fn cluster(&self, team: u8, environment: Environment) -> u8 {
        self.organisation.teams[team as usize].cluster[environment as usize]
    }

    fn cloud_kind(&self, team: u8) -> PlaceKind {
        self.organisation.places[self.cloud(team, Environment::Production) as usize].kind
    }

    /// Local working time of a site, `hour` after midnight there, on the UTC day.
    fn local(&self, day_ms: i64, site: u8, hour: f64) -> i64 {
        day_ms + (hour * HOUR as f64) as i64 - SITES[site as usize].offset_min * MINUTE
    }

    fn new_story(&mut self) -> u32 {
        self.stories += 1;
        self.stories
    }

    /// Opens a piece of work of a team's application.
    fn open_work(&mut self, app: u16, author: u16) -> u32 {
        self.tickets += 1 + self.rng.below(3);
        self.pull_requests += 1;
        self.runs += 1 + self.rng.below(40);
        let team = self.organisation.apps[app as usize].team;
        let key = self.organisation.teams[team as usize].key;
        let ticket = format!("{key}-{}", self.tickets);
        let title = Organisation::title(&mut self.rng, self.organisation.apps[app as usize].name);
        let branch = format!("feature/{ticket}-{}", self.organisation.apps[app as usize].name);
        self.works.push(Work {
            ticket,
            title,
            branch,
            pull_request: self.pull_requests,
            commit: self.rng.next() | 1,
            run: self.runs,
            app,
            author,
        });
        (self.works.len() - 1) as u32
    }
}
