use std::path::Path;

use super::Answer;
use crate::args::{Config, ConfigCommand};
use crate::setup;

pub(crate) fn run(config: Option<&Path>, asked: &Config) -> Answer {
    match asked.what {
        ConfigCommand::Check => match setup::settings(config) {
            Ok(settings) => {
                let from = settings
                    .file
                    .as_ref()
                    .map_or("defaults".to_owned(), |file| file.display().to_string());
                println!("settings hold ({from})");
                Ok(true)
            }
            Err(error) => {
                eprintln!("{error:#}");
                Ok(false)
            }
        },
        ConfigCommand::Show { redacted: _ } => {
            print!("{}", setup::settings(config)?.to_toml_redacted());
            Ok(true)
        }
    }
}
