//! Ticket references in text that people write: `PAY-123`, `CHG0031337`, `INC0012345` and a tenant's own patterns.

use regex::Regex;

use crate::text;

/// Upper-case words before a dash and a number that name no ticket.
const NO_PROJECTS: [&str; 24] = [
    "UTF", "SHA", "AES", "RSA", "MD", "ISO", "TLS", "SSL", "RFC", "CVE", "HTTP", "IPV", "X", "US", "EU",
    "AP", "UTC", "GMT", "HMAC", "RS", "ES", "HS", "CRC", "GHSA",
];

/// Hands on each reference in `text`, in its order. `patterns` are the tenant's.
pub(crate) fn find<'t>(text: &'t str, patterns: &[Regex], mut found: impl FnMut(&'t str)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        // Most words begin in lower case.
        while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>)
            && !text::has_upper_in(*word)
        {
            at += 8;
        }
        if let Some(last) = bytes.last_chunk::<8>()
            && at + 8 > bytes.len()
            && !text::has_upper_in(*last)
        {
            break;
        }
        let starts = bytes.get(at).is_some_and(u8::is_ascii_uppercase)
            && (at == 0
                || !bytes
                    .get(at - 1)
                    .is_some_and(|before| before.is_ascii_alphanumeric()));
        if !starts {
            at += 1;
            continue;
        }
        let word_end = at
            + run(bytes, at, |byte| {
                byte.is_ascii_uppercase() || byte.is_ascii_digit()
            });
        let word = text.get(at..word_end).unwrap_or_default();
        let end = if bytes.get(word_end) == Some(&b'-') {
            let digits = run(bytes, word_end + 1, |byte| byte.is_ascii_digit());
            let known = word.len() >= 2 && (1..=9).contains(&digits) && !NO_PROJECTS.contains(&word);
            known.then_some(word_end + 1 + digits)
        } else {
            let number = word.strip_prefix("CHG").or_else(|| word.strip_prefix("INC"));
            number
                .is_some_and(|digits| digits.len() >= 7 && digits.bytes().all(|byte| byte.is_ascii_digit()))
                .then_some(word_end)
        };
        // `PAY-12ab` is a name that only begins like a ticket.
        let end = end.filter(|end| !bytes.get(*end).is_some_and(|after| after.is_ascii_alphanumeric()));
        if let Some(ticket) = end.and_then(|end| text.get(at..end)) {
            found(ticket);
        }
        at = end.unwrap_or(word_end).max(at + 1);
    }
    for pattern in patterns {
        pattern.find_iter(text).for_each(|ticket| found(ticket.as_str()));
    }
}

fn run(bytes: &[u8], from: usize, belongs: impl Fn(&u8) -> bool) -> usize {
    bytes
        .get(from..)
        .unwrap_or_default()
        .iter()
        .take_while(|byte| belongs(byte))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let table: [(&str, &[&str]); 9] = [
            ("PAY-123 fix", &["PAY-123"]),
            ("feature/PAY-123-new-button and OPS2-7", &["PAY-123", "OPS2-7"]),
            (
                "see CHG0031337, INC0012345; CHG12 is none",
                &["CHG0031337", "INC0012345"],
            ),
            ("UTF-8 SHA-256 AES-128 X-1 A-1", &[]),
            ("xPAY-1 PAY-12ab pay-1 PAY-", &[]),
            ("[PAY-1][PAY-2]", &["PAY-1", "PAY-2"]),
            ("PAY-12345678901", &[]),
            ("", &[]),
            ("é PAY-1 漢", &["PAY-1"]),
        ];
        for (text, expected) in table {
            let mut found = Vec::new();
            find(text, &[], |ticket| found.push(ticket));
            assert_eq!(found, expected, "{text}");
        }
        let mut found = Vec::new();
        find("task 77 of T123", &[Regex::new(r"\bT\d+\b").unwrap()], |ticket| {
            found.push(ticket)
        });
        assert_eq!(found, ["T123"]);
    }
}
