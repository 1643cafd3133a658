use std::path::Path;

use changegate_config::Error;
use changegate_normalize::JsonLine;

use super::Answer;
use crate::args::{Config, ConfigCommand, Format};
use crate::output::Printer;
use crate::{output, setup};

pub(crate) fn run(config: Option<&Path>, asked: &Config) -> Answer {
    match &asked.what {
        ConfigCommand::Check { printed } => match setup::settings(config) {
            Ok(settings) => {
                let from = settings
                    .file
                    .as_ref()
                    .map_or("defaults".to_owned(), |file| file.display().to_string());
                let mut line = JsonLine::new();
                line.text("settings", "hold").text("from", &from);
                output::sheet(printed.output, &line.finish())?;
                Ok(true)
            }
            Err(error) => refused(error, printed.output),
        },
        ConfigCommand::Show { redacted: _, output } => {
            let text = setup::settings(config)?.to_toml_redacted();
            if *output == Format::Table {
                print!("{text}");
            } else {
                let table: toml::Table = toml::from_str(&text)?;
                output::sheet(*output, &serde_json::to_string(&table)?)?;
            }
            Ok(true)
        }
    }
}

/// What is wrong with the settings. A file that cannot be read is no answer, but an error.
fn refused(error: anyhow::Error, format: Format) -> Answer {
    let faults = match error.downcast_ref::<Error>() {
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
    if format == Format::Table {
        eprintln!("{error:#}");
        return Ok(false);
    }
    let mut printer = Printer::stdout(format, &[]);
    for (key, problem) in faults {
        let mut line = JsonLine::new();
        line.text("key", key).text("problem", &problem);
        printer.line(line)?;
    }
    printer.finish()?;
    Ok(false)
}
