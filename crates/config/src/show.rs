use toml::{Table, Value as Toml};

use crate::{RawSettings, Settings, value::Value};

/// Sections that change what a row says. Where the rows go and how fast does not belong to them.
const ROW_SECTIONS: [&str; 5] = ["tenant", "topics", "environments", "decision", "state"];

impl Settings {
    /// All settings as they were read, defaults included, as TOML with every secret as `***`.
    pub fn to_toml_redacted(&self) -> String {
        shown(&self.raw).to_string()
    }

    /// One spelling of the settings that change what a row says, for `config_hash`. Secrets are `***` in it: the
    /// caller adds a digest of the mask key.
    pub fn row_settings(&self) -> String {
        let mut table = shown(&self.raw);
        table.retain(|name, _| ROW_SECTIONS.contains(&name));
        table.to_string()
    }
}

fn shown(raw: &RawSettings) -> Table {
    match raw.show() {
        Some(Toml::Table(table)) => table,
        _ => Table::new(),
    }
}
