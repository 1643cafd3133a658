//! Envelopes that are compressed or encoded as a whole.

use std::io::Read;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bumpalo::Bump;
use changegate_types::{Reject, RejectCode};
use flate2::bufread::MultiGzDecoder;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);

/// What a record's value is once it is unpacked.
pub(crate) struct Unpacked<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) encoding: &'static str,
}

/// Undoes gzip, and base64 around gzip, which is told by its first bytes (`H4sI`).
pub(crate) fn unpack<'a>(arena: &'a Bump, bytes: &'a [u8], limit: usize) -> Result<Unpacked<'a>, Reject<'a>> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(Unpacked {
            bytes: gunzip(arena, bytes, limit)?,
            encoding: "gzip",
        });
    }
    // A schema registry's serializers put a zero and the schema's id before the JSON.
    if let [0, _, _, _, _, b'{' | b'[', ..] = bytes {
        return Ok(Unpacked {
            bytes: bytes.get(5..).unwrap_or_default(),
            encoding: "schema_id",
        });
    }
    let text = bytes.trim_ascii();
    // GitHub's webhooks are forms unless they are told to be JSON.
    if let Some(form) = text.strip_prefix(b"payload=") {
        return Ok(Unpacked {
            bytes: percent_decoded(arena, form),
            encoding: "form",
        });
    }
    if text.starts_with(b"H4sI") {
        let packed = base64(arena, text).map_err(|at| Reject {
            code: RejectCode::InvalidBase64,
            reason: "base64 of a gzip stream was begun, but this byte is no base64",
            at_byte: at as u32,
        })?;
        return Ok(Unpacked {
            bytes: gunzip(arena, packed, limit)?,
            encoding: "base64+gzip",
        });
    }
    Ok(Unpacked { bytes, encoding: "" })
}

/// The first value of a form; `%` that begins no code stands for itself.
fn percent_decoded<'a>(arena: &'a Bump, form: &[u8]) -> &'a [u8] {
    let digit = |at: usize| form.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut plain = Vec::with_capacity(form.len());
    let mut at = 0;
    while let Some(byte) = form.get(at).filter(|byte| **byte != b'&') {
        at += 1;
        plain.push(match (byte, digit(at), digit(at + 1)) {
            (b'%', Some(high), Some(low)) => {
                at += 2;
                (high << 4 | low) as u8
            }
            (b'+', ..) => b' ',
            _ => *byte,
        });
    }
    arena.alloc_slice_copy(&plain)
}

/// Standard or URL-safe alphabet, padded or not. `Err`: offset of the byte that is none.
pub(crate) fn base64<'a>(arena: &'a Bump, text: &[u8]) -> Result<&'a [u8], usize> {
    let url_safe = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let decoded = if url_safe {
        URL_SAFE.decode(text)
    } else {
        STANDARD.decode(text)
    };
    match decoded {
        Ok(bytes) => Ok(arena.alloc_slice_copy(&bytes)),
        Err(base64::DecodeError::InvalidByte(at, _)) => Err(at),
        Err(_) => Err(text.len()),
    }
}

/// Standard alphabet with padding.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn gunzip<'a>(arena: &'a Bump, bytes: &[u8], limit: usize) -> Result<&'a [u8], Reject<'a>> {
    let mut plain = Vec::new();
    let mut decoder = MultiGzDecoder::new(bytes).take(limit as u64 + 1);
    let read = decoder.read_to_end(&mut plain);
    if plain.len() > limit {
        let reason = bumpalo::format!(in arena, "unpacks to more than {} bytes", limit).into_bump_str();
        return Err(Reject {
            code: RejectCode::TooLarge,
            reason,
            at_byte: limit as u32,
        });
    }
    match read {
        Ok(_) => Ok(arena.alloc_slice_copy(&plain)),
        Err(error) => {
            let unread = decoder.into_inner().into_inner().len();
            let reason =
                bumpalo::format!(in arena, "gzip stream breaks, {} bytes unpacked: {}", plain.len(), error);
            Err(Reject {
                code: RejectCode::InvalidGzip,
                reason: reason.into_bump_str(),
                at_byte: (bytes.len() - unread) as u32,
            })
        }
    }
}
