//! A made-up organisation: native events of every source, and the truth about them
