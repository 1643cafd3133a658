//! The program against real engines.
