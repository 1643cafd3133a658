use changegate_engines::{Paths, doctor};
use changegate_normalize::JsonLine;

use super::Answer;
use crate::args::{Format, Printed};
use crate::output::Printer;

pub(crate) fn run(asked: &Printed) -> Answer {
    let checks = doctor(&Paths::discover());
    let mut printer = Printer::stdout(asked.output, &["check", "state", "needed_for", "found"]);
    for check in &checks {
        let mut object = JsonLine::new();
        object
            .text("check", check.name)
            .text("state", if check.ok { "ok" } else { "missing" })
            .text("needed_for", check.needed_for)
            .text("found", &check.found);
        object.text("fix", &check.fix);
        printer.line(object)?;
    }
    printer.finish()?;
    // Below the table, whole, so that they can be copied.
    let missing = checks
        .iter()
        .filter(|check| !check.ok && asked.output == Format::Table);
    for (index, check) in missing.enumerate() {
        let before = if index == 0 { "\nTo mend it:\n" } else { "" };
        println!("{before}  {:14} {}", check.name, check.fix);
    }
    Ok(checks.iter().all(|check| check.ok))
}
