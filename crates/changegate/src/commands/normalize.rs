use std::io::{BufWriter, stderr, stdout};
use std::path::Path;

use changegate_normalize::{Child, JsonLine, render_change};

use super::Answer;
use crate::args::Normalize;
use crate::input::{self, FileClock};
use crate::output::Printer;
use crate::setup;

const COLUMNS: &[&str] = &[
    "line",
    "event_time",
    "actor=actor_name|environment",
    "operation=api_operation|action_verb",
    "resource_names",
    "marks",
];

pub(crate) fn run(config: Option<&Path>, asked: &Normalize) -> Answer {
    if input::asks_for_list(&asked.input.source, &asked.input.files)? {
        return Ok(true);
    }
    let settings = setup::settings(config)?;
    let normalizer = setup::file_normalizer(&settings, &asked.input.source, &asked.input.cluster)?;
    let mut printer = Printer::new(BufWriter::new(stdout().lock()), asked.output, COLUMNS);
    let mut faults = BufWriter::new(stderr().lock());
    let mut good = true;
    for file in &asked.input.files {
        let bytes = input::read(file)?;
        good &= input::each_child(
            &normalizer,
            &bytes,
            &mut FileClock::default(),
            &mut faults,
            |line, index, child, _| {
                let (Child::Change(event) | Child::Learn(event)) = child else {
                    return Ok(());
                };
                let mut object = JsonLine::new();
                object.number("line", line).number("child", index);
                render_change(&mut object, event);
                printer.object(&object.finish())
            },
        )?;
    }
    printer.finish()?;
    Ok(good)
}
