use std::fmt;

/// A 128-bit keyed hash: two 64-bit lanes, printed as 32 hex digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keyed128(pub u128);

impl fmt::Display for Keyed128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The source's event, wherever and however often it arrives: a hash of the native id, or of the content
/// where the source has none.
pub type EventUid = Keyed128;
/// What the source said: a keyed hash over the leaves of one child, blind to member order and white space.
pub type ContentHash = Keyed128;
/// One change that a source may report in several events.
pub type ChangeUid = Keyed128;
/// One approval request: a hash of tenant and change.
pub type RequestId = Keyed128;

/// A SHA-256 digest, printed as 64 hex digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
