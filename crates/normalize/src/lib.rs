//! Provider payload to change event, one module per source.

mod output;

pub use output::{Child, NormalizedRecord};
