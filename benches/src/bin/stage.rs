//! One stage, so many times, and nothing else: what callgrind counts. `stage normalize|generic|sha256 RECORDS`.

use std::hint::black_box;

use anyhow::{Context, bail};
use bumpalo::Bump;
use changegate_benches::{generic, records};
use changegate_normalize::{Normalizer, TenantSettings, TopicSettings};
use changegate_types::{Position, RawRecord, TimeMicros};
use sha2::{Digest as _, Sha256};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let stage = arguments.next().context("which stage?")?;
    let count: usize = arguments.next().context("how many records?")?.parse()?;
    let records = records::cloudtrail(1_000);
    let turns = (0..count).map(|turn| &records[turn % records.len()]);
    match stage.as_str() {
        "sha256" => {
            for record in turns {
                black_box(Sha256::digest(black_box(record)));
            }
        }
        "generic" => {
            for record in turns {
                black_box(generic::cloudtrail(black_box(record))?);
            }
        }
        "normalize" => {
            let tenant = TenantSettings {
                uid: "acme".into(),
                mask_key: vec![7; 32],
                ..TenantSettings::default()
            };
            let normalizer = Normalizer::new(TopicSettings::of("aws.cloudtrail"), tenant)?;
            let position = Position {
                topic: "t",
                incarnation: 0,
                partition: 0,
                offset: 0,
            };
            let mut arena = Bump::new();
            for (turn, value) in turns.enumerate() {
                let kafka_time = TimeMicros(1_772_668_800_000_000);
                let record = RawRecord {
                    position,
                    kafka_time,
                    key: None,
                    headers: &[],
                    value: Some(black_box(value)),
                };
                black_box(normalizer.record(&arena, &record));
                if turn % 256 == 255 {
                    arena.reset();
                }
            }
        }
        other => bail!("unknown stage {other}"),
    }
    Ok(())
}
