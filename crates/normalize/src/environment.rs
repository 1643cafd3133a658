//! Which environment an event touches: patterns over what it says about account, cluster, namespace, repository.

use regex::Regex;

/// One rule as the config gives it. Lists that are empty don't count; of those that are not, each must match.
#[derive(Clone, Debug, Default)]
pub struct EnvironmentRule {
    /// `production`, `staging`, …
    pub environment: String,
    /// Who owns what matches.
    pub owner: String,
    /// `sox`, `pci`, …
    pub scope_tags: Vec<String>,
    /// Globs over the account, subscription or project.
    pub account: Vec<String>,
    /// Globs over the cluster.
    pub cluster: Vec<String>,
    /// Globs over the namespace.
    pub namespace: Vec<String>,
    /// Globs over `owner/name` of the repository.
    pub repository: Vec<String>,
}

/// The rules in their order, ready to match; the first that matches decides.
#[derive(Clone, Debug, Default)]
pub struct Environments {
    rules: Vec<Compiled>,
}

#[derive(Clone, Debug)]
struct Compiled {
    environment: String,
    owner: String,
    scope_tags: Vec<String>,
    patterns: [Vec<Regex>; 4],
}

/// What a rule says.
pub(crate) struct Matched<'r> {
    pub(crate) environment: &'r str,
    pub(crate) owner: &'r str,
    pub(crate) scope_tags: &'r [String],
}

impl Environments {
    /// Compiles the globs: `*` any run of characters, `?` one; case does not count.
    ///
    /// # Errors
    /// The pattern that is too large to compile.
    pub fn new(rules: &[EnvironmentRule]) -> Result<Self, regex::Error> {
        let compile = |globs: &[String]| {
            globs
                .iter()
                .map(|glob| compile_glob(glob))
                .collect::<Result<Vec<_>, _>>()
        };
        let rules = rules.iter().map(|rule| {
            Ok(Compiled {
                environment: rule.environment.clone(),
                owner: rule.owner.clone(),
                scope_tags: rule.scope_tags.clone(),
                patterns: [
                    compile(&rule.account)?,
                    compile(&rule.cluster)?,
                    compile(&rule.namespace)?,
                    compile(&rule.repository)?,
                ],
            })
        });
        Ok(Self {
            rules: rules.collect::<Result<_, regex::Error>>()?,
        })
    }

    /// Index of the first rule that matches `[account, cluster, namespace, repository]`.
    pub(crate) fn find(&self, scope: [&str; 4]) -> Option<usize> {
        self.rules.iter().position(|rule| {
            let mut asked = rule
                .patterns
                .iter()
                .zip(scope)
                .filter(|(patterns, _)| !patterns.is_empty())
                .peekable();
            // A rule without any pattern is a default for everything.
            asked.all(|(patterns, text)| {
                !text.is_empty() && patterns.iter().any(|pattern| pattern.is_match(text))
            })
        })
    }

    pub(crate) fn get(&self, index: usize) -> Option<Matched<'_>> {
        let rule = self.rules.get(index)?;
        Some(Matched {
            environment: &rule.environment,
            owner: &rule.owner,
            scope_tags: &rule.scope_tags,
        })
    }
}

fn compile_glob(glob: &str) -> Result<Regex, regex::Error> {
    let mut pattern = String::from("(?is)^");
    for part in glob.split_inclusive(['*', '?']) {
        let (text, wild) = match part.strip_suffix('*') {
            Some(text) => (text, ".*"),
            None => part.strip_suffix('?').map_or((part, ""), |text| (text, ".")),
        };
        pattern.push_str(&regex::escape(text));
        pattern.push_str(wild);
    }
    pattern.push('$');
    Regex::new(&pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_matches_in_all_its_lists() {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        let rules = [
            EnvironmentRule {
                environment: "production".into(),
                cluster: list(&["prod-*"]),
                namespace: list(&["pay", "kube-*"]),
                ..Default::default()
            },
            EnvironmentRule {
                environment: "staging".into(),
                account: list(&["1112223334??"]),
                ..Default::default()
            },
            EnvironmentRule {
                environment: "dev".into(),
                repository: list(&["acme/*"]),
                ..Default::default()
            },
        ];
        let environments = Environments::new(&rules).unwrap();
        assert_eq!(environments.find(["", "PROD-eu", "pay", ""]), Some(0));
        assert_eq!(environments.find(["", "prod-eu", "payx", ""]), None);
        assert_eq!(environments.find(["", "prod-eu", "", ""]), None);
        assert_eq!(environments.find(["111222333444", "", "", ""]), Some(1));
        assert_eq!(environments.find(["1112223334445", "", "", ""]), None);
        assert_eq!(environments.find(["", "", "", "acme/shop.js"]), Some(2));
        assert_eq!(environments.find(["", "", "", ""]), None);
    }
}
