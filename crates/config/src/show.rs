use toml::{Table, Value as Toml};

use crate::{RawSettings, Settings, value::Value};

/// What changes what a row says: a whole section, or one key of it. Where the rows go and how fast does not belong here.
const ROW_SETTINGS: [&str; 15] = [
    "tenant",
    "topics",
    "environments",
    "decision",
    "kafka.raw_record_bytes_max",
    "state.actors_max",
    "state.actor_counts_max",
    "state.shared_counts_max",
    "state.waiting_max",
    "state.waiting",
    "state.recent_ids_max",
    "state.asked_max",
    "batch.block",
    "stages.shards",
    "dead_letters",
];

impl Settings {
    /// All settings as they were read, defaults included, as TOML with every secret as `***`.
    pub fn to_toml_redacted(&self) -> String {
        shown(&self.raw).to_string()
    }

    /// One spelling of the settings that change what a row says, for `config_hash`. Secrets are `***` in it: the
    /// caller adds a digest of the mask key.
    pub fn row_settings(&self) -> String {
        let mut table = shown(&self.raw);
        table.retain(|section, value| {
            if ROW_SETTINGS.contains(&section) {
                return true;
            }
            let Toml::Table(keys) = value else {
                return false;
            };
            keys.retain(|key, _| ROW_SETTINGS.contains(&format!("{section}.{key}").as_str()));
            !keys.is_empty()
        });
        table.to_string()
    }
}

fn shown(raw: &RawSettings) -> Table {
    match raw.show() {
        Some(Toml::Table(table)) => table,
        _ => Table::new(),
    }
}
