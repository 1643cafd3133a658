use regex::Regex;

use crate::environment::Environments;

/// What holds for everything of one tenant.
#[derive(Clone, Debug, Default)]
pub struct TenantSettings {
    /// Id in `tenant_uid`.
    pub uid: String,
    /// Key of commitments and content hashes. Whoever has it can test guesses of a secret.
    pub mask_key: Vec<u8>,
    /// Further names of keys that carry secrets.
    pub secret_names: Vec<String>,
    /// Further shapes of secrets in any text.
    pub secret_patterns: Vec<Regex>,
    /// Further shapes of ticket references.
    pub ticket_patterns: Vec<Regex>,
    /// Patterns that name the environment.
    pub environments: Environments,
}

/// What holds for one topic (or file).
#[derive(Clone, Debug)]
pub struct TopicSettings {
    /// Name of the source, one of [`source_names`](crate::source_names).
    pub source: String,
    /// Cluster that the events come from, where they don't say (Kubernetes).
    pub cluster: String,
    /// Whether reads and sign-ins become rows; else they are only learned from and counted as skipped.
    pub store_reads: bool,
    /// Largest record value, as sent and as unpacked.
    pub limits: RecordLimits,
}

/// Bounds of one record.
#[derive(Clone, Copy, Debug)]
pub struct RecordLimits {
    /// Bytes as sent.
    pub bytes: usize,
    /// Bytes once unpacked.
    pub unpacked_bytes: usize,
    /// Nesting of objects and arrays.
    pub depth: usize,
    /// Children in one record.
    pub children: usize,
}

impl Default for RecordLimits {
    /// 1 MiB and 64 KiB, unpacked 64 MiB, depth 64, 65,536 children.
    fn default() -> Self {
        Self {
            bytes: (1 << 20) + (64 << 10),
            unpacked_bytes: 64 << 20,
            depth: 64,
            children: 1 << 16,
        }
    }
}

impl TopicSettings {
    /// Settings for one source with everything else as usual.
    pub fn of(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            cluster: String::new(),
            store_reads: true,
            limits: RecordLimits::default(),
        }
    }
}

/// Why a [`Normalizer`](crate::Normalizer) cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// No module reads this source.
    #[error("unknown source {name:?}: known are {}", crate::source_names().collect::<Vec<_>>().join(", "))]
    UnknownSource {
        /// As given.
        name: String,
    },
    /// Commitments under an empty key could be guessed by anyone.
    #[error(
        "the tenant's mask_key is empty: set `tenant.mask_key` or `tenant.mask_key_file` to at least 16 random bytes"
    )]
    NoMaskKey,
}
