//! Fills the holes of templates for one event.

use crate::calendar::{American, HOUR, Millis, Seconds};
use crate::catalog::{Call, Catalog, Source};
use crate::event::{Agent, Event, Phase, Who, Work};
use crate::organisation::{App, ORG, Organisation, Place, Team};
use crate::put::{Hex, LOWER, Letters, MIXED, Padded, UPPER, Uuid, put};
use crate::rng::{Rng, mix};
use crate::secrets::planted;
use crate::template::{Hole, Template};

/// All that is needed to write events.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) organisation: &'a Organisation,
    pub(crate) catalog: &'a Catalog,
    pub(crate) works: &'a [Work],
}

/// The same two words of any seed, for 128-bit ids.
fn wide(seed: u64) -> u128 {
    u128::from(mix(seed)) << 64 | u128::from(mix(seed ^ 0x1d))
}

impl<'a> Scene<'a> {
    pub(crate) fn call(&self, event: &Event) -> &'a Call {
        self.catalog.get(event.call)
    }

    pub(crate) fn place(&self, event: &Event) -> &'a Place {
        &self.organisation.places[event.place as usize]
    }

    pub(crate) fn app(&self, event: &Event) -> &'a App {
        &self.organisation.apps[event.app as usize]
    }

    pub(crate) fn team(&self, event: &Event) -> &'a Team {
        &self.organisation.teams[self.app(event).team as usize]
    }

    pub(crate) fn work(&self, event: &Event) -> &'a Work {
        &self.works[event.work as usize]
    }

    /// A person's address or a service account's name.
    pub(crate) fn actor(&self, who: Who) -> &'a str {
        match who {
            Who::Person(at) => &self.organisation.people[at as usize].email,
            Who::Service(at) => &self.organisation.services[at as usize].name,
        }
    }

    pub(crate) fn actor_name(&self, who: Who) -> &'a str {
        match who {
            Who::Person(at) => &self.organisation.people[at as usize].name,
            Who::Service(at) => &self.organisation.services[at as usize].name,
        }
    }

    pub(crate) fn actor_login(&self, who: Who) -> &'a str {
        match who {
            Who::Person(at) => &self.organisation.people[at as usize].login,
            Who::Service(at) => &self.organisation.services[at as usize].name,
        }
    }

    /// A number that stays with an actor over all runs.
    pub(crate) fn actor_seed(&self, who: Who) -> u64 {
        match who {
            Who::Person(at) => self.organisation.stable("person", u64::from(at)),
            Who::Service(at) => self.organisation.stable("service", u64::from(at)),
        }
    }

    /// The source's own id of the event.
    pub(crate) fn native_id(&self, event: &Event, out: &mut Vec<u8>) {
        match self.call(event).source {
            Source::GcpAudit => {
                // Parts of a split entry share the id, with the part's number at its end.
                let seed = if matches!(event.phase, Phase::Part(_)) {
                    event.link
                } else {
                    event.seed
                };
                put!(out; Letters(seed, 13, LOWER));
                if let Phase::Part(index) = event.phase {
                    put!(out; "-", u64::from(index));
                }
            }
            Source::KubernetesAudit | Source::AzureActivity => put!(out; Uuid(wide(event.link))),
            Source::GithubAudit => put!(out; Letters(event.seed, 22, MIXED)),
            Source::GitlabAudit => put!(out; event.seed >> 24),
            _ => put!(out; Uuid(wide(event.seed))),
        }
    }

    #[inline]
    pub(crate) fn fill(&self, template: &Template, event: &Event, rng: &mut Rng, out: &mut Vec<u8>) {
        template.write(out, |hole, out| self.hole(hole, event, rng, out));
    }

    fn hole(&self, hole: Hole, event: &Event, rng: &mut Rng, out: &mut Vec<u8>) {
        let organisation = self.organisation;
        match hole {
            Hole::Id => self.native_id(event, out),
            Hole::Link => put!(out; Uuid(wide(event.link))),
            Hole::Fresh => put!(out; Uuid(wide(rng.next()))),
            Hole::Number => put!(out; 1_000_000_000 + rng.below(8_000_000_000)),
            Hole::Count => put!(out; 2 + u64::from(event.app % 90) + u64::from(event.serial)),
            Hole::Hex8 => put!(out; Hex(u128::from(rng.next()), 8)),
            // Ids of cloud resources come back, as those of real resources do.
            Hole::Hex17 => {
                let resource =
                    organisation.stable("resource", u64::from(event.app) << 16 | u64::from(event.serial));
                put!(out; Hex(wide(resource), 16));
            }
            Hole::Hex40 => put!(out; Hex(wide(rng.next()), 32), Hex(u128::from(rng.next()), 8)),
            Hole::Hex64 => put!(out; Hex(wide(rng.next()), 32), Hex(wide(rng.next()), 32)),
            Hole::Base36 => put!(out; Letters(rng.next(), 16, UPPER)),
            Hole::Time => put!(out; Seconds(event.time_ms)),
            Hole::TimeMs => put!(out; Millis(event.time_ms)),
            Hole::EpochMs => put!(out; event.time_ms as u64),
            Hole::Expires => put!(out; American(event.time_ms + HOUR)),
            Hole::Email => put!(out; self.actor(event.who)),
            Hole::Name => put!(out; self.actor_name(event.who)),
            Hole::Login => put!(out; self.actor_login(event.who)),
            Hole::Ip => put!(out; event.ip),
            Hole::OtherEmail => put!(out; organisation.people[event.other as usize].email.as_str()),
            Hole::OtherName => put!(out; organisation.people[event.other as usize].name.as_str()),
            Hole::OtherLogin => put!(out; organisation.people[event.other as usize].login.as_str()),
            Hole::Account => put!(out; self.place(event).id.as_str()),
            Hole::PlaceName => put!(out; self.place(event).name.as_str()),
            Hole::Region => put!(out; self.place(event).region),
            Hole::Zone => {
                let zone = [b'a' + (event.app % 3) as u8];
                let dash = if self.call(event).source == Source::GcpAudit {
                    "-"
                } else {
                    ""
                };
                put!(out; self.place(event).region, dash);
                out.extend_from_slice(&zone);
            }
            Hole::Namespace => put!(out; self.team(event).name),
            Hole::Target => self.target(event, out),
            Hole::App => put!(out; self.app(event).name),
            Hole::AppTeam => put!(out; self.team(event).name),
            Hole::Environment => put!(out; self.place(event).environment.name()),
            Hole::Ticket => put!(out; self.work(event).ticket.as_str()),
            Hole::Title => put!(out; self.work(event).title.as_str()),
            Hole::Branch => put!(out; self.work(event).branch.as_str()),
            Hole::PullRequest => put!(out; self.work(event).pull_request),
            Hole::Commit => self.commit(event, out),
            Hole::Run => put!(out; self.run(event)),
            Hole::Repo => put!(out; ORG, "/", self.app(event).name),
            Hole::Author => {
                let author = if event.work == 0 {
                    None
                } else {
                    Some(Who::Person(self.work(event).author))
                };
                put!(out; self.actor_login(author.unwrap_or(event.who)));
            }
            Hole::Planted(kind) => put!(out; planted(kind, rng.next())),
            Hole::Open(_) | Hole::Close => {}
        }
    }

    pub(crate) fn target(&self, event: &Event, out: &mut Vec<u8>) {
        put!(out; self.app(event).name, "-", Padded(u64::from(event.serial), 2));
    }

    pub(crate) fn commit(&self, event: &Event, out: &mut Vec<u8>) {
        let commit = self.work(event).commit;
        let seed = if commit == 0 {
            mix(event.seed ^ 0xc0)
        } else {
            commit
        };
        put!(out; Hex(wide(seed), 32), Hex(u128::from(mix(seed ^ 3)), 8));
    }

    pub(crate) fn run(&self, event: &Event) -> u64 {
        let run = self.work(event).run;
        if run == 0 {
            10_000_000_000 + event.seed % 1_000_000_000
        } else {
            run
        }
    }

    /// The user agent that a source would log.
    pub(crate) fn agent(&self, event: &Event) -> &'static str {
        let variant = self.actor_seed(event.who) % 3;
        match (event.agent, variant) {
            (Agent::Browser, 0) => {
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
            }
            (Agent::Browser, 1) => {
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15"
            }
            (Agent::Browser, _) => "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
            (Agent::Cli, 0) => {
                "aws-cli/2.31.8 md/awscrt#0.27.6 ua/2.1 os/linux md/arch#x86_64 lang/python#3.13.7"
            }
            (Agent::Cli, _) => {
                "aws-cli/2.31.4 md/awscrt#0.27.6 ua/2.1 os/macos#25.0.0 md/arch#arm64 lang/python#3.13.7"
            }
            (Agent::Kubectl, 0) => "kubectl/v1.34.1 (linux/amd64) kubernetes/93248f9",
            (Agent::Kubectl, _) => "kubectl/v1.33.4 (darwin/arm64) kubernetes/74cdb42",
            (Agent::Terraform, _) => {
                "APN/1.0 HashiCorp/1.0 Terraform/1.13.4 (+https://www.terraform.io) terraform-provider-aws/6.18.0 aws-sdk-go-v2/1.39.3 os/linux"
            }
            (Agent::Runner, _) => {
                "aws-actions/configure-aws-credentials aws-sdk-nodejs/2.1692.0 linux/v20.19.5"
            }
            (Agent::Sdk, 0) => "aws-sdk-go-v2/1.39.3 ua/2.1 os/linux lang/go#1.25.3 md/GOARCH#arm64",
            (Agent::Sdk, 1) => {
                "Boto3/1.40.52 md/Botocore#1.40.52 ua/2.1 os/linux#6.1 md/arch#aarch64 lang/python#3.13.7"
            }
            (Agent::Sdk, _) => {
                "aws-sdk-java/2.35.6 md/io#sync md/http#Apache ua/2.1 os/Linux#6.1 lang/java#25"
            }
            (Agent::Controller, _) => "kube-controller-manager/v1.34.1 (linux/arm64) kubernetes/93248f9",
        }
    }
}
