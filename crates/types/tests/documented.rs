//! `docs/errors.md` names every code that users meet, and none besides.

use std::collections::BTreeSet;

use changegate_types::{Mark, RejectCode, SkipReason};

const PAGE: &str = include_str!("../../../docs/errors.md");

/// Codes in the first column of the table below a title; each row has something in every column.
fn codes(title: &str) -> BTreeSet<&'static str> {
    let section = PAGE
        .split("\n## ")
        .find(|section| section.starts_with(title))
        .unwrap_or_else(|| panic!("no section {title}"));
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        assert!(
            row.split('|')
                .all(|cell| !cell.trim().is_empty() || cell.is_empty()),
            "{row}"
        );
        row.split('`').next().unwrap_or_default()
    })
    .collect()
}

#[test]
fn every_code_has_its_row() {
    assert_eq!(
        codes("Reject codes"),
        RejectCode::ALL.iter().map(|code| code.name()).collect()
    );
    assert_eq!(
        codes("Skip reasons"),
        SkipReason::ALL.iter().map(|reason| reason.name()).collect()
    );
    assert_eq!(codes("Marks"), Mark::ALL.iter().map(|mark| mark.name()).collect());
}
