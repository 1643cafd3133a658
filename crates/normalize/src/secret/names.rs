//! Names of keys whose values are secrets.

use std::cmp::Ordering;

use changegate_json::Watch;

/// They are so in every source. Case, `_`, `-` and `.` don't count.
pub(super) const EVERYWHERE: [&str; 91] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "masterpassword",
    "masteruserpassword",
    "adminpassword",
    "administratorpassword",
    "administratorloginpassword",
    "userpassword",
    "newpassword",
    "oldpassword",
    "currentpassword",
    "temporarypassword",
    "rootpassword",
    "dbpassword",
    "databasepassword",
    "bindpassword",
    "keypassword",
    "keystorepassword",
    "certificatepassword",
    "proxypassword",
    "smtppassword",
    "secret",
    "secretkey",
    "secretaccesskey",
    "awssecretaccesskey",
    "secretstring",
    "secretbinary",
    "secretvalue",
    "clientsecret",
    "appsecret",
    "applicationsecret",
    "sharedsecret",
    "webhooksecret",
    "hooksecret",
    "consumersecret",
    "signingsecret",
    "signingkey",
    "secrettext",
    "secrettoken",
    "sessiontoken",
    "securitytoken",
    "authtoken",
    "authorizationtoken",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "bearertoken",
    "apitoken",
    "apikey",
    "xapikey",
    "apisecret",
    "privatetoken",
    "jobtoken",
    "runnertoken",
    "registrationtoken",
    "runnersregistrationtoken",
    "runnersToken",
    "deploytoken",
    "feedtoken",
    "xgitlabtoken",
    "xgitlabeventstreamingtoken",
    "token",
    "usertoken",
    "privatekey",
    "privatekeydata",
    "privatekeypem",
    "sshprivatekey",
    "pemprivatekey",
    "keymaterial",
    "plaintext",
    "authorization",
    "proxyauthorization",
    "xauthtoken",
    "cookie",
    "setcookie",
    "connectionstring",
    "primaryconnectionstring",
    "secondaryconnectionstring",
    "accountkey",
    "storageaccountkey",
    "sharedaccesskey",
    "primarysharedkey",
    "secondarysharedkey",
    "sastoken",
    "userdata",
    "customdata",
    "presharedkey",
    "totpsecret",
    "kubeconfig",
];

const LONGEST: usize = 48;

/// They may stand anywhere between the letters of a name.
const SEPARATORS: [u8; 3] = [b'_', b'-', b'.'];
/// Names may hold this many of them.
const SEPARATORS_MAX: usize = 4;

/// A set of names. Nearly all names of an event are turned away by three of their letters and their length.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// In lower case and without separators, by length.
    known: Vec<Vec<u8>>,
    watch: Watch,
}

impl Names {
    pub(super) fn new<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let mut known: Vec<Vec<u8>> = names.map(|name| plain(name.as_bytes()).collect()).collect();
        known.retain(|name| !name.is_empty() && name.len() <= LONGEST);
        known.sort_by(|left, right| by_length(left, right));
        known.dedup();
        let mut watch = Watch::default();
        for name in &known {
            let mut spelled = name.clone();
            // The second letter may stand behind a separator, which is seen in its place.
            for second in name.get(1).into_iter().chain(&SEPARATORS) {
                if let Some(letter) = spelled.get_mut(1) {
                    *letter = *second;
                }
                watch.add_name(&spelled, name.len()..=name.len() + SEPARATORS_MAX);
            }
        }
        Self { known, watch }
    }

    /// Watches for the names, and for some that are like them.
    pub(super) const fn watch(&self) -> &Watch {
        &self.watch
    }

    #[inline]
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.watch.may_be_name(name.as_bytes()) && self.has(name.as_bytes())
    }

    #[cold]
    fn has(&self, name: &[u8]) -> bool {
        let mut letters = [0; LONGEST];
        let mut count = 0;
        for letter in plain(name) {
            let Some(room) = letters.get_mut(count) else {
                return false;
            };
            *room = letter;
            count += 1;
        }
        let name = letters.get(..count).unwrap_or_default();
        self.known
            .binary_search_by(|known| by_length(known, name))
            .is_ok()
    }
}

fn by_length(left: &[u8], right: &[u8]) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

fn plain(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter()
        .filter(|byte| !matches!(byte, b'_' | b'-' | b'.'))
        .map(u8::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_matter() {
        let names = Names::new(EVERYWHERE.into_iter());
        for name in [
            "password",
            "PASSWORD",
            "Secret_Access-Key",
            "X-Gitlab-Token",
            "sessionToken",
            "client.secret",
        ] {
            assert!(names.contains(name), "{name}");
        }
        for name in [
            "",
            "nextToken",
            "passwordPolicy",
            "secretName",
            "tokenId",
            "é",
            &"p".repeat(99),
        ] {
            assert!(!names.contains(name), "{name}");
        }
    }
}
