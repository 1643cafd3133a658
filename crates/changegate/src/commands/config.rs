use std::path::Path;

use changegate_config::{Error, Settings};
use changegate_normalize::JsonLine;

use super::Answer;
use crate::args::{Config, ConfigCommand, Format};
use crate::output::Printer;
use crate::{output, setup};

pub(crate) fn run(config: Option<&Path>, asked: &Config) -> Answer {
    match &asked.what {
        ConfigCommand::Check { printed } => match setup::settings(config) {
            Ok(settings) => check(&settings, printed.output),
            Err(error) => refused(error, printed.output),
        },
        ConfigCommand::Show { redacted: _, output } => {
            let text = setup::settings(config)?.to_toml_redacted();
            if *output == Format::Table {
                output::text(&text)?;
            } else {
                let table: toml::Table = toml::from_str(&text)?;
                output::sheet(*output, &serde_json::to_string(&table)?)?;
            }
            Ok(true)
        }
    }
}

/// Whether what the settings name can be had too: a model, a filter of the log.
fn check(settings: &Settings, format: Format) -> Answer {
    let faults = setup::faults(settings);
    if !faults.is_empty() {
        let faults = faults.iter().map(|(key, error)| (*key, format!("{error:#}")));
        let faults: Vec<_> = faults.collect();
        let lines = faults.iter().map(|(key, problem)| format!("{key}: {problem}"));
        let text = format!(
            "the settings hold by themselves, but cannot be used:\n  {}",
            lines.collect::<Vec<_>>().join("\n  ")
        );
        return list(&faults, &text, format);
    }
    let model = setup::model(settings, None)?;
    let mut line = JsonLine::new();
    line.text("settings", "hold")
        .text("from", &setup::origin(settings))
        .text("model", &model.full_name())
        .text("model_hash", &model.hash().to_string());
    output::sheet(format, &line.finish())?;
    Ok(true)
}

/// What is wrong with the settings. A file that cannot be read is no answer, but an error.
fn refused(error: anyhow::Error, format: Format) -> Answer {
    let faults: Vec<(&str, String)> = match error.downcast_ref::<Error>() {
        Some(Error::Invalid { problems }) => problems
            .iter()
            .map(|problem| {
                (
                    problem.key.as_str(),
                    format!("{}: {}", problem.origin, problem.message),
                )
            })
            .collect(),
        Some(Error::Syntax { .. }) => vec![("", error.to_string())],
        _ => return Err(error),
    };
    list(&faults, &format!("{error:#}"), format)
}

fn list(faults: &[(&str, String)], text: &str, format: Format) -> Answer {
    if format == Format::Table {
        eprintln!("{text}");
        return Ok(false);
    }
    let mut printer = Printer::stdout(format, &[]);
    for (key, problem) in faults {
        let mut line = JsonLine::new();
        line.text("key", key).text("problem", problem);
        printer.line(line)?;
    }
    printer.finish()?;
    Ok(false)
}
