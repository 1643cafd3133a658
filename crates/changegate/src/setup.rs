//! From settings to the parts that do the work.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use changegate_config::{Reads, Settings, nearest};
use changegate_normalize::{
    EnvironmentRule, Environments, Normalizer, RecordLimits, TenantSettings, TopicSettings, source_names,
};
use changegate_risk::{Limits, Model};
use changegate_telemetry::{TraceSettings, check_filter};
use tokio::runtime::Runtime;

use crate::local;

/// Key of commitments in what offline commands print, where the settings give none. Nothing that they print is kept.
const OFFLINE_MASK_KEY: &[u8] = b"changegate offline";

/// The runtime of a command.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime")
}

/// Loads the settings.
pub(crate) fn settings(file: Option<&Path>) -> anyhow::Result<Settings> {
    let sources: Vec<&str> = source_names().collect();
    Ok(Settings::load(file, std::env::vars(), &sources)?)
}

/// Where settings come from, in words.
pub(crate) fn origin(settings: &Settings) -> String {
    let file = settings.file.as_ref();
    file.map_or("defaults".to_owned(), |file| file.display().to_string())
}

/// Loads the settings of a command that needs engines: those configured, else those of a running `changegate up`.
pub(crate) fn connected(file: Option<&Path>) -> anyhow::Result<Settings> {
    let mut settings = settings(file)?;
    local::join(&mut settings)?;
    Ok(settings)
}

/// A name of a source that this version reads; for any other, the one that was probably meant.
pub(crate) fn source(name: &str) -> anyhow::Result<&'static str> {
    if let Some(known) = source_names().find(|known| *known == name) {
        return Ok(known);
    }
    // People leave the provider out, or the second word.
    let near = nearest(name, source_names()).or_else(|| {
        source_names()
            .find(|known| !name.is_empty() && known.split('.').any(|word| word.eq_ignore_ascii_case(name)))
    });
    Err(unknown("source", name, near, source_names()))
}

/// An error for a name that is none of those known, with the one that was probably meant.
pub(crate) fn unknown<'n>(
    what: &str,
    name: &str,
    near: Option<&str>,
    known: impl Iterator<Item = &'n str>,
) -> anyhow::Error {
    let meant = near.map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
    anyhow!("unknown {what} {name:?}{meant}: known are {}", list(known))
}

/// Names with commas between.
pub(crate) fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// What holds for one tenant.
pub(crate) fn tenant(settings: &Settings, uid: &str) -> anyhow::Result<TenantSettings> {
    let rules: Vec<EnvironmentRule> = settings
        .environments
        .iter()
        .map(|rule| EnvironmentRule {
            environment: rule.environment.clone(),
            owner: rule.owner.clone(),
            scope_tags: rule.scope_tags.clone(),
            account: rule.account.clone(),
            cluster: rule.cluster.clone(),
            namespace: rule.namespace.clone(),
            repository: rule.repository.clone(),
        })
        .collect();
    let mask_key = settings.tenant.mask_key.as_ref();
    Ok(TenantSettings {
        uid: uid.to_owned(),
        mask_key: mask_key.map_or(OFFLINE_MASK_KEY.to_vec(), |key| key.reveal().as_bytes().to_vec()),
        secret_names: settings.tenant.secret_key_names.clone(),
        secret_patterns: settings.tenant.secret_patterns.clone(),
        ticket_patterns: settings.tenant.ticket_patterns.clone(),
        environments: Environments::new(&rules).context("compiling [[environments]]")?,
    })
}

/// Reads files of one source, of any size that fits memory.
pub(crate) fn file_normalizer(
    settings: &Settings,
    source: &str,
    cluster: &str,
) -> anyhow::Result<Normalizer> {
    let source = self::source(source)?;
    let topic = TopicSettings {
        source: source.to_owned(),
        cluster: cluster.to_owned(),
        store_reads: settings
            .topics
            .iter()
            .find(|topic| topic.source == source)
            .is_none_or(|topic| topic.reads == Reads::Store),
        limits: RecordLimits {
            bytes: 1 << 30,
            unpacked_bytes: 1 << 30,
            ..RecordLimits::default()
        },
    };
    Ok(Normalizer::new(topic, tenant(settings, &settings.tenant.uid)?)?)
}

/// What `up` and `serve` would refuse of settings that hold by themselves: the key, and why.
pub(crate) fn faults(settings: &Settings) -> Vec<(&'static str, anyhow::Error)> {
    let mut faults = Vec::new();
    let tenants = settings.topics.iter().map(|topic| topic.tenant.as_str());
    for tenant in tenants.collect::<std::collections::BTreeSet<_>>() {
        if let Err(error) = self::tenant(settings, tenant) {
            faults.push(("tenant", error));
        }
    }
    if let Err(error) = model(settings, None) {
        faults.push(("model", error));
    }
    if let Err(error) = check_filter(&settings.telemetry.log_level, std::env::vars()) {
        faults.push(("telemetry.log_level", error.into()));
    }
    if let Err(error) = TraceSettings::from_env(std::env::vars(), &settings.telemetry.service_name)
        && settings.telemetry.traces
    {
        faults.push(("telemetry.traces", error.into()));
    }
    faults
}

/// The model that is asked for: on the command line, in the settings, or the one that comes with the program.
pub(crate) fn model(settings: &Settings, asked: Option<&Path>) -> anyhow::Result<Arc<Model>> {
    let hash = settings.model.hash.as_deref().map(parse_hash).transpose()?;
    let folder = match asked.or(settings.model.path.as_deref()) {
        Some(folder) => folder.to_owned(),
        None => shipped_model()?,
    };
    Ok(Arc::new(Model::load(&folder, hash)?))
}

fn parse_hash(text: &str) -> anyhow::Result<changegate_types::Digest> {
    let mut bytes = [0u8; 32];
    let pairs = text.as_bytes().chunks(2);
    if text.len() != 64 {
        bail!("model.hash has {} digits, a SHA-256 has 64", text.len());
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let digits = std::str::from_utf8(pair)?;
        *byte = u8::from_str_radix(digits, 16)
            .with_context(|| format!("model.hash: {digits:?} is no hexadecimal number"))?;
    }
    Ok(changegate_types::Digest(bytes))
}

/// `models/default/<newest version>`: beside the working folder, beside the program, or where it was built.
fn shipped_model() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().unwrap_or_default();
    let places = model_places(&program);
    if let Some(newest) = places.iter().find_map(|place| newest_model(place)) {
        return Ok(newest);
    }
    let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    bail!(
        "no model found (looked for default/VERSION with SHA256SUMS in {}): give --model, or set model.path",
        looked.join(", ")
    )
}

/// Folders named `models` that count.
fn model_places(program: &Path) -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from("models")];
    if let Some(folder) = program.parent() {
        places.push(folder.join("models"));
        places.push(folder.join("../share/changegate/models"));
        // Two folders up is the project only for a program that was built there; elsewhere it is anyone's.
        if folder.ends_with("target/release") || folder.ends_with("target/debug") {
            places.push(folder.join("../../models"));
        }
    }
    places
}

/// The newest version in there that is a whole model.
fn newest_model(models: &Path) -> Option<PathBuf> {
    let versions = std::fs::read_dir(models.join("default")).ok()?;
    versions
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.join("SHA256SUMS").is_file())
        .max_by_key(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.split('.')
                .map(|part| part.parse().unwrap_or(0))
                .collect::<Vec<u64>>()
        })
}

/// What the scorer may remember.
pub(crate) fn limits(settings: &Settings) -> Limits {
    let state = &settings.state;
    Limits {
        actors: state.actors_max,
        actor_counts: state.actor_counts_max,
        shared_counts: state.shared_counts_max,
        waiting: state.waiting_max,
        waiting_hours: state.waiting_hours,
        learning_hours: settings.decision.learning_hours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_model_counts_and_the_newest_wins() {
        let models = std::env::temp_dir().join(format!("changegate-models-{}", std::process::id()));
        let make = |version: &str, whole: bool| {
            let folder = models.join("default").join(version);
            std::fs::create_dir_all(&folder).unwrap();
            if whole {
                std::fs::write(folder.join("SHA256SUMS"), "").unwrap();
            }
        };
        assert_eq!(newest_model(&models), None);
        make("0.9.0", false);
        assert_eq!(newest_model(&models), None);
        make("0.2.0", true);
        make("0.10.0", true);
        make("1.0.0", false);
        let found = newest_model(&models);
        std::fs::remove_dir_all(&models).unwrap();
        assert_eq!(found, Some(models.join("default/0.10.0")));
    }

    #[test]
    fn two_folders_up_counts_only_where_the_program_was_built() {
        let built = model_places(Path::new("/src/target/release/changegate"));
        assert!(
            built.contains(&PathBuf::from("/src/target/release/../../models")),
            "{built:?}"
        );
        let installed = model_places(Path::new("/usr/local/bin/changegate"));
        assert!(
            !installed.iter().any(|place| place.ends_with("../../models")),
            "{installed:?}"
        );
    }
}
