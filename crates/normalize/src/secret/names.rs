//! Names of keys whose values are secrets.

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
    /// By their heads.
    known: Vec<Known>,
    /// A bit for each way in which they begin, by [`beginning`].
    beginnings: [u64; 64],
    watch: Watch,
}

#[derive(Clone, Debug)]
struct Known {
    head: (usize, u64),
    /// In lower case and without separators.
    letters: Vec<u8>,
}

/// Length and first letters of a name: few names share both.
fn head(name: &[u8]) -> (usize, u64) {
    let letters = name
        .iter()
        .take(8)
        .fold(0, |word, letter| word << 8 | u64::from(*letter));
    (name.len(), letters)
}

/// Letters of a name's beginning that are looked up before the rest is read.
const BEGINNING: usize = 4;

/// A number below 4,096 for the first letters of a name.
fn beginning(letters: &[u8; BEGINNING]) -> usize {
    (u32::from_le_bytes(*letters).wrapping_mul(0x9e37_79b1) >> 20) as usize
}

impl Names {
    pub(super) fn new<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let mut known: Vec<Vec<u8>> = names.map(|name| plain(name.as_bytes()).collect()).collect();
        known.retain(|name| !name.is_empty() && name.len() <= LONGEST);
        known.sort_unstable();
        known.dedup();
        let mut watch = Watch::default();
        let mut beginnings = [0u64; 64];
        for name in &known {
            if let Some(letters) = name.first_chunk() {
                let number = beginning(letters);
                if let Some(bits) = beginnings.get_mut(number / 64) {
                    *bits |= 1 << (number % 64);
                }
            }
            let mut spelled = name.clone();
            // The second letter may stand behind a separator, which is seen in its place.
            for second in name.get(1).into_iter().chain(&SEPARATORS) {
                if let Some(letter) = spelled.get_mut(1) {
                    *letter = *second;
                }
                watch.add_name(&spelled, &SEPARATORS, name.len()..=name.len() + SEPARATORS_MAX);
            }
        }
        let mut known: Vec<_> = known
            .into_iter()
            .map(|letters| Known {
                head: head(&letters),
                letters,
            })
            .collect();
        known.sort_by_key(|known| known.head);
        Self {
            known,
            beginnings,
            watch,
        }
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
            if count == BEGINNING && !self.begins(&letters) {
                return false;
            }
        }
        let name = letters.get(..count).unwrap_or_default();
        let head = head(name);
        let from = self.known.partition_point(|known| known.head < head);
        let alike = self.known.get(from..).unwrap_or_default();
        alike
            .iter()
            .take_while(|known| known.head == head)
            .any(|known| *known.letters == *name)
    }
}

impl Names {
    /// Whether one of them begins with these letters.
    fn begins(&self, letters: &[u8; LONGEST]) -> bool {
        let number = letters.first_chunk().map_or(0, beginning);
        let bits = self.beginnings.get(number / 64).copied().unwrap_or(0);
        bits >> (number % 64) & 1 == 1
    }
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
