use std::path::Path;

use changegate_normalize::JsonLine;

use super::Answer;
use crate::args::{Config, ConfigCommand, Format};
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
            Err(error) => {
                eprintln!("{error:#}");
                Ok(false)
            }
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
