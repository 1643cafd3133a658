//! String escapes: checking, undoing and making them.

/// Checks the escape that starts with the backslash at `at`. `Ok`: offset after it. `Err`: offset of the fault.
pub(crate) fn check(bytes: &[u8], at: usize) -> Result<usize, usize> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => {
            let unit = hex4(bytes, at + 2)?;
            match unit {
                0xdc00..=0xdfff => Err(at),
                0xd800..=0xdbff => {
                    if bytes.get(at + 6) != Some(&b'\\') || bytes.get(at + 7) != Some(&b'u') {
                        return Err((at + 6).min(bytes.len()));
                    }
                    match hex4(bytes, at + 8)? {
                        0xdc00..=0xdfff => Ok(at + 12),
                        _ => Err(at + 6),
                    }
                }
                _ => Ok(at + 6),
            }
        }
        Some(_) => Err(at + 1),
        None => Err(bytes.len()),
    }
}

fn hex4(bytes: &[u8], at: usize) -> Result<u32, usize> {
    let mut unit = 0;
    for offset in at..at + 4 {
        let digit = bytes.get(offset).and_then(|byte| char::from(*byte).to_digit(16));
        unit = unit * 16 + digit.ok_or_else(|| offset.min(bytes.len()))?;
    }
    Ok(unit)
}

/// Undoes the escapes of the inside of a JSON string and hands on the pieces. Text whose escapes are broken is
/// handed on as it stands from there.
pub fn unescape(text: &str, mut piece: impl FnMut(&str)) {
    let bytes = text.as_bytes();
    // Where what was not handed on yet begins, and from where the next backslash is looked for.
    let (mut from, mut search) = (0, 0);
    loop {
        let at = crate::scan::special(bytes, search);
        match bytes.get(at) {
            Some(b'\\') => {}
            Some(_) => {
                search = at + 1;
                continue;
            }
            None => break,
        }
        piece(text.get(from..at).unwrap_or_default());
        // These stand for themselves: they begin the next piece.
        if let Some(b'"' | b'\\' | b'/') = bytes.get(at + 1) {
            (from, search) = (at + 1, at + 2);
            continue;
        }
        let Ok(after) = check(bytes, at) else {
            piece(text.get(at..).unwrap_or_default());
            return;
        };
        let plain = match bytes.get(at + 1) {
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = hex4(bytes, at + 2).unwrap_or(0xfffd);
                let second = if after == at + 12 {
                    hex4(bytes, at + 8).unwrap_or(0xdc00)
                } else {
                    0xdc00
                };
                let code = if after == at + 12 {
                    0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                } else {
                    first
                };
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            other => char::from(other.copied().unwrap_or(b'\\')),
        };
        piece(plain.encode_utf8(&mut [0; 4]));
        (from, search) = (after, after);
    }
    piece(text.get(from..).unwrap_or_default());
}

/// Appends `text` as the inside of a JSON string: quotes, backslashes and control characters escaped.
pub fn escape_into(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut from = 0;
    loop {
        let at = crate::scan::special(bytes, from);
        out.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        let Some(byte) = bytes.get(at) else { return };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        }
        from = at + 1;
    }
}
