//! Cost per stage and end to end.
