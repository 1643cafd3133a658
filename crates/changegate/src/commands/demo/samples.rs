//! Sample events, where their folder lies beside the project's.

use std::path::{Path, PathBuf};

use anyhow::Context;
use changegate_config::{Settings, Topic};
use changegate_kafka::Sender;

use crate::stream;

/// Where they are looked for, from the working folder.
pub(super) const FOLDER: &str = "../shared/data";

/// Whose they are: strangers' events say nothing about what is usual in the made-up organisation.
pub(super) const TENANT: &str = "samples";

/// The files, each with its source; none where the folder is not there.
pub(super) fn files() -> anyhow::Result<Vec<(PathBuf, String)>> {
    let folders = match std::fs::read_dir(FOLDER) {
        Ok(folders) => folders,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("reading {FOLDER}")),
    };
    let mut files = Vec::new();
    for folder in folders {
        let folder = folder?.path();
        if !folder.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let file = file?.path();
            if let Some(source) = source_of(&file) {
                files.push((file, source));
            }
        }
    }
    // Folders list in any order.
    files.sort();
    Ok(files)
}

/// A topic for each source that is read and has samples.
pub(super) fn add_topics(settings: &mut Settings, files: &[(PathBuf, String)]) {
    let sampled = |topic: &&Topic| files.iter().any(|(_, source)| *source == topic.source);
    let own = settings.topics.iter().filter(sampled).map(|topic| Topic {
        name: format!("{TENANT}.{}", topic.source),
        tenant: TENANT.to_owned(),
        partitions: 1,
        ..topic.clone()
    });
    let own: Vec<Topic> = own.collect();
    settings.topics.extend(own);
}

/// Sends every line as a record that arrives now; how many that were. What no topic carries is left out.
pub(super) fn send(
    settings: &Settings,
    files: &[(PathBuf, String)],
    sender: &mut Sender,
) -> anyhow::Result<u64> {
    let mut sent = 0;
    for (file, source) in files {
        let carries = |topic: &&Topic| topic.tenant == TENANT && topic.source == *source;
        let Some(topic) = settings.topics.iter().find(carries) else {
            continue;
        };
        let text = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            sender.send(&topic.name, None, &[], line, stream::now().millis())?;
            sent += 1;
        }
    }
    Ok(sent)
}

/// The source that folder or file are named after: `gcp-audit/x.jsonl`, `panther/gcp_audit.jsonl`.
fn source_of(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?.strip_suffix(".jsonl")?;
    if name.ends_with(".labels") {
        return None;
    }
    let folder = file.parent()?.file_name()?.to_str()?;
    let name = if folder == "panther" { name } else { folder };
    Some(match name.replace('_', "-").as_str() {
        "k8s-audit" => "kubernetes.audit".to_owned(),
        "entra-audit" => "azure.entra".to_owned(),
        name => name.replace('-', "."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_names() {
        for (file, source) in [
            ("a/gcp-audit/x.jsonl", Some("gcp.audit")),
            ("a/panther/gcp_audit.jsonl", Some("gcp.audit")),
            ("a/k8s-audit/falco.jsonl", Some("kubernetes.audit")),
            ("a/k8s-audit/falco.labels.jsonl", None),
            ("a/k8s-audit/README.md", None),
        ] {
            assert_eq!(source_of(Path::new(file)).as_deref(), source, "{file}");
        }
    }
}
