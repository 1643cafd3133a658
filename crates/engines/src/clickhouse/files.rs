//! The server's two configuration files.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::Credentials;
use crate::error::{Error, Result};
use crate::paths::hex;

/// A user other than the administrator.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// A plain name: letters, digits, `_`.
    pub name: String,
    /// The password, as it is sent.
    pub password: String,
    /// Whole statements without the user: `GRANT INSERT ON changegate.*`. What is not granted is refused (code 497).
    pub grants: Vec<String>,
    /// Query settings of this user's profile, such as `http_receive_timeout`.
    pub settings: Vec<(String, String)>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("password", &"***")
            .field("grants", &self.grants)
            .field("settings", &self.settings)
            .finish()
    }
}

pub(super) struct Server<'a> {
    pub(super) embedded: bool,
    pub(super) folder: &'a Path,
    pub(super) data: &'a Path,
    pub(super) error_log: &'a Path,
    pub(super) users_file: &'a Path,
    pub(super) http_port: u16,
    pub(super) tcp_port: Option<u16>,
    pub(super) memory_bytes_max: u64,
    pub(super) settings: &'a [(String, String)],
    pub(super) merge_tree: &'a [(String, String)],
}

/// One machine shared with a broker and with us: small caches, few background threads, loopback only.
pub(super) fn config(server: &Server<'_>) -> Result<String> {
    let text = |path: &Path| xml_text(&path.display().to_string());
    let mut settings = owned(&[
        ("timezone", "UTC"),
        ("mark_cache_size", "134217728"),
        ("uncompressed_cache_size", "0"),
        ("index_mark_cache_size", "16777216"),
        ("background_pool_size", "2"),
        ("background_schedule_pool_size", "8"),
        ("background_common_pool_size", "2"),
        ("background_fetches_pool_size", "1"),
        ("background_move_pool_size", "1"),
        ("background_distributed_schedule_pool_size", "1"),
        ("background_message_broker_schedule_pool_size", "1"),
        ("background_buffer_flush_schedule_pool_size", "1"),
    ]);
    settings.push((
        "max_server_memory_usage".into(),
        server.memory_bytes_max.to_string(),
    ));
    overlay(&mut settings, server.settings);
    // These are measured against the pool, which is small here; the server refuses to start when they are above it.
    let mut merge_tree = owned(&[
        ("number_of_free_entries_in_pool_to_execute_mutation", "2"),
        ("number_of_free_entries_in_pool_to_lower_max_size_of_merge", "2"),
        (
            "number_of_free_entries_in_pool_to_execute_optimize_entire_partition",
            "2",
        ),
    ]);
    overlay(&mut merge_tree, server.merge_tree);
    // Only the error log: given a log file of its own, the embedded server writes every query into it at trace level.
    let mut xml = format!(
        "<clickhouse>\n  <logger><errorlog>{}</errorlog><errorlog_level>error</errorlog_level>\
         <startup_level>error</startup_level><size>8M</size><count>2</count>{}</logger>\n  \
         <users_config>{}</users_config>\n  <listen_host>127.0.0.1</listen_host>\n",
        text(server.error_log),
        if server.embedded {
            ""
        } else {
            "<level>error</level>"
        },
        text(server.users_file),
    );
    if !server.embedded {
        xml += &format!("  <http_port>{}</http_port>\n", server.http_port);
        if let Some(port) = server.tcp_port {
            xml += &format!("  <tcp_port>{port}</tcp_port>\n");
        }
        xml += &format!("  <path>{}/</path>\n", text(server.data));
        xml += &format!("  <tmp_path>{}/</tmp_path>\n", text(&server.folder.join("tmp")));
        xml += "  <default_profile>default</default_profile>\n";
    }
    xml += &format!(
        "  <user_files_path>{}/</user_files_path>\n",
        text(&server.folder.join("user_files"))
    );
    xml += &format!(
        "  <format_schema_path>{}/</format_schema_path>\n",
        text(&server.folder.join("format_schemas"))
    );
    xml += &elements(&settings, "  ")?;
    xml += &format!(
        "  <merge_tree>\n{}  </merge_tree>\n</clickhouse>\n",
        elements(&merge_tree, "    ")?
    );
    Ok(xml)
}

/// The embedded server runs its own statements as `default` without a password, and that cannot be configured away. So
/// this user may nothing but open ports and insert into nowhere, and its profile refuses every statement while another one
/// runs: the session's own last statement always does, so nobody comes in from outside. (Grants alone do not do it: the
/// function `file` asks for none there.)
const LOCAL_SESSION: &str = "    <default>
      <no_password/><networks><ip>127.0.0.1</ip></networks><profile>local_session</profile><quota>default</quota>
      <grants>
        <query>GRANT SYSTEM LISTEN ON *.*</query>
        <query>GRANT CREATE TEMPORARY TABLE ON *.*</query>
      </grants>
    </default>
";
const LOCAL_SESSION_PROFILE: &str = "    <local_session>
      <max_concurrent_queries_for_all_users>1</max_concurrent_queries_for_all_users>
      <constraints>
        <max_concurrent_queries_for_all_users><const/></max_concurrent_queries_for_all_users>
      </constraints>
    </local_session>
";

/// The users file. Passwords stand there as hashes.
pub(super) fn users(
    admin: &Credentials,
    users: &[User],
    settings: &[(String, String)],
    embedded: bool,
) -> Result<String> {
    let mut profiles = format!("    <default>\n{}    </default>\n", elements(settings, "      ")?);
    let mut people = String::new();
    if embedded {
        profiles += LOCAL_SESSION_PROFILE;
        people += LOCAL_SESSION;
    }
    people += &person(
        &admin.user,
        &admin.password,
        "default",
        "      <access_management>1</access_management>\n",
    )?;
    for user in users {
        let profile = format!("profile_of_{}", user.name);
        let mut own = settings.to_vec();
        overlay(&mut own, &user.settings);
        profiles += &format!("    <{profile}>\n{}    </{profile}>\n", elements(&own, "      ")?);
        let grants: String = user
            .grants
            .iter()
            .map(|grant| format!("        <query>{}</query>\n", xml_text(grant)))
            .collect();
        // Without this element a user may everything; with an empty one, nothing.
        people += &person(
            &user.name,
            &user.password,
            &profile,
            &format!("      <grants>\n{grants}      </grants>\n"),
        )?;
    }
    Ok(format!(
        "<clickhouse>\n  <profiles>\n{profiles}  </profiles>\n  <quotas>\n    <default></default>\n  </quotas>\n  \
         <users>\n{people}  </users>\n</clickhouse>\n"
    ))
}

fn person(name: &str, password: &str, profile: &str, rights: &str) -> Result<String> {
    check_name("user", name)?;
    if name == "default" {
        return Err(bad(
            "user \"default\"",
            "this name belongs to the server's own session; take another",
        ));
    }
    if password.is_empty() || password.chars().any(char::is_control) {
        return Err(bad(
            &format!("password of {name}"),
            "it must be one non-empty line",
        ));
    }
    Ok(format!(
        "    <{name}>\n      <password_sha256_hex>{}</password_sha256_hex>\n      \
         <networks><ip>127.0.0.1</ip></networks><profile>{profile}</profile><quota>default</quota>\n{rights}    \
         </{name}>\n",
        hex(&Sha256::digest(password.as_bytes()))
    ))
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn overlay(settings: &mut Vec<(String, String)>, over: &[(String, String)]) {
    for (name, value) in over {
        settings.retain(|(ours, _)| ours != name);
        settings.push((name.clone(), value.clone()));
    }
}

fn elements(settings: &[(String, String)], indent: &str) -> Result<String> {
    let mut xml = String::new();
    for (name, value) in settings {
        check_name("setting", name)?;
        xml += &format!("{indent}<{name}>{}</{name}>\n", xml_text(value));
    }
    Ok(xml)
}

fn check_name(what: &str, name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || !name.chars().all(plain) {
        return Err(bad(
            &format!("{what} {name:?}"),
            "a name is made of letters, digits and _, and starts with no digit",
        ));
    }
    Ok(())
}

fn bad(option: &str, reason: &str) -> Error {
    Error::BadOption {
        option: format!("clickhouse {option}"),
        reason: reason.into(),
    }
}

/// Text as it may stand in an XML element or attribute.
pub(crate) fn xml_text(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admin() -> Credentials {
        Credentials {
            user: "admin".into(),
            password: "pw".into(),
        }
    }

    fn user(name: &str, grant: &str) -> User {
        User {
            name: name.into(),
            password: "secret-word".into(),
            grants: vec![grant.into()],
            settings: owned(&[("http_receive_timeout", "5")]),
        }
    }

    #[test]
    fn the_file_holds_no_password_in_clear() {
        let xml = users(&admin(), &[user("writer", "GRANT INSERT ON cg.*")], &[], true).unwrap();
        assert!(!xml.contains("secret-word"), "{xml}");
        assert!(xml.contains("<query>GRANT INSERT ON cg.*</query>"), "{xml}");
        assert!(
            xml.contains("<http_receive_timeout>5</http_receive_timeout>"),
            "{xml}"
        );
    }

    #[test]
    fn names_cannot_break_out_of_the_file() {
        for name in ["a><b", "", "1a", "default", "a b", "ä"] {
            assert!(
                users(&admin(), &[user(name, "GRANT SELECT ON *.*")], &[], false).is_err(),
                "{name:?}"
            );
        }
        let xml = users(&admin(), &[user("reader", "</query>")], &[], false).unwrap();
        assert!(xml.contains("<query>&lt;/query&gt;</query>"), "{xml}");
    }

    #[test]
    fn a_real_server_has_no_user_without_a_password() {
        assert!(!users(&admin(), &[], &[], false).unwrap().contains("no_password"));
    }

    #[test]
    fn a_callers_setting_replaces_ours() {
        let xml = config(&Server {
            embedded: false,
            folder: Path::new("/f"),
            data: Path::new("/f/data"),
            error_log: Path::new("/f/log"),
            users_file: Path::new("/f/users.xml"),
            http_port: 1,
            tcp_port: Some(2),
            memory_bytes_max: 3,
            settings: &owned(&[("background_pool_size", "9")]),
            merge_tree: &owned(&[("parts_to_throw_insert", "77")]),
        })
        .unwrap();
        assert!(
            xml.contains("<background_pool_size>9<") && !xml.contains("<background_pool_size>2<"),
            "{xml}"
        );
        assert!(xml.contains("<parts_to_throw_insert>77<"), "{xml}");
        assert!(xml.contains("<tcp_port>2</tcp_port>"), "{xml}");
    }
}
