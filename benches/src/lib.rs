//! Cost per stage and end to end, printed as ratios within one run.

pub mod counts;
pub mod engines;
pub mod generic;
pub mod records;
