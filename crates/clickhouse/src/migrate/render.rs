use crate::columns;
use crate::columns::quoted;

/// For what kind of server the SQL is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// One server: plain `MergeTree`.
    Single,
    /// A cluster: replicated tables `<name>_local`, with a `Distributed` table of the plain name over them.
    Cluster {
        /// Its name in `remote_servers`.
        name: String,
    },
}

impl Form {
    pub(super) fn on_cluster(&self) -> String {
        match self {
            Self::Single => String::new(),
            Self::Cluster { name } => format!("ON CLUSTER {}", quoted(name)),
        }
    }

    pub(super) fn merge_tree(&self, table: &str, database: &str) -> String {
        match self {
            Self::Single => "MergeTree".to_owned(),
            // {shard} and {replica} are the server's own macros.
            Self::Cluster { .. } => {
                let path = format!("/clickhouse/tables/{{shard}}/{database}/{table}").replace('\'', "\\'");
                format!("ReplicatedMergeTree('{path}', '{{replica}}')")
            }
        }
    }

    fn table(&self, table: &str) -> String {
        match self {
            Self::Single => table.to_owned(),
            Self::Cluster { .. } => format!("{table}_local"),
        }
    }

    /// Rows of one partition of a topic stay on one shard, so that a batch is one block there.
    fn distributed(&self, table: &str, database: &str) -> String {
        let Self::Cluster { name } = self else {
            return String::new();
        };
        let (db, cluster) = (quoted(database), quoted(name));
        let key = if table == "operations" {
            "cityHash64(kind)"
        } else {
            "cityHash64(topic, partition)"
        };
        format!(
            "CREATE TABLE IF NOT EXISTS {db}.{table} ON CLUSTER {cluster} AS {db}.{table}_local \
             ENGINE = Distributed({cluster}, {db}, {table}_local, {key})"
        )
    }

    /// Columns that a later migration adds, in the table over the local ones.
    fn alter_distributed(&self, table: &str, database: &str) -> String {
        let Self::Cluster { name } = self else {
            return String::new();
        };
        let (db, cluster) = (quoted(database), quoted(name));
        format!(
            "ALTER TABLE {db}.{table} ON CLUSTER {cluster} \
             ADD COLUMN IF NOT EXISTS hop_topic LowCardinality(String), \
             ADD COLUMN IF NOT EXISTS hop_incarnation UInt32, \
             ADD COLUMN IF NOT EXISTS hop_partition Int32 DEFAULT -1, \
             ADD COLUMN IF NOT EXISTS hop_offset Int64 DEFAULT -1"
        )
    }

    fn fill(&self, placeholder: &str, database: &str) -> Option<String> {
        let filled = match placeholder.split_once(':') {
            Some(("table", table)) => self.table(table),
            Some(("merge_tree", table)) => self.merge_tree(table, database),
            Some(("distributed", table)) => self.distributed(table, database),
            Some(("alter_distributed", table)) => self.alter_distributed(table, database),
            Some(_) => return None,
            None => match placeholder {
                "db" => quoted(database),
                "on_cluster" => self.on_cluster(),
                // A subquery over a Distributed table runs once and is sent along, not once per shard.
                "global" => if *self == Self::Single { "" } else { "GLOBAL" }.to_owned(),
                "dedup_window" if *self == Self::Single => "non_replicated_deduplication_window".to_owned(),
                "dedup_window" => "replicated_deduplication_window".to_owned(),
                "verb" => columns::VERB.to_owned(),
                "privilege" => columns::PRIVILEGE.to_owned(),
                "level" => columns::LEVEL.to_owned(),
                "decision" => columns::DECISION.to_owned(),
                "approval" => columns::APPROVAL.to_owned(),
                "why" => columns::WHY.to_owned(),
                _ => return None,
            },
        };
        Some(filled)
    }
}

/// The statements of a file: comments left out, placeholders filled in, empty ones dropped.
///
/// # Panics
/// On a placeholder that nobody fills in: the files are part of this program.
pub fn statements(sql: &str, database: &str, form: &Form) -> Vec<String> {
    let code: Vec<&str> = sql
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .collect();
    let filled = code
        .join("\n")
        .split(";\n")
        .map(|statement| fill_in(statement, database, form))
        .collect::<Vec<_>>();
    filled
        .into_iter()
        .map(|statement| statement.trim().trim_end_matches(';').trim_end().to_owned())
        .filter(|statement| !statement.is_empty())
        .collect()
}

fn fill_in(statement: &str, database: &str, form: &Form) -> String {
    let mut out = String::with_capacity(statement.len());
    let mut rest = statement;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        out.push_str(before);
        let close = from
            .find('}')
            .unwrap_or_else(|| panic!("unclosed placeholder in {statement}"));
        let placeholder = from.get(1..close).unwrap_or_default();
        let filled = form.fill(placeholder, database);
        out.push_str(&filled.unwrap_or_else(|| panic!("unknown placeholder {{{placeholder}}}")));
        rest = from.get(close + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::MIGRATIONS;

    #[test]
    fn every_placeholder_is_filled_in_for_both_forms() {
        for form in [
            Form::Single,
            Form::Cluster {
                name: "main".to_owned(),
            },
        ] {
            for migration in MIGRATIONS {
                let all = statements(migration.sql, "cg", &form);
                for statement in &all {
                    // Safe to repeat: nothing is made or added that may be there already; a setting is set again.
                    let is_safe = match statement.split_once(' ') {
                        Some(("CREATE", what)) => {
                            what.starts_with("OR REPLACE") || what.contains("IF NOT EXISTS")
                        }
                        Some(("ALTER", what)) if what.contains(" MODIFY SETTING") => !what.contains("ADD "),
                        Some(("ALTER", what)) => {
                            let count = |words| what.matches(words).count();
                            count("ADD ") > 0
                                && count("ADD ")
                                    == count("ADD COLUMN IF NOT EXISTS") + count("ADD INDEX IF NOT EXISTS")
                        }
                        _ => false,
                    };
                    assert!(is_safe, "{statement}");
                }
            }
        }
    }

    #[test]
    fn a_cluster_gets_replicated_tables_under_distributed_ones() {
        let form = Form::Cluster {
            name: "main".to_owned(),
        };
        let all = statements(MIGRATIONS[0].sql, "cg", &form).join("\n");
        assert!(all.contains("CREATE TABLE IF NOT EXISTS `cg`.changes_local ON CLUSTER `main`"));
        assert!(all.contains("ReplicatedMergeTree('/clickhouse/tables/{shard}/cg/changes', '{replica}')"));
        assert!(
            all.contains("ENGINE = Distributed(`main`, `cg`, changes_local, cityHash64(topic, partition))")
        );
        let single = statements(MIGRATIONS[0].sql, "cg", &Form::Single).join("\n");
        assert!(
            !single.contains("CLUSTER") && !single.contains("Distributed"),
            "{single}"
        );
        assert!(single.contains("non_replicated_deduplication_window = 10000"));
    }
}
