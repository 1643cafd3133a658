//! The page of questions (`docs/questions.md`), for those who ask all of them: a heading, then one block of SQL.

/// One question of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What is asked.
    pub heading: String,
    /// How.
    pub sql: String,
}

/// A heading without a block of SQL.
#[derive(Debug, thiserror::Error)]
#[error("no block of SQL under the heading {0:?}")]
pub struct WithoutSql(String);

/// Every question of a page in its order.
///
/// # Errors
/// The first heading that has none.
pub fn in_page(page: &str) -> Result<Vec<Question>, WithoutSql> {
    let parts = page.split("\n## ").skip(1);
    parts
        .map(|part| {
            let heading = part.lines().next().unwrap_or_default().to_owned();
            let block = part.split_once("```sql\n").map(|(_, rest)| rest);
            match block.and_then(|rest| rest.split_once("```")) {
                Some((sql, _)) => Ok(Question {
                    heading,
                    sql: sql.trim().to_owned(),
                }),
                None => Err(WithoutSql(heading)),
            }
        })
        .collect()
}

impl Question {
    /// The question as it would have been asked at another moment (`2026-08-15 14:32:00`), as the page tells its readers.
    pub fn at(&self, moment: &str) -> String {
        self.sql
            .replace("now()", &format!("toDateTime('{moment}', 'UTC')"))
    }

    /// Whether only `auditor_raw` may ask it.
    pub fn needs_raw(&self) -> bool {
        self.sql.contains("raw_changes")
    }

    /// Whether a row in the answer is something to look into.
    pub fn empty_is_good(&self) -> bool {
        self.heading.ends_with("(empty is good)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_found_with_their_sql() {
        let page = "# Page\nText.\n\n## One\nWhy.\n\n```sql\nSELECT now()\n```\n\n## Two (empty is good)\n\n```sql\n\
                    SELECT bytes FROM raw_changes\n```\n";
        let found = in_page(page).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0].at("2026-01-01 00:00:00"),
            "SELECT toDateTime('2026-01-01 00:00:00', 'UTC')"
        );
        assert!(!found[0].needs_raw() && found[1].needs_raw());
        assert!(!found[0].empty_is_good() && found[1].empty_is_good());
        let error = in_page("# Page\n\n## One\nNothing.\n").unwrap_err();
        assert!(error.to_string().contains("\"One\""), "{error}");
    }
}
