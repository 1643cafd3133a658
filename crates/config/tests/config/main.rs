//! The crate as the program uses it.

mod examples;
mod settings;
