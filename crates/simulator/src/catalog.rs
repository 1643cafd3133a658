//! Every call and event type that the simulator can emit: one line each, with the templates of its bodies.

mod aws;
mod azure;
mod code;
mod gcp;
mod kubernetes;
mod saas;

use std::collections::HashMap;

use crate::template::Template;

/// The sources, in the order of the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// `aws.cloudtrail`
    AwsCloudtrail,
    /// `aws.eventbridge`
    AwsEventbridge,
    /// `azure.activity`
    AzureActivity,
    /// `azure.entra`
    AzureEntra,
    /// `gcp.audit`
    GcpAudit,
    /// `kubernetes.audit`
    KubernetesAudit,
    /// `github.webhook`
    GithubWebhook,
    /// `github.audit`
    GithubAudit,
    /// `gitlab.webhook`
    GitlabWebhook,
    /// `gitlab.audit`
    GitlabAudit,
    /// `okta.system`
    OktaSystem,
    /// `jira.webhook`
    JiraWebhook,
    /// `cdevents`
    Cdevents,
}

impl Source {
    /// All sources.
    pub const ALL: [Self; 13] = [
        Self::AwsCloudtrail,
        Self::AwsEventbridge,
        Self::AzureActivity,
        Self::AzureEntra,
        Self::GcpAudit,
        Self::KubernetesAudit,
        Self::GithubWebhook,
        Self::GithubAudit,
        Self::GitlabWebhook,
        Self::GitlabAudit,
        Self::OktaSystem,
        Self::JiraWebhook,
        Self::Cdevents,
    ];

    /// The name used in configurations and topics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AwsCloudtrail => "aws.cloudtrail",
            Self::AwsEventbridge => "aws.eventbridge",
            Self::AzureActivity => "azure.activity",
            Self::AzureEntra => "azure.entra",
            Self::GcpAudit => "gcp.audit",
            Self::KubernetesAudit => "kubernetes.audit",
            Self::GithubWebhook => "github.webhook",
            Self::GithubAudit => "github.audit",
            Self::GitlabWebhook => "gitlab.webhook",
            Self::GitlabAudit => "gitlab.audit",
            Self::OktaSystem => "okta.system",
            Self::JiraWebhook => "jira.webhook",
            Self::Cdevents => "cdevents",
        }
    }
}

/// Whether a call changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    SignIn,
}

/// One line of a catalogue.
pub(crate) struct Spec {
    /// `service:call`, with `#variant` where one call has several bodies.
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    /// What the call asks for; the whole body where a source has no envelope of its own.
    pub(crate) request: &'static str,
    /// What is answered.
    pub(crate) response: &'static str,
    /// The resources named, in the source's own way.
    pub(crate) resources: &'static str,
}

const fn read(key: &'static str, request: &'static str, resources: &'static str) -> Spec {
    Spec {
        key,
        kind: Kind::Read,
        request,
        response: "",
        resources,
    }
}

const fn write(
    key: &'static str,
    request: &'static str,
    response: &'static str,
    resources: &'static str,
) -> Spec {
    Spec {
        key,
        kind: Kind::Write,
        request,
        response,
        resources,
    }
}

const fn sign_in(key: &'static str, request: &'static str, response: &'static str) -> Spec {
    Spec {
        key,
        kind: Kind::SignIn,
        request,
        response,
        resources: "",
    }
}

/// Index of a call.
pub(crate) type CallId = u16;

pub(crate) struct Call {
    pub(crate) source: Source,
    pub(crate) kind: Kind,
    /// The part of the key before the colon.
    pub(crate) service: &'static str,
    /// The part between colon and variant: the API call, verb and resource, or action.
    pub(crate) name: &'static str,
    pub(crate) request: Template,
    pub(crate) response: Template,
    pub(crate) resources: Template,
}

/// All calls, by index and by key.
pub(crate) struct Catalog {
    pub(crate) calls: Vec<Call>,
    by_key: HashMap<&'static str, CallId>,
}

impl Catalog {
    pub(crate) fn new() -> Self {
        let mut catalog = Self {
            calls: Vec::new(),
            by_key: HashMap::new(),
        };
        catalog.add(Source::AwsCloudtrail, aws::CLOUDTRAIL);
        catalog.add(Source::AwsEventbridge, aws::EVENTBRIDGE);
        catalog.add(Source::AzureActivity, azure::ACTIVITY);
        catalog.add(Source::AzureEntra, azure::ENTRA);
        catalog.add(Source::GcpAudit, gcp::AUDIT);
        catalog.add(Source::KubernetesAudit, kubernetes::AUDIT);
        catalog.add(Source::GithubWebhook, code::GITHUB_WEBHOOK);
        catalog.add(Source::GithubAudit, code::GITHUB_AUDIT);
        catalog.add(Source::GitlabWebhook, code::GITLAB_WEBHOOK);
        catalog.add(Source::GitlabAudit, code::GITLAB_AUDIT);
        catalog.add(Source::OktaSystem, saas::OKTA);
        catalog.add(Source::JiraWebhook, saas::JIRA);
        catalog.add(Source::Cdevents, saas::CDEVENTS);
        catalog
    }

    fn add(&mut self, source: Source, specs: &'static [Spec]) {
        for spec in specs {
            let (service, rest) = spec.key.split_once(':').unwrap_or((spec.key, ""));
            let name = rest.split('#').next().unwrap_or(rest);
            let id = self.calls.len() as CallId;
            let double = self.by_key.insert(spec.key, id);
            assert!(double.is_none(), "{} stands twice in the catalogue", spec.key);
            self.calls.push(Call {
                source,
                kind: spec.kind,
                service,
                name,
                request: Template::parse(spec.request),
                response: Template::parse(spec.response),
                resources: Template::parse(spec.resources),
            });
        }
    }

    /// # Panics
    /// On a key that is not in the catalogue.
    pub(crate) fn id(&self, key: &str) -> CallId {
        *self
            .by_key
            .get(key)
            .unwrap_or_else(|| panic!("no call has the key {key}"))
    }

    pub(crate) fn get(&self, id: CallId) -> &Call {
        &self.calls[id as usize]
    }
}
