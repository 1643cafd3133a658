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

/// Names may hold this many separators beyond the plain spelling.
const SEPARATORS: usize = 4;

/// A set of names. Nearly all names of an event are turned away by their ends and length.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// In lower case and without separators; those of one pair stand together.
    known: Vec<Vec<u8>>,
    /// For each pair of first and last letter (modulo 32).
    pairs: Vec<Pair>,
}

/// What the names with this first and last letter can be like otherwise.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    /// A bit for each length.
    lengths: u64,
    /// A bit for each second letter (modulo 32).
    seconds: u32,
    /// Where they stand among all.
    from: u16,
    to: u16,
}

/// The bits of `_`, `-` and `.`, which may stand anywhere.
const SEPARATOR_BITS: u32 = 1 << (b'_' & 31) | 1 << (b'-' & 31) | 1 << (b'.' & 31);

impl Names {
    pub(super) fn new<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let mut known: Vec<Vec<u8>> = names.map(|name| plain(name.as_bytes()).collect()).collect();
        known.retain(|name| !name.is_empty() && name.len() <= LONGEST);
        known.sort_by(|left, right| (Watch::ends(left), left).cmp(&(Watch::ends(right), right)));
        known.dedup();
        let mut pairs = vec![Pair::default(); Watch::ENDS];
        for (at, name) in (0u16..).zip(&known) {
            if let Some(pair) = pairs.get_mut(Watch::ends(name)) {
                if pair.lengths == 0 {
                    pair.from = at;
                }
                pair.to = at + 1;
                pair.lengths |= ((1 << (SEPARATORS + 1)) - 1) << name.len();
                pair.seconds |= SEPARATOR_BITS | 1 << (name.get(1).or(name.first()).unwrap_or(&0) & 31);
            }
        }
        Self { known, pairs }
    }

    /// For [`Watch`]: a bit for each length, by the ends of the names.
    pub(super) fn lengths(&self) -> [u64; Watch::ENDS] {
        let mut lengths = [0; Watch::ENDS];
        for (to, pair) in lengths.iter_mut().zip(&self.pairs) {
            *to = pair.lengths;
        }
        lengths
    }

    #[inline]
    pub(crate) fn contains(&self, name: &str) -> bool {
        let bytes = name.as_bytes();
        let Some(pair) = self.pairs.get(Watch::ends(bytes)) else {
            return false;
        };
        let second = bytes.get(1).or(bytes.first()).unwrap_or(&0);
        bytes.len() < 64
            && pair.lengths >> bytes.len() & 1 == 1
            && pair.seconds >> (second & 31) & 1 == 1
            && self.has(pair, bytes)
    }

    #[cold]
    fn has(&self, pair: &Pair, name: &[u8]) -> bool {
        let alike = self.known.get(usize::from(pair.from)..usize::from(pair.to));
        let mut alike = alike.unwrap_or_default().iter();
        alike.any(|known| known.len() <= name.len() && plain(name).eq(known.iter().copied()))
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
