use std::fmt;

/// A pattern: `*` any text (also none), `?` one character, the rest itself; ASCII case is ignored.
#[derive(Clone, PartialEq, Eq)]
pub struct Glob(Vec<char>);

impl Glob {
    /// Every text is a pattern.
    pub fn new(pattern: &str) -> Self {
        let mut chars: Vec<char> = pattern.chars().map(|c| c.to_ascii_lowercase()).collect();
        chars.dedup_by(|a, b| *a == '*' && *b == '*');
        Self(chars)
    }

    /// Whether the whole text matches. Takes at most pattern × text steps, whatever they hold.
    pub fn matches(&self, text: &str) -> bool {
        let pattern = self.0.as_slice();
        let mut at = 0;
        let mut rest = text.chars();
        // Where to go on when a character fails: behind the last star, one character later each time.
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let before = rest.clone();
            match (pattern.get(at), rest.next()) {
                (None, None) => return true,
                (Some('*'), _) => {
                    retry = Some((at + 1, before.clone()));
                    at += 1;
                    rest = before;
                }
                (Some('?'), Some(_)) => at += 1,
                (Some(expected), Some(found)) if *expected == found.to_ascii_lowercase() => at += 1,
                (_, None) => return false,
                (_, Some(_)) => match &mut retry {
                    Some((behind_star, from)) => {
                        from.next();
                        at = *behind_star;
                        rest = from.clone();
                    }
                    None => return false,
                },
            }
        }
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.iter().collect::<String>())
    }
}

/// Where a change took place, as far as its event says; empty where it does not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// Cloud account.
    pub account: &'a str,
    /// Azure subscription.
    pub subscription: &'a str,
    /// Project (GCP, GitLab, Jira).
    pub project: &'a str,
    /// Cluster.
    pub cluster: &'a str,
    /// Namespace.
    pub namespace: &'a str,
    /// Repository, `owner/name`.
    pub repository: &'a str,
}

/// One rule: all its lists that are not empty must have a pattern that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Name of the environment.
    pub environment: String,
    /// Team that owns it; empty if nobody was named.
    pub owner: String,
    /// Audit scopes.
    pub scope_tags: Vec<String>,
    pub(crate) account: Vec<Glob>,
    pub(crate) subscription: Vec<Glob>,
    pub(crate) project: Vec<Glob>,
    pub(crate) cluster: Vec<Glob>,
    pub(crate) namespace: Vec<Glob>,
    pub(crate) repository: Vec<Glob>,
}

impl Environment {
    fn matches(&self, facts: &Facts<'_>) -> bool {
        // An event that lacks the field says nothing about it, so no pattern holds, `*` included.
        let holds = |patterns: &[Glob], fact: &str| {
            patterns.is_empty() || !fact.is_empty() && patterns.iter().any(|glob| glob.matches(fact))
        };
        holds(&self.account, facts.account)
            && holds(&self.subscription, facts.subscription)
            && holds(&self.project, facts.project)
            && holds(&self.cluster, facts.cluster)
            && holds(&self.namespace, facts.namespace)
            && holds(&self.repository, facts.repository)
    }
}

/// The rules in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environments(pub(crate) Vec<Environment>);

impl Environments {
    /// The first rule that matches. `None` is the environment `unknown`: count it, and judge it as production.
    pub fn resolve(&self, facts: &Facts<'_>) -> Option<&Environment> {
        self.0.iter().find(|rule| rule.matches(facts))
    }

    /// All rules.
    pub fn rules(&self) -> &[Environment] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything/at/all", true),
            ("prod-*", "prod-eu", true),
            ("prod-*", "PROD-EU", true),
            ("prod-*", "preprod-eu", false),
            ("*-prod", "shop-prod", true),
            ("*-prod", "shop-prod-2", false),
            ("a*b*c", "aXXbXXc", true),
            ("a*b*c", "aXXbXX", false),
            ("*ab", "aab", true),
            ("12345678901?", "123456789012", true),
            ("12345678901?", "12345678901", false),
            ("acme/*", "acme/shop", true),
            ("?", "é", true),
            ("a.c", "abc", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn a_glob_means_the_same_as_the_regex_for_it(pattern in "[ab*?]{0,8}", text in "[abA]{0,10}") {
            let expression = format!("(?i)^{}$", pattern.replace('*', ".*").replace('?', "."));
            let expected = regex::Regex::new(&expression).unwrap().is_match(&text);
            prop_assert_eq!(Glob::new(&pattern).matches(&text), expected);
        }
    }
}
