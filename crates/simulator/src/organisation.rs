//! The made-up organisation: teams, people, service accounts, clouds, clusters, repositories. Built from its own
//! seed, so that two runs (training and demo) can share it.

mod names;
mod network;
mod places;

pub(crate) use network::{SITES, geo, hostile_address, travel_address};

use crate::put::Ip;
use crate::rng::{Rng, mix};

/// Where a change lands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Environment {
    /// What customers use.
    Production,
    /// The rehearsal.
    Staging,
    /// Everything else.
    Dev,
}

impl Environment {
    /// The name used in rules and in the truth.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Staging => "staging",
            Self::Dev => "dev",
        }
    }

    pub(crate) const fn short(self) -> &'static str {
        match self {
            Self::Production => "prod",
            Self::Staging => "staging",
            Self::Dev => "dev",
        }
    }
}

/// One line of the configuration that says which environment (and whose) a place is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentRule {
    /// What the pattern is compared with: `account`, `subscription`, `project`, `cluster`, `namespace`, `repository`.
    pub field: &'static str,
    /// A shell-like pattern (`*` stands for anything).
    pub pattern: String,
    /// The environment; none where the rule only names an owner.
    pub environment: Option<Environment>,
    /// The owning team's name; none where several share the place.
    pub owner: Option<String>,
}

/// The kind of work someone does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Developer,
    Operator,
    Analyst,
    Security,
    Administrator,
    Manager,
}

#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) login: String,
    pub(crate) team: u8,
    pub(crate) role: Role,
    pub(crate) site: u8,
    pub(crate) home: Ip,
    /// Minutes that this person starts later than the site.
    pub(crate) shift_min: i64,
    /// How busy, 1.0 is the mean.
    pub(crate) pace: f64,
    pub(crate) cli: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceKind {
    /// Deploys for one team.
    Pipeline,
    /// A running workload.
    Workload,
    /// A controller inside a cluster.
    Controller,
    /// Reads everything, changes nothing.
    Scanner,
    /// Runs at night.
    Batch,
    /// The emergency account.
    BreakGlass,
}

#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) team: u8,
    pub(crate) kind: ServiceKind,
    pub(crate) place: u8,
    pub(crate) ip: Ip,
    /// Events on a working day at rate 1.0.
    pub(crate) per_day: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlaceKind {
    Aws,
    Azure,
    Gcp,
    Cluster,
}

#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) kind: PlaceKind,
    /// Account number, subscription id, project id, or cluster name.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) region: &'static str,
    pub(crate) environment: Environment,
}

#[derive(Clone, Debug)]
pub(crate) struct Team {
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    pub(crate) site: u8,
    pub(crate) on_gitlab: bool,
    /// Whether its members and services do anything in this run.
    pub(crate) active: bool,
    /// Cloud place by environment (production, staging, dev).
    pub(crate) cloud: [u8; 3],
    /// Cluster by environment.
    pub(crate) cluster: [u8; 3],
    /// Indices into [`Organisation::apps`].
    pub(crate) apps: Vec<u16>,
    pub(crate) people: Vec<u16>,
    pub(crate) pipeline: u16,
}

/// A running product of a team; its repository has the same name.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) name: &'static str,
    pub(crate) team: u8,
}

/// Who there is, and what they work on.
#[derive(Debug)]
pub struct Organisation {
    pub(crate) seed: u64,
    pub(crate) teams: Vec<Team>,
    pub(crate) people: Vec<Person>,
    pub(crate) services: Vec<Service>,
    pub(crate) places: Vec<Place>,
    pub(crate) apps: Vec<App>,
    pub(crate) break_glass: u16,
}

pub(crate) const DOMAIN: &str = "example.com";
/// Name of the organisation at the code hosts.
pub(crate) const ORG: &str = "northwind-parcels";

impl Organisation {
    /// The organisation of a seed; the team of the given key is there but does nothing.
    pub fn new(seed: u64, exclude_team: Option<&str>) -> Self {
        let mut rng = Rng::new(mix(seed ^ 0x0a11));
        let mut organisation = Self {
            seed,
            teams: Vec::new(),
            people: Vec::new(),
            services: Vec::new(),
            places: places::places(&mut rng),
            apps: Vec::new(),
            break_glass: 0,
        };
        for (key, name, apps) in names::TEAMS {
            // The excluded team exists and does nothing, so that everyone else stays who they are.
            organisation.add_team(&mut rng, key, name, &apps, exclude_team != Some(key));
        }
        organisation.add_shared_services(&mut rng);
        organisation
    }

    fn place_named(&self, name: &str) -> u8 {
        let at = self.places.iter().position(|place| place.name == name);
        at.unwrap_or_else(|| panic!("no place is called {name}")) as u8
    }

    fn add_team(
        &mut self,
        rng: &mut Rng,
        key: &'static str,
        name: &'static str,
        apps: &[&'static str],
        active: bool,
    ) {
        let index = self.teams.len() as u8;
        let (cloud, cluster) = match key {
            "PAY" | "LED" => (["finance-prod", "finance-staging", "finance-dev"], "eks-eu1"),
            "CHK" | "CAT" | "SRC" => (["shop-prod", "shop-staging", "shop-dev"], "eks-us1"),
            "IDN" | "LOG" => (["core-prod", "core-staging", "core-dev"], "eks-eu1"),
            "PLT" | "SEC" => (["platform-prod", "platform-staging", "platform-dev"], "eks-us1"),
            "DAT" => (["np-data-prod", "np-data-staging", "np-data-dev"], "gke-data"),
            "MLX" => (["np-ml-prod", "np-ml-staging", "np-ml-dev"], "gke-data"),
            _ => (["corp-prod", "corp-staging", "corp-dev"], "aks-corp"),
        };
        let clusters = ["prod", "staging", "dev"].map(|env| self.place_named(&format!("{cluster}-{env}")));
        let on_gitlab = matches!(key, "DAT" | "MLX" | "CIT" | "LED");
        let site = match key {
            "SRC" | "CAT" => 1,
            "LOG" | "MLX" => 2,
            _ => 0,
        };
        let mut team = Team {
            key,
            name,
            site,
            on_gitlab,
            active,
            cloud: cloud.map(|name| self.place_named(name)),
            cluster: clusters,
            apps: Vec::new(),
            people: Vec::new(),
            pipeline: self.services.len() as u16,
        };
        self.services.push(Service {
            name: format!("deploy-{name}"),
            team: index,
            kind: ServiceKind::Pipeline,
            place: team.cloud[0],
            ip: Ip(0xc633_6400 + rng.below(250) as u32), // 198.51.100.0/24: hosted runners
            per_day: 0.0,
        });
        for app in apps {
            team.apps.push(self.apps.len() as u16);
            self.apps.push(App {
                name: app,
                team: index,
            });
            for (suffix, env) in [("", 0), ("-staging", 1)] {
                let in_cluster = rng.chance(0.5);
                self.services.push(Service {
                    name: format!("{app}{suffix}"),
                    team: index,
                    kind: if rng.chance(0.15) {
                        ServiceKind::Batch
                    } else {
                        ServiceKind::Workload
                    },
                    place: if in_cluster {
                        team.cluster[env]
                    } else {
                        team.cloud[env]
                    },
                    ip: Ip(0x0a00_0000 + (rng.below(0x00ff_ffff) as u32 & 0x00ff_fffe)),
                    per_day: if env == 0 {
                        30.0 + 40.0 * rng.unit()
                    } else {
                        8.0 + 12.0 * rng.unit()
                    },
                });
            }
        }
        let size = 16 + rng.below(12);
        for number in 0..size {
            let person = self.new_person(rng, index, site, number);
            team.people.push(self.people.len() as u16);
            self.people.push(person);
        }
        self.teams.push(team);
    }

    pub(crate) fn new_person(&self, rng: &mut Rng, team: u8, site: u8, number: u64) -> Person {
        let (first, last) = (rng.pick(&names::FIRST), rng.pick(&names::LAST));
        let plain: String = format!("{first}.{last}")
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '.')
            .collect();
        let plain = plain.to_lowercase();
        let mut mailbox = plain.clone();
        let mut count = 1;
        while self
            .people
            .iter()
            .any(|other| other.email.split('@').next() == Some(mailbox.as_str()))
        {
            count += 1;
            mailbox = format!("{plain}{count}");
        }
        let role = match (team, number) {
            (_, 0) => Role::Manager,
            (9, _) => Role::Operator,
            (10, _) => Role::Security,
            (11, _) => Role::Administrator,
            (7 | 8, n) if n % 2 == 0 => Role::Analyst,
            (_, 1..=3) => Role::Operator,
            _ => Role::Developer,
        };
        // A fifth of a team works far from its own site.
        let site = if rng.chance(0.2) {
            rng.below(SITES.len() as u64) as u8
        } else {
            site
        };
        Person {
            name: format!("{first} {last}"),
            login: mailbox.replace('.', "-"),
            email: format!("{mailbox}@{DOMAIN}"),
            team,
            role,
            site,
            home: Ip(0xc612_0000 + (u32::from(site) << 14) + rng.below(0x3fff) as u32), // 198.18.0.0/16
            shift_min: rng.range(-60, 121),
            pace: 0.4 + 1.2 * rng.unit(),
            cli: rng.chance(0.6),
        }
    }

    fn add_shared_services(&mut self, rng: &mut Rng) {
        let platform = self.teams.iter().position(|team| team.key == "PLT").unwrap_or(0) as u8;
        let security = self.teams.iter().position(|team| team.key == "SEC").unwrap_or(0) as u8;
        let clusters: Vec<u8> = self.places_of(PlaceKind::Cluster);
        for &place in &clusters {
            let share = if self.places[place as usize].environment == Environment::Production {
                1.0
            } else {
                0.4
            };
            for (name, per_day) in [
                ("deployment-controller", 90.0),
                ("replicaset-controller", 80.0),
                ("horizontal-pod-autoscaler", 60.0),
                ("cert-manager", 20.0),
                ("external-secrets", 30.0),
                ("argocd-application-controller", 45.0),
            ] {
                self.add_service(
                    rng,
                    name,
                    platform,
                    ServiceKind::Controller,
                    place,
                    per_day * share,
                );
            }
        }
        for place in self.places_of(PlaceKind::Aws) {
            let production = self.places[place as usize].environment == Environment::Production;
            let share = if production { 1.0 } else { 0.35 };
            self.add_service(
                rng,
                "AWSServiceRoleForConfig",
                security,
                ServiceKind::Scanner,
                place,
                60.0 * share,
            );
            self.add_service(
                rng,
                "cspm-reader",
                security,
                ServiceKind::Scanner,
                place,
                60.0 * share,
            );
            self.add_service(
                rng,
                "AWSServiceRoleForAutoScaling",
                platform,
                ServiceKind::Workload,
                place,
                110.0 * share,
            );
            self.add_service(
                rng,
                "backup-runner",
                platform,
                ServiceKind::Batch,
                place,
                40.0 * share,
            );
        }
        for kind in [PlaceKind::Azure, PlaceKind::Gcp] {
            for place in self.places_of(kind) {
                self.add_service(rng, "cspm-reader", security, ServiceKind::Scanner, place, 40.0);
                self.add_service(rng, "backup-runner", platform, ServiceKind::Batch, place, 20.0);
            }
        }
        self.break_glass = self.services.len() as u16;
        let place = self.place_named("finance-prod");
        self.add_service(
            rng,
            "break-glass-01",
            platform,
            ServiceKind::BreakGlass,
            place,
            0.0,
        );
    }

    fn add_service(
        &mut self,
        rng: &mut Rng,
        name: &str,
        team: u8,
        kind: ServiceKind,
        place: u8,
        per_day: f64,
    ) {
        let ip = Ip(0x0a00_0000 + (rng.below(0x00ff_ffff) as u32 & 0x00ff_fffe));
        self.services.push(Service {
            name: name.to_owned(),
            team,
            kind,
            place,
            ip,
            per_day,
        });
    }

    pub(crate) fn places_of(&self, kind: PlaceKind) -> Vec<u8> {
        (0..self.places.len() as u8)
            .filter(|&at| self.places[at as usize].kind == kind)
            .collect()
    }

    /// The office address of a person's site.
    pub(crate) fn office(&self, site: u8, person: u16) -> Ip {
        Ip(0xcb00_7100 + (u32::from(site) << 6) + u32::from(person % 6)) // 203.0.113.0/24
    }

    /// An id that stays the same over all runs of this organisation.
    pub(crate) fn stable(&self, tag: &str, index: u64) -> u64 {
        let tag = tag.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        mix(self.seed ^ tag ^ mix(index))
    }

    pub(crate) fn title(rng: &mut Rng, app: &str) -> String {
        rng.pick(&names::TITLES).replace("{}", app)
    }

    /// The rules that tell environment and owner of everything here, as a configuration would hold them.
    pub fn environment_rules(&self) -> Vec<EnvironmentRule> {
        let mut rules = Vec::new();
        for place in &self.places {
            let field = match place.kind {
                PlaceKind::Aws => "account",
                PlaceKind::Azure => "subscription",
                PlaceKind::Gcp => "project",
                PlaceKind::Cluster => "cluster",
            };
            let environment = Some(place.environment);
            rules.push(EnvironmentRule {
                field,
                pattern: place.id.clone(),
                environment,
                owner: None,
            });
        }
        for team in &self.teams {
            let owner = Some(team.name.to_owned());
            rules.push(EnvironmentRule {
                field: "namespace",
                pattern: format!("{}*", team.name),
                environment: None,
                owner: owner.clone(),
            });
            for &app in &team.apps {
                rules.push(EnvironmentRule {
                    field: "repository",
                    pattern: format!("{ORG}/{}", self.apps[app as usize].name),
                    environment: Some(Environment::Production),
                    owner: owner.clone(),
                });
            }
        }
        rules
    }

    /// How many people and service accounts there are.
    pub fn size(&self) -> (usize, usize) {
        (self.people.len(), self.services.len())
    }
}
