//! The run: plans a day, puts its events into records, hands the records out in order of arrival.

use std::collections::BTreeMap;

use crate::calendar::{DAY, day_start};
use crate::catalog::{Kind, Source};
use crate::config::{Config, IncidentKind};
use crate::delivery::{self, Delivery, Form, Header, Scratch};
use crate::event::{Event, Who};
use crate::faults::{Malformed, damage};
use crate::organisation::{ORG, Organisation};
use crate::plan::Plan;
use crate::rng::{Rng, mix};
use crate::scene::Scene;
use crate::truth::{Label, Truth};

/// One record, as it arrives. The bytes are valid until the callback returns.
#[derive(Clone, Copy, Debug)]
pub struct Emitted<'a> {
    /// Name of the source.
    pub source: &'static str,
    /// Key of the Kafka record.
    pub key: Option<&'a [u8]>,
    /// Headers of the Kafka record.
    pub headers: &'a [Header],
    /// The record's bytes: JSON, base64 or gzip, as the source delivers them.
    pub value: &'a [u8],
    /// When it arrives, in milliseconds since 1970.
    pub record_time_ms: i64,
    /// Number of the record in the run, from 0.
    pub record: u64,
    /// How many events it holds; 0 for an unreadable one.
    pub children: u32,
    /// What is wrong with it, where something is.
    pub malformed: Option<Malformed>,
    /// Whether it is a second delivery.
    pub redelivery: bool,
    /// What is true about its events.
    pub truth: &'a [Truth],
    /// Name of a file of its own, for a record that is no text.
    pub file: Option<&'a str>,
}

/// What a run has emitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records.
    pub records: u64,
    /// Bytes of the records' values.
    pub bytes: u64,
    /// Events in them, second deliveries included.
    pub events: u64,
    /// Events that change something.
    pub changes: u64,
    /// Events that only read.
    pub reads: u64,
    /// Sign-ins.
    pub sign_ins: u64,
    /// Second deliveries, in records.
    pub duplicates: u64,
    /// Damaged records.
    pub malformed: u64,
    /// Events by source.
    pub by_source: BTreeMap<&'static str, u64>,
    /// Incidents by kind (not their events).
    pub incidents: BTreeMap<IncidentKind, u64>,
}

/// A seeded run of the organisation.
pub struct Simulation {
    config: Config,
    plan: Plan,
    rng: Rng,
}

impl Simulation {
    /// Prepares a run; nothing is planned yet.
    pub fn new(config: Config) -> Self {
        let plan = Plan::new(&config);
        let rng = Rng::new(mix(config.seed ^ 0xde11));
        Self { config, plan, rng }
    }

    /// Who there is.
    pub fn organisation(&self) -> &Organisation {
        &self.plan.organisation
    }

    /// Runs the whole period. Records come in order of arrival; an error of the callback ends the run.
    pub fn run<E>(mut self, mut emit: impl FnMut(&Emitted<'_>) -> Result<(), E>) -> Result<Summary, E> {
        let mut output = Output::default();
        let mut waiting: Vec<Delivery> = Vec::new();
        let mut stories: BTreeMap<u32, IncidentKind> = BTreeMap::new();
        let mut events = Vec::new();
        let mut day_ms = day_start(self.config.start_ms);
        while day_ms < self.config.end_ms {
            events.clear();
            self.plan.take_day(day_ms, &mut events);
            events.sort_by_key(|event: &Event| (event.time_ms, event.seed));
            for event in &events {
                if let Label::Incident(kind) = event.label {
                    stories.insert(event.story, kind);
                }
            }
            let scene = Scene {
                organisation: &self.plan.organisation,
                catalog: &self.plan.catalog,
                works: &self.plan.works,
            };
            let mut fresh = Vec::new();
            delivery::deliver(scene, &events, &self.config, &mut self.rng, &mut fresh);
            waiting.append(&mut fresh);
            day_ms += DAY;
            let last_day = day_ms >= self.config.end_ms;
            if last_day {
                // What would arrive after the end arrives at the end.
                for delivery in &mut waiting {
                    delivery.arrives_ms = delivery.arrives_ms.min(self.config.end_ms - 1);
                }
            }
            waiting.sort_by_key(|delivery| (delivery.arrives_ms, delivery.first.seed, delivery.redelivery));
            let ready = waiting.partition_point(|delivery| last_day || delivery.arrives_ms < day_ms);
            for delivery in waiting.drain(..ready) {
                let damaged = self.rng.chance(self.config.malformed_rate);
                output.emit(scene, &delivery, None, &mut emit)?;
                if damaged {
                    let kind =
                        Malformed::ALL[(output.summary.malformed % Malformed::ALL.len() as u64) as usize];
                    output.emit(scene, &fresh_copy(&delivery), Some(kind), &mut emit)?;
                }
            }
        }
        for kind in stories.into_values() {
            *output.summary.incidents.entry(kind).or_default() += 1;
        }
        Ok(output.summary)
    }
}

/// An event like the first of a delivery, with ids of its own, alone in its record.
fn fresh_copy(delivery: &Delivery) -> Delivery {
    let first = Event {
        seed: mix(delivery.first.seed),
        link: mix(delivery.first.link),
        ..delivery.first
    };
    let form = match delivery.form {
        Form::S3Gzip | Form::LogSubscription | Form::Lookup => Form::S3Plain,
        other => other,
    };
    Delivery {
        first,
        more: Vec::new(),
        form,
        ..*delivery
    }
}

#[derive(Default)]
struct Output {
    scratch: Scratch,
    value: Vec<u8>,
    key: Vec<u8>,
    headers: Vec<Header>,
    truth: Vec<Truth>,
    summary: Summary,
}

impl Output {
    fn emit<E>(
        &mut self,
        scene: Scene<'_>,
        delivery: &Delivery,
        malformed: Option<Malformed>,
        emit: &mut impl FnMut(&Emitted<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        delivery::write(
            scene,
            delivery,
            &mut self.scratch,
            &mut self.value,
            &mut self.key,
            &mut self.headers,
        );
        self.truth.clear();
        let record = self.summary.records;
        let mut children = 0;
        match malformed {
            Some(kind) => {
                damage(
                    delivery.source,
                    kind,
                    &mut self.value,
                    &mut Rng::new(delivery.first.seed),
                );
                self.summary.malformed += 1;
                children = u32::from(!kind.is_unreadable());
            }
            None => {
                for event in delivery.events() {
                    if delivery::has_truth(scene, event) {
                        self.truth
                            .push(truth(scene, event, record, children, delivery.redelivery));
                    }
                    children += 1;
                    match scene.call(event).kind {
                        Kind::Read => self.summary.reads += 1,
                        Kind::SignIn => self.summary.sign_ins += 1,
                        Kind::Write => self.summary.changes += 1,
                    }
                }
            }
        }
        self.summary.records += 1;
        self.summary.bytes += self.value.len() as u64;
        self.summary.events += u64::from(children);
        self.summary.duplicates += u64::from(delivery.redelivery);
        *self.summary.by_source.entry(delivery.source.name()).or_default() += u64::from(children);
        let file = (delivery.form == Form::S3Gzip).then(|| delivery::file_name(scene, delivery));
        emit(&Emitted {
            source: delivery.source.name(),
            key: Some(&self.key),
            headers: &self.headers,
            value: &self.value,
            record_time_ms: delivery.arrives_ms,
            record,
            children,
            malformed,
            redelivery: delivery.redelivery && malformed.is_none(),
            truth: &self.truth,
            file: file.as_deref(),
        })
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn truth(scene: Scene<'_>, event: &Event, record: u64, child: u32, redelivery: bool) -> Truth {
    let call = scene.call(event);
    let mut native_id = Vec::new();
    scene.native_id(event, &mut native_id);
    let work = (event.work != 0).then(|| scene.work(event));
    let commit = work.map(|_| {
        let mut out = Vec::new();
        scene.commit(event, &mut out);
        text(out)
    });
    // Behind a pipeline stands the person whose change it deploys.
    let actor = match (event.who, work) {
        (Who::Service(_), Some(work)) if event.story != 0 => scene.actor(Who::Person(work.author)),
        _ => scene.actor(event.who),
    };
    Truth {
        record,
        child,
        source: call.source.name().to_owned(),
        native_id: text(native_id),
        time_ms: event.time_ms,
        action: if call.name.is_empty() {
            call.service.to_owned()
        } else {
            format!("{}:{}", call.service, call.name)
        },
        is_change: call.kind == Kind::Write,
        story: event.story,
        ticket: work.map(|work| work.ticket.clone()),
        pull_request: work.map(|work| format!("{ORG}/{}#{}", scene.app(event).name, work.pull_request)),
        run: work.map(|work| work.run.to_string()),
        commit,
        actor: actor.to_owned(),
        approved: event.approved,
        environment: environment(scene, event).to_owned(),
        team: scene.team(event).key.to_owned(),
        label: event.label,
        redelivery,
    }
}

fn environment(scene: Scene<'_>, event: &Event) -> &'static str {
    match scene.call(event).source {
        Source::OktaSystem | Source::AzureEntra => "unknown",
        _ => scene.place(event).environment.name(),
    }
}
