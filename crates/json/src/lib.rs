//! A pull reader over borrowed JSON bytes
