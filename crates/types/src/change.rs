use std::net::Ipv6Addr;

use crate::{ChangeUid, ContentHash, EventUid, Marks, TimeMicros};

macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $id:literal $text:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum $name { $($(#[$doc])* $variant = $id),* }
        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The number that OCSF (or we, where OCSF has none) gives it.
            pub const fn id(self) -> u16 { self as u16 }
            /// The name.
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $text),* } }
        }
    };
}

named! {
    /// OCSF 1.8.0 class.
    Class {
        /// Not known.
        #[default]
        Base = 0 "Base Event",
        /// A cloud or cluster control-plane call, a push, a run.
        ApiActivity = 6003 "API Activity",
        /// User, key, MFA, policy.
        AccountChange = 3001 "Account Change",
        /// A sign-in: no change, feeds the features.
        Authentication = 3002 "Authentication",
        /// Privileges given to a session.
        AuthorizeSession = 3003 "Authorize Session",
        /// Repository, project, workspace, ruleset, secret object.
        EntityManagement = 3004 "Entity Management",
        /// Role assignment.
        UserAccess = 3005 "User Access Management",
        /// Group membership.
        GroupManagement = 3006 "Group Management",
        /// Configuration item, drift.
        InventoryInfo = 5002 "Device Config State",
        /// Cloud resource inventory.
        CloudResourcesInventory = 5023 "Cloud Resources Inventory Info",
        /// Deploy, release, sync.
        ApplicationLifecycle = 6002 "Application Lifecycle",
        /// A vendor's alert.
        DetectionFinding = 2004 "Detection Finding",
    }
}

/// OCSF `activity_id` of the event's class. What the numbers mean depends on the class.
pub type Activity = u8;

named! {
    /// What was done to the resource. The number is OCSF's API Activity.
    Verb {
        /// Not known.
        #[default]
        Unknown = 0 "unknown",
        /// Made anew.
        Create = 1 "create",
        /// Only looked at.
        Read = 2 "read",
        /// Changed.
        Update = 3 "update",
        /// Removed.
        Delete = 4 "delete",
        /// Ran, started, signed in: none of the four.
        Other = 99 "other",
    }
}

named! {
    /// What power the action touches. Version 1 of the table: raise `PrivilegeClass::VERSION` with every change of meaning.
    PrivilegeClass {
        /// None of these.
        #[default]
        None = 0 "none",
        /// Users, roles, keys, policies, group membership, sign-in settings.
        Identity = 1 "identity",
        /// Trails, sinks, audit settings, alarms, detectors.
        Logging = 2 "logging",
        /// Firewalls, security groups, routes, gateways, DNS, public access.
        Network = 3 "network",
        /// Buckets, databases, snapshots, backups, exports.
        Data = 4 "data",
        /// Encryption keys, secrets, certificates.
        Keys = 5 "keys",
        /// Machines, clusters, functions, workloads.
        Compute = 6 "compute",
        /// Pipelines, deployments, branch protection, runners, webhooks.
        Pipeline = 7 "pipeline",
    }
}

impl PrivilegeClass {
    /// Version of the table behind the classes; stored with the model.
    pub const VERSION: u16 = 1;
}

named! {
    /// OCSF `severity_id`.
    Severity {
        /// Not stated.
        #[default]
        Unknown = 0 "Unknown",
        /// Informational.
        Informational = 1 "Informational",
        /// Low.
        Low = 2 "Low",
        /// Medium.
        Medium = 3 "Medium",
        /// High.
        High = 4 "High",
        /// Critical.
        Critical = 5 "Critical",
        /// Fatal.
        Fatal = 6 "Fatal",
        /// Other.
        Other = 99 "Other",
    }
}

named! {
    /// OCSF `status_id`.
    Status {
        /// Not stated.
        #[default]
        Unknown = 0 "Unknown",
        /// It happened.
        Success = 1 "Success",
        /// It was tried.
        Failure = 2 "Failure",
        /// Other.
        Other = 99 "Other",
    }
}

named! {
    /// OCSF `user.type_id`, with `Service` for workload identities.
    ActorType {
        /// Not known.
        #[default]
        Unknown = 0 "Unknown",
        /// A person.
        User = 1 "User",
        /// A person or key with all rights (root account, owner).
        Admin = 2 "Admin",
        /// The provider itself.
        System = 3 "System",
        /// A service account, role of a workload, bot or pipeline.
        Service = 4 "Service",
        /// Other.
        Other = 99 "Other",
    }
}

/// One thing that was touched. Parts that the source does not give are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resource<'a> {
    /// ARN, resource id, self link, `namespace/name`: what names it for good.
    pub uid: &'a str,
    /// The provider's own type name.
    pub kind: &'a str,
    /// What people call it.
    pub name: &'a str,
}

/// One change, read or sign-in, in OCSF 1.8.0 terms. Names are those of the columns of `changes`.
///
/// Empty text, 0 and `None` mean that the source did not say; nothing is guessed in their place.
#[derive(Clone, Debug, Default)]
pub struct ChangeEvent<'a> {
    /// Our id of the source's event.
    pub event_uid: EventUid,
    /// The source's own id, as spelled.
    pub native_uid: &'a str,
    /// Hash of what the source said.
    pub content_hash: ContentHash,
    /// Our id of the change that this event reports.
    pub change_uid: ChangeUid,
    /// Ties events of one operation together, as the source does.
    pub correlation_uid: &'a str,
    /// Whose change it is.
    pub tenant_uid: &'a str,
    /// `aws.cloudtrail`, …
    pub source: &'static str,
    /// Product name, for example `CloudTrail`.
    pub source_product: &'a str,
    /// Version of the source's own schema.
    pub schema_version: &'a str,
    /// When it happened, or Kafka's time where the source does not say (marked).
    pub event_time: TimeMicros,
    /// When the source logged it.
    pub logged_time: Option<TimeMicros>,
    /// OCSF class.
    pub class: Class,
    /// OCSF activity of that class.
    pub activity: Activity,
    /// Severity as the source states it.
    pub severity: Severity,
    /// Outcome.
    pub status: Status,
    /// Outcome as the source spells it.
    pub status_code: &'a str,
    /// Outcome in the source's words.
    pub status_detail: &'a str,
    /// `AWS`, `Azure`, `GCP` …
    pub cloud_provider: &'a str,
    /// Account, subscription, project, cluster: where it happened.
    pub account_uid: &'a str,
    /// Organisation, tenant of the provider, enterprise.
    pub org_uid: &'a str,
    /// Region.
    pub region: &'a str,
    /// Zone.
    pub zone: &'a str,
    /// Kubernetes (or other) cluster; from the event or the topic's config. For patterns only.
    pub cluster: &'a str,
    /// Namespace. For patterns only.
    pub namespace: &'a str,
    /// Who acted, as an id that stays: the role behind an assumed session, the service account, the person.
    pub actor_uid: &'a str,
    /// What people call the actor.
    pub actor_name: &'a str,
    /// Person, service, provider.
    pub actor_type: ActorType,
    /// Access key, token hash, certificate: by what the actor proved itself.
    pub actor_credential_uid: &'a str,
    /// Session.
    pub actor_session_uid: &'a str,
    /// Second factor, where the source states it.
    pub actor_is_mfa: Option<bool>,
    /// Who issued the session: role ARN, identity provider, issuer URL.
    pub actor_issuer: &'a str,
    /// The service, application or person that acted through the actor.
    pub actor_invoked_by: &'a str,
    /// Chain of delegation or impersonation, nearest first; ends with the person or workload at its root.
    pub actor_delegated_from: &'a [&'a str],
    /// Source address; IPv4 as mapped IPv6.
    pub src_ip: Option<Ipv6Addr>,
    /// Where the address is a name.
    pub src_domain: &'a str,
    /// Autonomous system number, where the source states it.
    pub src_asn: u32,
    /// Country, where the source states it.
    pub src_country: &'a str,
    /// User agent, never trusted.
    pub user_agent: &'a str,
    /// API or product area, for example `s3.amazonaws.com`.
    pub api_service: &'a str,
    /// Operation as the provider spells it.
    pub api_operation: &'a str,
    /// API version.
    pub api_version: &'a str,
    /// The provider's request id.
    pub request_uid: &'a str,
    /// What was touched.
    pub resources: &'a [Resource<'a>],
    /// Account that owns the resource, where it is another one.
    pub resource_owner_account: &'a str,
    /// `production`, `staging`, …; `unknown` where no pattern matches.
    pub environment: &'a str,
    /// Owner by the config's patterns.
    pub owner: &'a str,
    /// Scope tags by the config's patterns (`sox`, `pci`, …).
    pub scope_tags: &'a [&'a str],
    /// What was done.
    pub verb: Verb,
    /// What power it touches.
    pub privilege_class: PrivilegeClass,
    /// False for reads, sign-ins and findings: they feed the features and ask for nothing.
    pub is_change: bool,
    /// Repository, `owner/name`.
    pub vcs_repo: &'a str,
    /// Pull or merge request.
    pub vcs_change_id: &'a str,
    /// Commit.
    pub vcs_head_revision: &'a str,
    /// Pipeline run.
    pub cicd_run_id: &'a str,
    /// Pipeline or workflow.
    pub cicd_pipeline: &'a str,
    /// Ticket references found anywhere in the event.
    pub ticket_uids: &'a [&'a str],
    /// `native_uid` of the event that this one corrects.
    pub is_amendment_of: &'a str,
    /// Id of the split entry.
    pub split_uid: &'a str,
    /// Which part, from 0.
    pub split_index: u16,
    /// How many parts; 0 = not split.
    pub split_total: u16,
    /// What a reader should know about this row.
    pub marks: Marks,
    /// Where the child starts in the kept record bytes.
    pub raw_start: u32,
    /// How many bytes it has there; 0 where `child_bytes` holds it.
    pub raw_len: u32,
    /// The decoded child, where the envelope is compressed or escaped and no slice of the kept record is it.
    pub child_bytes: &'a [u8],
}

impl ChangeEvent<'_> {
    /// OCSF `type_uid`: class and activity in one number.
    pub fn type_uid(&self) -> u32 {
        u32::from(self.class.id()) * 100 + u32::from(self.activity)
    }

    /// OCSF `category_uid`.
    pub fn category_uid(&self) -> u8 {
        (self.class.id() / 1_000) as u8
    }
}
