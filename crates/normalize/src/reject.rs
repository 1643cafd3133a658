//! Faults of the reader as rejects.

use changegate_json::{Fault, FaultKind};
use changegate_types::{Reject, RejectCode};

pub(crate) fn fault<'a>(fault: Fault) -> Reject<'a> {
    let (code, reason) = match fault.kind {
        FaultKind::Syntax => (RejectCode::NotJson, "this byte cannot stand here in JSON"),
        FaultKind::Truncated => (RejectCode::TruncatedJson, "the bytes end inside a JSON value"),
        FaultKind::Trailing => (RejectCode::TrailingBytes, "something follows the JSON value"),
        FaultKind::Utf8 => (RejectCode::InvalidUtf8, "this byte begins no UTF-8 character"),
        FaultKind::Depth => (
            RejectCode::TooDeep,
            "objects and arrays are nested deeper than the limit",
        ),
        FaultKind::Size => (RejectCode::TooLarge, "more bytes than the limit"),
        FaultKind::Count => (RejectCode::TooMany, "more values than the limit"),
    };
    Reject {
        code,
        reason,
        at_byte: fault.at as u32,
    }
}
