/// Whether a change in this environment is judged as one in production.
///
/// The environment comes from the config's patterns, because events hardly ever name it. A change that no pattern
/// matches is `unknown` (or empty), and **unknown counts as production**: a forgotten pattern then costs a review
/// too many, the other choice would let the change of a forgotten account pass unseen. Any other name is what its
/// writer said it is, and not production.
pub fn counts_as_production(environment: &str) -> bool {
    const PRODUCTION: [&str; 6] = ["", "unknown", "production", "prod", "prd", "live"];
    let name = environment.trim();
    PRODUCTION.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_described_is_production() {
        for name in ["", " ", "unknown", "Unknown", "production", "PROD", "prd", "live"] {
            assert!(counts_as_production(name), "{name:?}");
        }
        for name in [
            "staging",
            "dev",
            "test",
            "sandbox",
            "preproduction",
            "non-production",
        ] {
            assert!(!counts_as_production(name), "{name:?}");
        }
    }
}
