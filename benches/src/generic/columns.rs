//! What a rival makes of one event.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use changegate_types::{
    ActorType, Class, Keyed128, Mark, Marks, PrivilegeClass, Severity, Status, TimeMicros, Verb,
};

/// The columns that these sources fill, owned. Names are those of `ChangeEvent`.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "`ChangeEvent` says what each is")]
pub struct Columns {
    pub event_uid: Keyed128,
    pub change_uid: Keyed128,
    pub content_hash: Keyed128,
    pub tenant_uid: String,
    pub source: &'static str,
    pub source_product: &'static str,
    pub cloud_provider: &'static str,
    pub native_uid: String,
    pub correlation_uid: String,
    pub schema_version: String,
    pub event_time: TimeMicros,
    pub logged_time: Option<TimeMicros>,
    pub class: Class,
    pub activity: u8,
    pub severity: Severity,
    pub status: Status,
    pub status_code: String,
    pub status_detail: String,
    pub account_uid: String,
    pub org_uid: String,
    pub region: String,
    pub zone: String,
    /// For patterns only.
    pub cluster: String,
    /// For patterns only.
    pub namespace: String,
    pub actor_uid: String,
    pub actor_name: String,
    pub actor_type: ActorType,
    pub actor_credential_uid: String,
    pub actor_session_uid: String,
    pub actor_is_mfa: Option<bool>,
    pub actor_issuer: String,
    pub actor_invoked_by: String,
    pub actor_delegated_from: Vec<String>,
    pub src_ip: Option<Ipv6Addr>,
    pub src_domain: String,
    pub src_country: String,
    pub user_agent: String,
    pub api_service: String,
    pub api_operation: String,
    pub api_version: String,
    pub request_uid: String,
    /// Id, type and name of each.
    pub resources: Vec<(String, Cow<'static, str>, String)>,
    pub environment: String,
    pub owner: String,
    pub scope_tags: Vec<String>,
    pub verb: Verb,
    pub privilege_class: PrivilegeClass,
    pub is_change: bool,
    pub vcs_repo: String,
    pub vcs_change_id: String,
    pub vcs_head_revision: String,
    pub cicd_run_id: String,
    pub cicd_pipeline: String,
    pub ticket_uids: Vec<String>,
    pub is_amendment_of: String,
    pub split_uid: String,
    pub split_index: u16,
    pub split_total: u16,
    pub marks: Marks,
}

impl Columns {
    /// Sets `src_ip`, or `src_domain` where the address is a name.
    pub(super) fn address(&mut self, address: String) {
        match address.parse() {
            Ok(IpAddr::V4(address)) => self.src_ip = Some(address.to_ipv6_mapped()),
            Ok(IpAddr::V6(address)) => self.src_ip = Some(address),
            Err(_) if address.is_empty() => {}
            Err(_) => {
                self.src_domain = address;
                self.marks.set(Mark::AddressIsName);
            }
        }
    }
}
