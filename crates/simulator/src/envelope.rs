//! One event as its source writes it, before any transport envelope.

mod aws;
mod azure;
mod code;
mod gcp;
mod kubernetes;
mod saas;

pub(crate) use aws::{as_eventbridge, as_log_event, as_lookup};

use crate::catalog::Source;
use crate::event::Event;
use crate::rng::Rng;
use crate::scene::Scene;

/// Appends the event.
pub(crate) fn write(scene: Scene<'_>, event: &Event, out: &mut Vec<u8>) {
    let rng = &mut Rng::new(event.seed);
    match scene.call(event).source {
        Source::AwsCloudtrail => aws::cloudtrail(scene, event, rng, out),
        Source::AwsEventbridge => aws::eventbridge(scene, event, rng, out),
        Source::AzureActivity => azure::activity(scene, event, rng, out),
        Source::AzureEntra => azure::entra(scene, event, rng, out),
        Source::GcpAudit => gcp::audit(scene, event, rng, out),
        Source::KubernetesAudit => kubernetes::audit(scene, event, rng, out),
        Source::GithubWebhook | Source::GitlabWebhook | Source::JiraWebhook => {
            scene.fill(&scene.call(event).request, event, rng, out);
        }
        Source::GithubAudit => code::github_audit(scene, event, rng, out),
        Source::GitlabAudit => code::gitlab_audit(scene, event, rng, out),
        Source::OktaSystem => saas::okta(scene, event, rng, out),
        Source::Cdevents => saas::cdevents(scene, event, rng, out),
    }
}
