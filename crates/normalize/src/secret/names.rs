//! Names of keys whose values are secrets.

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
    /// In lower case and without separators, sorted by hash.
    known: Vec<(u32, Vec<u8>)>,
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
}

/// The bits of `_`, `-` and `.`, which may stand anywhere.
const SEPARATOR_BITS: u32 = 1 << (b'_' & 31) | 1 << (b'-' & 31) | 1 << (b'.' & 31);

impl Names {
    pub(super) fn new<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let mut known: Vec<(u32, Vec<u8>)> = names
            .map(|name| (hash(name.as_bytes()), plain(name.as_bytes()).collect()))
            .collect();
        known.retain(|(_, name)| !name.is_empty() && name.len() <= LONGEST);
        known.sort();
        known.dedup();
        let mut pairs = vec![Pair::default(); 32 * 32];
        for (_, name) in &known {
            if let (Some(first), Some(last)) = (name.first(), name.last())
                && let Some(pair) = pairs.get_mut(pair(*first, *last))
            {
                pair.lengths |= ((1 << (SEPARATORS + 1)) - 1) << name.len();
                pair.seconds |= SEPARATOR_BITS | 1 << (name.get(1).unwrap_or(first) & 31);
            }
        }
        Self { known, pairs }
    }

    #[inline]
    pub(crate) fn contains(&self, name: &str) -> bool {
        let bytes = name.as_bytes();
        let [first, second, .., last] = bytes else {
            return self.has(bytes);
        };
        let Some(pair) = self.pairs.get(pair(*first, *last)) else {
            return false;
        };
        bytes.len() < 64
            && pair.lengths >> bytes.len() & 1 == 1
            && pair.seconds >> (second & 31) & 1 == 1
            && self.has(bytes)
    }

    #[cold]
    fn has(&self, name: &[u8]) -> bool {
        let hash = hash(name);
        let first = self.known.partition_point(|(known, _)| *known < hash);
        let alike = self
            .known
            .iter()
            .skip(first)
            .take_while(|(known, _)| *known == hash);
        alike
            .into_iter()
            .any(|(_, known)| plain(name).eq(known.iter().copied()))
    }
}

/// Of the letters in lower case, without separators (FNV-1a).
fn hash(name: &[u8]) -> u32 {
    plain(name).fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// Upper and lower case agree in the low five bits.
#[inline]
const fn pair(first: u8, last: u8) -> usize {
    ((first & 31) as usize) << 5 | (last & 31) as usize
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
