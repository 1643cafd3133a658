//! The changegate program.
fn main() {}
