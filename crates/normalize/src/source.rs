//! The sources. Adding one is a module, its fixtures and a line in [`SOURCES`] (`docs/adding-a-source.md`).

mod aws_cloudtrail;
mod aws_eventbridge;
mod azure_activity;
mod azure_entra;
mod cdevents;
mod gcp_audit;
mod github_audit;
mod github_webhook;
mod gitlab_audit;
mod gitlab_webhook;
mod jira_webhook;
mod kubernetes_audit;
mod okta_system;
mod webhook;

use changegate_json::Value;
use changegate_types::SkipReason;

use crate::context::{Context, Draft, List, Unwrapped};
use crate::secret::SecretRules;

/// What a source module gives.
pub(crate) trait Source: Sync {
    /// The name in settings and in the `source` column.
    fn name(&self) -> &'static str;

    /// What carries secrets by nature in this source.
    fn secrets(&self) -> &'static SecretRules {
        &SecretRules::COMMON
    }

    /// Whether one record may hold several documents, one a line.
    fn lines(&self) -> bool {
        false
    }

    /// Finds the children of one document, in order. Whatever is none of this source's envelopes is rejected by
    /// leaving `out` empty.
    fn unwrap<'a>(&self, context: &mut Context<'a>, root: Value<'a>, out: &mut List<'a, Unwrapped<'a>>);

    /// Normalizes one child; `Err` where it is none that is kept.
    fn normalize<'a>(&self, context: &mut Context<'a>, child: Value<'a>) -> Result<Draft<'a>, SkipReason>;
}

/// Every source, in the order of the help text.
static SOURCES: [&dyn Source; 13] = [
    &aws_cloudtrail::CloudTrail,
    &aws_eventbridge::EventBridge,
    &kubernetes_audit::KubernetesAudit,
    &github_webhook::GitHubWebhook,
    &github_audit::GitHubAudit,
    &gitlab_webhook::GitLabWebhook,
    &gitlab_audit::GitLabAudit,
    &okta_system::OktaSystem,
    &jira_webhook::JiraWebhook,
    &cdevents::CdEvents,
    &gcp_audit::GcpAudit,
    &azure_activity::AzureActivity,
    &azure_entra::AzureEntra,
];

pub(crate) fn by_name(name: &str) -> Option<&'static dyn Source> {
    SOURCES.iter().copied().find(|source| source.name() == name)
}

/// The names of all sources.
pub fn source_names() -> impl Iterator<Item = &'static str> {
    SOURCES.iter().map(|source| source.name())
}
