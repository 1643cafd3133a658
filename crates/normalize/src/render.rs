//! A change as one JSON object with the names of the columns: what `normalize` prints.

use changegate_json::escape_into;
use changegate_types::ChangeEvent;

/// Writes one JSON object; members that are empty are left out.
#[derive(Debug, Default)]
pub struct JsonLine(Vec<u8>);

impl JsonLine {
    /// An object without members.
    pub fn new() -> Self {
        Self(b"{".to_vec())
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.string(name);
        self.0.push(b':');
    }

    fn string(&mut self, text: &str) {
        self.0.push(b'"');
        escape_into(&mut self.0, text);
        self.0.push(b'"');
    }

    /// A text, unless it is empty.
    pub fn text(&mut self, name: &str, text: &str) -> &mut Self {
        if !text.is_empty() {
            self.name(name);
            self.string(text);
        }
        self
    }

    /// A number.
    pub fn number(&mut self, name: &str, number: impl std::fmt::Display) -> &mut Self {
        self.name(name);
        self.0.extend_from_slice(number.to_string().as_bytes());
        self
    }

    /// `true` or `false`.
    pub fn bool(&mut self, name: &str, value: bool) -> &mut Self {
        self.name(name);
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
        self
    }

    /// A list of texts, unless all of them are empty.
    pub fn texts<'t>(
        &mut self,
        name: &str,
        texts: impl IntoIterator<Item = &'t str, IntoIter: Clone>,
    ) -> &mut Self {
        let texts = texts.into_iter();
        if texts.clone().any(|text| !text.is_empty()) {
            let mut texts = texts.peekable();
            self.name(name);
            self.0.push(b'[');
            while let Some(text) = texts.next() {
                self.string(text);
                if texts.peek().is_some() {
                    self.0.push(b',');
                }
            }
            self.0.push(b']');
        }
        self
    }

    /// A member that is JSON already.
    pub fn json(&mut self, name: &str, json: &str) -> &mut Self {
        self.name(name);
        self.0.extend_from_slice(json.as_bytes());
        self
    }

    /// The object as text.
    pub fn finish(mut self) -> String {
        self.0.push(b'}');
        String::from_utf8(self.0).unwrap_or_default()
    }
}

/// Appends the event's columns (`sources.md` section 2, `ledger.md` section 2), empty ones left out.
pub fn render_change(line: &mut JsonLine, event: &ChangeEvent<'_>) {
    let resources = event.resources;
    line.text("event_uid", &event.event_uid.to_string())
        .text("native_uid", event.native_uid)
        .text("correlation_uid", event.correlation_uid)
        .text("change_uid", &event.change_uid.to_string())
        .text("content_hash", &event.content_hash.to_string())
        .text("tenant_uid", event.tenant_uid)
        .text("source", event.source)
        .text("source_product", event.source_product)
        .text("schema_version", event.schema_version)
        .text("event_time", &event.event_time.to_string())
        .text(
            "logged_time",
            &event.logged_time.map(|time| time.to_string()).unwrap_or_default(),
        )
        .number("class_uid", event.class.id())
        .number("activity_id", event.activity)
        .number("type_uid", event.type_uid())
        .number("severity_id", event.severity.id())
        .number("status_id", event.status.id())
        .text("status_code", event.status_code)
        .text("status_detail", event.status_detail)
        .text("cloud_provider", event.cloud_provider)
        .text("account_uid", event.account_uid)
        .text("org_uid", event.org_uid)
        .text("region", event.region)
        .text("zone", event.zone)
        .text("actor_uid", event.actor_uid)
        .text("actor_name", event.actor_name)
        .number("actor_type_id", event.actor_type.id())
        .text("actor_credential_uid", event.actor_credential_uid)
        .text("actor_session_uid", event.actor_session_uid);
    if let Some(mfa) = event.actor_is_mfa {
        line.bool("actor_is_mfa", mfa);
    }
    line.text("actor_issuer", event.actor_issuer)
        .text("actor_invoked_by", event.actor_invoked_by)
        .texts("actor_delegated_from", event.actor_delegated_from.iter().copied());
    if let Some(address) = event.src_ip {
        let canonical = address.to_canonical().to_string();
        line.text("src_ip", &canonical);
    }
    line.text("src_domain", event.src_domain);
    if event.src_asn != 0 {
        line.number("src_asn", event.src_asn);
    }
    line.text("src_country", event.src_country)
        .text("user_agent", event.user_agent)
        .text("api_service", event.api_service)
        .text("api_operation", event.api_operation)
        .text("api_version", event.api_version)
        .text("request_uid", event.request_uid)
        .texts("resource_uids", resources.iter().map(|resource| resource.uid))
        .texts("resource_types", resources.iter().map(|resource| resource.kind))
        .texts("resource_names", resources.iter().map(|resource| resource.name))
        .text("resource_owner_account", event.resource_owner_account)
        .text("environment", event.environment)
        .text("owner", event.owner)
        .texts("scope_tags", event.scope_tags.iter().copied())
        .text("action_verb", event.verb.name())
        .text("privilege_class", event.privilege_class.name())
        .bool("is_change", event.is_change)
        .text("vcs_repo", event.vcs_repo)
        .text("vcs_change_id", event.vcs_change_id)
        .text("vcs_head_revision", event.vcs_head_revision)
        .text("cicd_run_id", event.cicd_run_id)
        .text("cicd_pipeline", event.cicd_pipeline)
        .texts("ticket_uids", event.ticket_uids.iter().copied())
        .text("is_amendment_of", event.is_amendment_of)
        .text("split_uid", event.split_uid);
    if event.split_total > 0 {
        line.number("split_index", event.split_index)
            .number("split_total", event.split_total);
    }
    line.texts("marks", event.marks.iter().map(|mark| mark.name()));
}
