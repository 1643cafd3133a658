//! Load: a pool of prepared records, each given a new id and time every time it is handed out.

use crate::calendar::{DAY, Seconds};
use crate::catalog::Source;
use crate::config::Config;
use crate::delivery::{self, Delivery, Form, Header, Scratch};
use crate::event::Event;
use crate::plan::Plan;
use crate::put::{LOWER, Letters, MIXED, Put, Uuid};
use crate::rng::{Rng, mix};
use crate::scene::Scene;

/// How an id is spelled.
#[derive(Clone, Copy)]
enum Spelling {
    Uuid,
    Digits,
    Lower,
    Mixed,
}

#[derive(Clone, Copy)]
enum Stamp {
    /// The date and time to the second, 19 bytes.
    Iso,
    /// Milliseconds since 1970, 13 bytes.
    Epoch,
    /// The id of the event with this number in the record.
    Id {
        event: u32,
        length: usize,
        spelling: Spelling,
    },
}

struct Prepared {
    source: &'static str,
    key: Vec<u8>,
    headers: Vec<Header>,
    /// Which header holds the id.
    id_header: Option<usize>,
    value: Vec<u8>,
    stamps: Vec<(usize, Stamp)>,
    children: u32,
}

/// One record of the load. Its bytes are valid until the next one is asked for.
#[derive(Clone, Copy, Debug)]
pub struct LoadRecord<'a> {
    /// Name of the source.
    pub source: &'static str,
    /// Key of the Kafka record.
    pub key: &'a [u8],
    /// Headers of the Kafka record.
    pub headers: &'a [Header],
    /// The record's bytes.
    pub value: &'a [u8],
    /// How many events it holds.
    pub children: u32,
}

/// Hands out prepared records over and over, each time with fresh ids and the given time.
pub struct LoadGenerator {
    pool: Vec<Prepared>,
    count: u64,
    seed: u64,
    id: Vec<u8>,
    iso: Vec<u8>,
    epoch: Vec<u8>,
    iso_second: i64,
}

impl LoadGenerator {
    /// A pool of `pool_size` records of all sources, in their ordinary mix; nothing in it is compressed.
    pub fn new(seed: u64, pool_size: usize) -> Self {
        Self::of(seed, pool_size, &Source::ALL)
    }

    /// A pool of single CloudTrail records.
    pub fn cloudtrail(seed: u64, pool_size: usize) -> Self {
        Self::of(seed, pool_size, &[Source::AwsCloudtrail])
    }

    /// A pool of the given sources. CloudTrail alone comes without any envelope.
    pub fn of(seed: u64, pool_size: usize, sources: &[Source]) -> Self {
        let end_ms = 1_795_478_400_000; // Any working day; every record gets the time of its use.
        let mut plan = Plan::new(&Config {
            incident_rate: 0.0,
            ..Config::days(seed, 60, end_ms)
        });
        let mut rng = Rng::new(mix(seed ^ 0x10ad));
        let mut pool = Vec::with_capacity(pool_size);
        let mut scratch = Scratch::default();
        let mut day_ms = end_ms - 58 * DAY;
        while pool.len() < pool_size && day_ms < end_ms {
            let mut events = Vec::new();
            plan.take_day(day_ms, &mut events);
            events.sort_by_key(|event| (event.time_ms, event.seed));
            let scene = Scene {
                organisation: &plan.organisation,
                catalog: &plan.catalog,
                works: &plan.works,
            };
            events.retain(|event| sources.contains(&scene.call(event).source));
            let config = Config {
                duplicate_rate: 0.0,
                ..Config::days(seed, 1, end_ms)
            };
            let mut deliveries = Vec::new();
            delivery::deliver(scene, &events, &config, &mut rng, &mut deliveries);
            // Spread over the day, so that a small pool holds all that a day holds.
            while pool.len() < pool_size && !deliveries.is_empty() {
                let at = rng.below(deliveries.len() as u64) as usize;
                let mut delivery = single(deliveries.swap_remove(at));
                if sources == [Source::AwsCloudtrail] {
                    delivery.form = Form::Bare;
                }
                pool.push(prepare(scene, &delivery, &mut scratch));
            }
            day_ms += DAY;
        }
        Self {
            pool,
            count: 0,
            seed,
            id: Vec::new(),
            iso: Vec::new(),
            epoch: Vec::new(),
            iso_second: i64::MIN,
        }
    }

    /// How many records are prepared.
    pub fn pool_size(&self) -> usize {
        self.pool.len()
    }

    /// The next record, with fresh ids and the time `now_ms`.
    ///
    /// # Panics
    /// On a pool of size 0.
    pub fn next(&mut self, now_ms: i64) -> LoadRecord<'_> {
        if now_ms.div_euclid(1000) != self.iso_second {
            self.iso_second = now_ms.div_euclid(1000);
            self.iso.clear();
            Seconds(now_ms).put(&mut self.iso);
            self.iso.truncate(19);
        }
        self.epoch.clear();
        (now_ms as u64).put(&mut self.epoch);
        let at = (self.count % self.pool.len() as u64) as usize;
        self.count += 1;
        let ids = mix(self.seed ^ self.count);
        let prepared = &mut self.pool[at];
        for &(offset, stamp) in &prepared.stamps {
            let text = match stamp {
                Stamp::Iso => &self.iso,
                Stamp::Epoch => &self.epoch,
                Stamp::Id {
                    event,
                    length,
                    spelling,
                } => {
                    fresh_id(ids ^ u64::from(event) << 40, length, spelling, &mut self.id);
                    &self.id
                }
            };
            prepared.value[offset..offset + text.len()].copy_from_slice(text);
        }
        if let Some(header) = prepared.id_header {
            fresh_id(
                ids,
                prepared.headers[header].1.len(),
                Spelling::Uuid,
                &mut self.id,
            );
            prepared.headers[header].1.copy_from_slice(&self.id);
        }
        LoadRecord {
            source: prepared.source,
            key: &prepared.key,
            headers: &prepared.headers,
            value: &prepared.value,
            children: prepared.children,
        }
    }
}

fn fresh_id(seed: u64, length: usize, spelling: Spelling, out: &mut Vec<u8>) {
    out.clear();
    match spelling {
        Spelling::Uuid => Uuid(u128::from(seed) << 64 | u128::from(mix(seed))).put(out),
        Spelling::Digits => Letters(seed, length, b"123456789").put(out),
        Spelling::Lower => Letters(seed, length, LOWER).put(out),
        Spelling::Mixed => Letters(seed, length, MIXED).put(out),
    }
    // Every spelling has the length of what it replaces; a UUID always has its 36 bytes.
    if out.len() != length {
        out.resize(length, b'0');
    }
}

/// The same delivery in a form whose bytes can be stamped.
fn single(delivery: Delivery) -> Delivery {
    match delivery.form {
        Form::S3Gzip
        | Form::S3Plain
        | Form::LogSubscription
        | Form::Lookup
        | Form::Push
        | Form::Connector => Delivery {
            form: Form::Bare,
            more: Vec::new(),
            ..delivery
        },
        _ => delivery,
    }
}

fn positions(value: &[u8], text: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = value[from..]
        .windows(text.len())
        .position(|window| window == text)
    {
        found.push(from + at);
        from += at + text.len();
    }
    found
}

fn prepare(scene: Scene<'_>, delivery: &Delivery, scratch: &mut Scratch) -> Prepared {
    let (mut value, mut key, mut headers) = (Vec::new(), Vec::new(), Vec::new());
    delivery::write(scene, delivery, scratch, &mut value, &mut key, &mut headers);
    let mut stamps = Vec::new();
    let mut id_header = None;
    let mut children = 0;
    for (number, event) in delivery.events().enumerate() {
        stamp_event(scene, event, number as u32, &value, &mut stamps);
        let mut id = Vec::new();
        scene.native_id(event, &mut id);
        id_header = id_header.or_else(|| headers.iter().position(|(_, text)| *text == id));
        children += 1;
    }
    stamps.sort_by_key(|&(offset, _)| offset);
    stamps.dedup_by_key(|&mut (offset, _)| offset);
    Prepared {
        source: delivery.source.name(),
        key,
        headers,
        id_header,
        value,
        stamps,
        children,
    }
}

fn stamp_event(scene: Scene<'_>, event: &Event, number: u32, value: &[u8], stamps: &mut Vec<(usize, Stamp)>) {
    let mut id = Vec::new();
    scene.native_id(event, &mut id);
    let spelling = match scene.call(event).source {
        Source::GcpAudit => Spelling::Lower,
        Source::GithubAudit => Spelling::Mixed,
        Source::GitlabAudit => Spelling::Digits,
        _ => Spelling::Uuid,
    };
    let stamp = Stamp::Id {
        event: number,
        length: id.len(),
        spelling,
    };
    stamps.extend(positions(value, &id).into_iter().map(|at| (at, stamp)));
    for near_ms in [event.time_ms, event.time_ms - 9] {
        let mut iso = Vec::new();
        Seconds(near_ms).put(&mut iso);
        iso.truncate(19);
        stamps.extend(positions(value, &iso).into_iter().map(|at| (at, Stamp::Iso)));
    }
    let mut epoch = Vec::new();
    (event.time_ms as u64).put(&mut epoch);
    stamps.extend(positions(value, &epoch).into_iter().map(|at| (at, Stamp::Epoch)));
}
