//! Cost per stage and end to end, printed as ratios within one run.

pub mod generic;
pub mod records;
