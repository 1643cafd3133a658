//! What each role may do, as statements without the user: for the embedded server's users file, and printed by `migrate`
//! for real servers. What is not granted is refused (code 497).

use crate::columns::Table;

fn columns_without_bytes(table: Table) -> String {
    let columns = table
        .columns()
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !table.byte_columns().contains(name));
    columns
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn select_without_bytes(database: &str, table: Table) -> String {
    format!(
        "GRANT SELECT({}) ON {database}.{}",
        columns_without_bytes(table),
        table.name()
    )
}

/// Inserts rows and reads back what recovery asks for; no bytes of records.
pub fn writer(database: &str) -> Vec<String> {
    let mut grants = vec![
        format!("GRANT SHOW ON {database}.*"),
        format!("GRANT SELECT ON {database}.superseded"),
        format!("GRANT SELECT ON {database}.operations"),
        "GRANT SELECT ON system.processes".to_owned(),
    ];
    grants.extend(Table::ALL.map(|table| format!("GRANT INSERT ON {database}.{}", table.name())));
    let read_back = [Table::Changes, Table::Rejected, Table::RawRecords];
    grants.extend(read_back.map(|table| select_without_bytes(database, table)));
    grants
}

/// Reads the views `v_*`; neither bytes nor what is cut from them.
pub fn reader(database: &str) -> Vec<String> {
    let views = [
        "v_changes",
        "v_rejected",
        "v_raw_records",
        "v_operations",
        "v_conservation",
        "v_holes",
        "v_approval_requests",
    ];
    let mut grants: Vec<String> = views
        .iter()
        .map(|view| format!("GRANT SELECT ON {database}.{view}"))
        .collect();
    // A view asks with the rights of whoever asks it, so the tables below are granted too, without their bytes.
    let tables = [
        Table::Changes,
        Table::Rejected,
        Table::RawRecords,
        Table::Superseded,
        Table::Operations,
    ];
    grants.extend(tables.map(|table| select_without_bytes(database, table)));
    grants.push(format!("GRANT SHOW ON {database}.*"));
    grants
}

/// Reads everything, bytes included.
pub fn auditor_raw(database: &str) -> Vec<String> {
    vec![
        format!("GRANT SELECT ON {database}.*"),
        format!("GRANT SHOW ON {database}.*"),
    ]
}

/// The roles and their grants as SQL for a real server; users and passwords are the administrator's.
pub fn script(database: &str) -> String {
    let mut script = String::new();
    for (role, grants) in [
        ("changegate_writer", writer(database)),
        ("changegate_reader", reader(database)),
        ("auditor_raw", auditor_raw(database)),
    ] {
        script.push_str(&format!("CREATE ROLE IF NOT EXISTS {role};\n"));
        for grant in grants {
            script.push_str(&format!("{grant} TO {role};\n"));
        }
    }
    script.push_str(
        "-- A sender that hangs is given up after 5 s; only in the writer's profile has this setting an effect.\n\
         CREATE SETTINGS PROFILE IF NOT EXISTS changegate_writer SETTINGS http_receive_timeout = 5 TO changegate_writer;\n",
    );
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_server_gets_every_grant_for_a_role() {
        let script = script("cg");
        let grants = writer("cg").len() + reader("cg").len() + auditor_raw("cg").len();
        assert_eq!(script.matches("\nGRANT ").count(), grants);
        assert!(
            script.contains("GRANT INSERT ON cg.raw_records TO changegate_writer;"),
            "{script}"
        );
        assert!(
            !script.contains("ALTER") && !script.contains("DELETE"),
            "{script}"
        );
    }

    #[test]
    fn only_the_auditor_reads_bytes() {
        for table in [Table::Changes, Table::Rejected, Table::RawRecords] {
            for grant in writer("cg").iter().chain(&reader("cg")) {
                let reads = grant.contains("SELECT") && grant.ends_with(&format!(".{}", table.name()));
                let bytes = table.byte_columns().iter();
                let granted: Vec<_> = bytes
                    .filter(|name| grant.contains(&format!("`{name}`")))
                    .collect();
                assert!(
                    !reads || granted.is_empty() && grant.contains("SELECT("),
                    "{grant}"
                );
            }
        }
        assert!(reader("cg").iter().all(|grant| !grant.contains("INSERT")));
    }
}
