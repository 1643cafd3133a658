//! A small made-up organisation: people and services with habits, and a few attacks among them.

use changegate_risk::{TrainOptions, Trainer, Truth};
use changegate_types::{
    ActorType, ChangeEvent, Keyed128, PrivilegeClass, Resource, Status, TimeMicros, Verb,
};

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

/// Events of tests live as long as the test.
pub(crate) fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

pub(crate) type Told = (ChangeEvent<'static>, TimeMicros, Option<&'static str>);

pub(crate) const DAY: i64 = 86_400_000_000;
/// 2026-06-01, a Monday.
pub(crate) const START: i64 = 1_780_272_000_000_000;

const ACTIONS: [(&str, &str, Verb, PrivilegeClass); 10] = [
    ("ec2", "RunInstances", Verb::Create, PrivilegeClass::Compute),
    ("ec2", "TerminateInstances", Verb::Delete, PrivilegeClass::Compute),
    ("s3", "PutObject", Verb::Update, PrivilegeClass::Data),
    (
        "lambda",
        "UpdateFunctionCode",
        Verb::Update,
        PrivilegeClass::Compute,
    ),
    ("ecs", "UpdateService", Verb::Update, PrivilegeClass::Compute),
    ("rds", "ModifyDBInstance", Verb::Update, PrivilegeClass::Data),
    (
        "codepipeline",
        "StartPipelineExecution",
        Verb::Update,
        PrivilegeClass::Pipeline,
    ),
    (
        "route53",
        "ChangeResourceRecordSets",
        Verb::Update,
        PrivilegeClass::Network,
    ),
    ("iam", "CreateRole", Verb::Create, PrivilegeClass::Identity),
    ("s3", "ListBuckets", Verb::Read, PrivilegeClass::None),
];

fn base(dice: &mut Dice, at: i64) -> Told {
    let actor = dice.roll(60);
    let service = actor >= 40;
    let team = actor % 4;
    let habit = if dice.roll(20) == 0 {
        dice.roll(10)
    } else {
        (team * 2 + dice.roll(3)) % 10
    };
    let (api, operation, verb, class) = ACTIONS[habit as usize];
    let production = if service { true } else { dice.roll(4) == 0 };
    let resource = Resource {
        uid: leak(format!(
            "arn:aws:{api}:team-{team}/{}-{}",
            ["web", "api", "job"][dice.roll(3) as usize],
            dice.roll(500)
        )),
        kind: api_kind(api),
        name: "",
    };
    let uid = Keyed128(u128::from(dice.roll(u64::MAX)));
    let event = ChangeEvent {
        event_uid: uid,
        content_hash: uid,
        tenant_uid: "t1",
        source: "aws.cloudtrail",
        event_time: TimeMicros(at),
        status: if dice.roll(40) == 0 {
            Status::Failure
        } else {
            Status::Success
        },
        account_uid: ["111111111111", "222222222222"][usize::from(production)],
        region: "eu-central-1",
        actor_uid: leak(format!(
            "arn:aws:iam::role/{}-{actor}",
            if service { "svc" } else { "person" }
        )),
        actor_type: if service {
            ActorType::Service
        } else {
            ActorType::User
        },
        actor_credential_uid: leak(format!("AKIA{actor}")),
        actor_is_mfa: (!service).then_some(true),
        src_ip: format!("::ffff:10.{team}.{}.{}", actor % 3, dice.roll(250))
            .parse()
            .ok(),
        user_agent: if service {
            "aws-sdk-go/1.44"
        } else {
            "aws-cli/2.15 Python/3.11"
        },
        api_service: api,
        api_operation: operation,
        resources: Box::leak(Box::new([resource])),
        environment: ["staging", "production"][usize::from(production)],
        verb,
        privilege_class: class,
        is_change: verb != Verb::Read,
        ticket_uids: if dice.roll(10) < 9 { &["OPS-17"] } else { &[] },
        ..ChangeEvent::default()
    };
    (event, TimeMicros(at), None)
}

fn api_kind(api: &str) -> &'static str {
    match api {
        "s3" => "AWS::S3::Bucket",
        "ec2" => "AWS::EC2::Instance",
        _ => "",
    }
}

/// `count` events over `days`; with `attacks`, one in 400 is a stolen key that stops logging or makes an admin.
pub(crate) fn events(seed: u64, count: usize, days: i64, attacks: bool) -> Vec<Told> {
    let mut dice = Dice(seed);
    let mut told = Vec::with_capacity(count);
    for at in 0..count as i64 {
        let time = START + days * DAY * at / count as i64 + dice.roll(1_000_000) as i64;
        let mut one = base(&mut dice, time);
        if attacks && at % 400 == 399 {
            let event = &mut one.0;
            let stop = at % 800 == 399;
            (event.api_service, event.api_operation) = if stop {
                ("cloudtrail", "StopLogging")
            } else {
                ("iam", "AttachUserPolicy")
            };
            event.verb = Verb::Update;
            event.is_change = true;
            event.privilege_class = if stop {
                PrivilegeClass::Logging
            } else {
                PrivilegeClass::Identity
            };
            event.environment = "production";
            event.src_ip = format!("::ffff:185.{}.7.9", at % 200).parse().ok();
            event.user_agent = "Boto3/1.26 kali";
            event.ticket_uids = &[];
            one.2 = Some(if stop { "logging_stopped" } else { "admin_made" });
        }
        told.push(one);
    }
    told
}

/// A trainer that has seen them.
pub(crate) fn trainer(told: &[Told], options: TrainOptions) -> Trainer {
    let mut trainer = Trainer::new(options);
    for (at, (event, time, attack)) in told.iter().enumerate() {
        let id = at.to_string();
        let truth = attack.map_or(Truth::Benign, |kind| Truth::Incident { kind, id: &id });
        trainer.observe(event, *time, Some(truth));
    }
    trainer
}
