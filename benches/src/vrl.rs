//! A pipeline in the shape of Vector's against the program: the same topic through a Kafka source, a remap of 22 columns
//! and a JSON codec, and dropped. The rival (`benches/vrl`) is built by `benches/run vrl`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use bumpalo::Bump;
use changegate_normalize::{Child, JsonLine, Normalizer, render_change};
use serde_json::Value;

use crate::counts::Counts;
use crate::engines::{Engines, Topic};
use crate::{raw_record, records, road, settings};

/// Records whose columns are compared.
const COMPARED: usize = 1_000;
/// Columns that the remap writes.
const COLUMNS: usize = 22;

/// Instructions a record, SHA-256 excluded.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Of the rival.
    pub theirs: f64,
    /// Of the whole pipeline with scoring.
    pub ours: f64,
}

/// Counts two batches of so many records, and four, on both sides.
///
/// # Errors
/// What is missing on this machine; a run that does not end; columns that are not ours.
pub fn figures(records: u64) -> anyhow::Result<Figures> {
    let program =
        std::env::var_os("CHANGEGATE_VRL").context("CHANGEGATE_VRL is not set: run benches/run vrl")?;
    let program = PathBuf::from(program);
    same(&program)?;
    let engines = Engines::start()?;
    let (mut ours, mut theirs) = ([Counts::default(); 2], [Counts::default(); 2]);
    let lengths = road::lengths(records);
    for (number, length) in lengths.into_iter().enumerate() {
        let name = format!("bench_vrl_{number}");
        let topic = Topic::cloudtrail(&name);
        ours[number] = road::pipeline(&engines, &name, &topic, length, records, 1)?;
        let (bootstrap, partitions) = (engines.kafka().bootstrap, topic.partitions.to_string());
        let words = [
            "consume",
            &bootstrap,
            &topic.name,
            &partitions,
            &length.to_string(),
        ];
        theirs[number] = road::consumer(&engines, &format!("{name}.vrl"), &program, &words)?;
    }
    let of = |[short, long]: [Counts; 2]| Counts::per_record(short, long, lengths[1] - lengths[0]).0;
    Ok(Figures {
        theirs: of(theirs),
        ours: of(ours),
    })
}

/// Holds that the remap writes our columns under our names; what is empty there is left out here.
fn same(program: &Path) -> anyhow::Result<()> {
    let records = records::cloudtrail(COMPARED);
    let mut child = Command::new(program)
        .arg("map")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", program.display()))?;
    let mut input = child.stdin.take().context("a pipe to the remap")?;
    let lines = records.join(&b'\n');
    // Of its own, since both pipes fill up.
    let writer = std::thread::spawn(move || input.write_all(&lines));
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "the remap: {}", output.status);
    if !matches!(writer.join(), Ok(Ok(()))) {
        bail!("the remap did not read all records");
    }
    let (topic, tenant) = settings("aws.cloudtrail")?;
    let normalizer = Normalizer::new(topic, tenant)?;
    let arena = Bump::new();
    let mut mapped = output.stdout.split(|byte| *byte == b'\n');
    for record in &records {
        let ours = normalizer.record(&arena, &raw_record(record));
        let [Child::Change(event)] = ours.children else {
            bail!("a record that is no change: {:?}", ours.children);
        };
        let mut line = JsonLine::new();
        render_change(&mut line, event);
        let ours: Value = serde_json::from_str(&line.finish())?;
        let theirs: Value = serde_json::from_slice(mapped.next().context("too few events")?)?;
        let theirs = theirs.as_object().context("an event is no object")?;
        ensure!(theirs.len() == COLUMNS, "{} columns, not {COLUMNS}", theirs.len());
        for (name, value) in theirs {
            let empty = value.is_null() || value == "";
            let own = ours.get(name);
            ensure!(
                own == Some(value) || empty && own.is_none(),
                "{name} is {own:?} here and {value} there: {}",
                String::from_utf8_lossy(record)
            );
        }
    }
    Ok(())
}
