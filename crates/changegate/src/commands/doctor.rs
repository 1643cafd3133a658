use std::path::Path;

use changegate_engines::{Check, Paths, doctor};
use changegate_normalize::JsonLine;

use super::Answer;
use crate::args::{Format, Printed};
use crate::output::Printer;
use crate::setup;

pub(crate) fn run(config: Option<&Path>, asked: &Printed) -> Answer {
    let mut checks = doctor(&Paths::discover());
    checks.extend(settings(config));
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
        say!("{before}  {:14} {}", check.name, check.fix);
    }
    Ok(checks.iter().all(|check| check.ok))
}

/// The settings and the model that the stream would take.
fn settings(config: Option<&Path>) -> Vec<Check> {
    let check = |name, found: Result<String, anyhow::Error>, fix: &str| Check {
        name,
        needed_for: "the stream",
        ok: found.is_ok(),
        fix: if found.is_ok() {
            String::new()
        } else {
            fix.to_owned()
        },
        found: found.unwrap_or_else(|error| format!("{error:#}")),
    };
    let fix = "changegate config check";
    let settings = match setup::settings(config) {
        Ok(settings) => settings,
        Err(error) => return vec![check("settings", Err(error), fix)],
    };
    let faults = setup::faults(&settings).into_iter();
    let of_settings = faults.filter(|(key, _)| *key != "model");
    let held = of_settings.map(|(_, error)| error).next();
    let held = held.map_or_else(|| Ok(setup::origin(&settings)), Err);
    let model = setup::model(&settings, None);
    let model = model.map(|model| format!("{} {}", model.full_name(), model.hash()));
    vec![
        check("settings", held, fix),
        check(
            "model",
            model,
            "set model.path, or make one: changegate train --simulated-days 30",
        ),
    ]
}
