use std::io::{BufWriter, stderr, stdout};
use std::path::Path;

use changegate_normalize::{Child, render_change};

use super::Answer;
use crate::args::Normalize;
use crate::input::{self, FileClock};
use crate::output::Printer;
use crate::setup;

const COLUMNS: &[&str] = &[
    "line=file|line",
    "!event_time",
    "actor=actor_name|environment",
    "change=api_operation|resource_names|action_verb marks",
];

pub(crate) fn run(config: Option<&Path>, asked: &Normalize) -> Answer {
    input::some(&asked.input.files)?;
    let settings = setup::settings(config)?;
    let normalizer = setup::file_normalizer(&settings, &asked.input.source, &asked.input.cluster)?;
    let mut printer = Printer::new(BufWriter::new(stdout().lock()), asked.output, COLUMNS);
    let mut faults = BufWriter::new(stderr().lock());
    let mut good = true;
    for file in &asked.input.files {
        let bytes = input::read(file)?;
        let name = input::told_name(file, &asked.input.files);
        good &= input::each_child(
            &normalizer,
            &name,
            &bytes,
            &mut FileClock::default(),
            &mut faults,
            |line, index, child, _| {
                let (Child::Change(event) | Child::Learn(event)) = child else {
                    return Ok(());
                };
                let mut object = input::place(&name, line);
                object.number("child", index);
                render_change(&mut object, event);
                printer.object(&object.finish())
            },
        )?;
    }
    printer.finish()?;
    Ok(good)
}
