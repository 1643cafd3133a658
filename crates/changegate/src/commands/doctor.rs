use std::io::stdout;

use changegate_engines::{Paths, doctor};
use changegate_normalize::JsonLine;

use super::Answer;
use crate::args::Doctor;
use crate::output::Printer;

pub(crate) fn run(asked: &Doctor) -> Answer {
    let checks = doctor(&Paths::discover());
    let mut printer = Printer::new(
        stdout().lock(),
        asked.output,
        &["check", "state", "needed_for", "found", "fix"],
    );
    for check in &checks {
        let mut object = JsonLine::new();
        object
            .text("check", check.name)
            .text("state", if check.ok { "ok" } else { "missing" })
            .text("needed_for", check.needed_for)
            .text("found", &check.found);
        object.text("fix", &check.fix);
        printer.object(&object.finish())?;
    }
    printer.finish()?;
    Ok(checks.iter().all(|check| check.ok))
}
