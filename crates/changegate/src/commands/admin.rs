//! Tables, topics, and questions in SQL.

use std::io::{IsTerminal, Read, Write};
use std::path::Path;

use anyhow::{Context, anyhow};
use changegate_clickhouse::{Error, grants, migrate};
use changegate_config::Settings;
use changegate_kafka::Admin;
use changegate_normalize::JsonLine;

use super::Answer;
use crate::args::{Migrate, Sql, SqlFormat, Topics};
use crate::output::{self, Plain, Printer, plain};
use crate::{connect, setup, stream};

/// ClickHouse's code for a question that its user may not ask.
const ACCESS_DENIED: u32 = 497;

/// Brings the database to this version.
pub(crate) fn migrate(config: Option<&Path>, asked: &Migrate) -> Answer {
    if asked.dry_run || asked.grants {
        let settings = setup::settings(config)?;
        let database = &settings.clickhouse.database;
        if asked.grants {
            output::text(&grants::script(database))?;
        } else {
            output::text(&migrate::dry_run(database, &form(&settings)))?;
        }
        return Ok(true);
    }
    let settings = setup::connected(config)?;
    let client = connect::clickhouse(&settings, &settings.clickhouse.admin)?;
    let form = form(&settings);
    let who = crate::operations::who();
    let ran = migrate::run(&client, &form, stream::now(), &who);
    let report = setup::runtime()?.block_on(ran)?;
    let mut printer = Printer::stdout(asked.printed.output, &["migration", "name", "state"]);
    for migration in migrate::MIGRATIONS {
        let now = report.applied.contains(&migration.name);
        let mut line = JsonLine::new();
        line.number("migration", migration.version)
            .text("name", migration.name)
            .text("state", if now { "ran now" } else { "had run before" });
        printer.line(line)?;
    }
    printer.finish()?;
    output::note(
        asked.printed.output,
        "What each role may do on a server of your own: changegate migrate --grants",
    );
    Ok(true)
}

pub(crate) fn form(settings: &Settings) -> migrate::Form {
    match &settings.clickhouse.cluster {
        Some(cluster) => migrate::Form::Cluster {
            name: cluster.clone(),
        },
        None => migrate::Form::Single,
    }
}

/// Creates the topics that are missing, and shows all of them.
pub(crate) fn topics(config: Option<&Path>, asked: &Topics) -> Answer {
    let settings = setup::connected(config)?;
    let admin = Admin::new(&connect::kafka(&settings))?;
    let plans = connect::topics(&settings);
    let created = if asked.dry_run {
        Vec::new()
    } else {
        setup::runtime()?.block_on(admin.create(&plans))?
    };
    let columns = &["topic", "state", "partitions", "records"];
    let mut printer = Printer::stdout(asked.printed.output, columns);
    let mut all = true;
    for plan in &plans {
        let mut line = JsonLine::new();
        line.text("topic", &plan.name);
        // Right after its creation not every broker knows a topic.
        let found = admin.look(&plan.name)?;
        let state = if created.contains(&plan.name) {
            "created"
        } else if found.is_some() {
            "present"
        } else {
            all = false;
            "missing"
        };
        line.text("state", state);
        let partitions = found
            .as_ref()
            .map_or(plan.partitions as usize, |topic| topic.partitions.len());
        line.number("partitions", partitions);
        line.number("records", found.map_or(0, |topic| topic.records()));
        printer.line(line)?;
    }
    printer.finish()?;
    Ok(all)
}

/// Asks the ledger in SQL.
pub(crate) fn sql(config: Option<&Path>, asked: &Sql) -> Answer {
    let settings = setup::connected(config)?;
    let reader = connect::clickhouse(&settings, &settings.clickhouse.reader)?;
    let mut question = asked.question.clone();
    if question == "-" {
        question.clear();
        std::io::stdin()
            .read_to_string(&mut question)
            .context("reading the question from standard input")?;
    }
    let format = asked.format.as_deref().unwrap_or(match asked.output {
        SqlFormat::Table => "PrettyCompactMonoBlock",
        SqlFormat::Json | SqlFormat::Jsonl => "JSONEachRow",
        SqlFormat::Csv => "CSVWithNames",
    });
    let list = asked.format.is_none() && asked.output == SqlFormat::Json;
    let settings = [
        ("output_format_json_array_of_rows", if list { "1" } else { "0" }),
        (
            "date_time_output_format",
            if asked.output == SqlFormat::Table {
                "simple"
            } else {
                "iso"
            },
        ),
    ];
    let question = question.trim().trim_end_matches(';');
    let stdout = std::io::stdout();
    // What holds text of events may steer a terminal; a file or a pipe gets the bytes as they are.
    let table = asked.format.is_none() && asked.output == SqlFormat::Table;
    let answered = if table || stdout.is_terminal() {
        let mut out = Plain::new(stdout);
        let answered = setup::runtime()?.block_on(reader.copy_with(question, format, &settings, &mut out));
        out.flush()?;
        answered
    } else {
        setup::runtime()?.block_on(reader.copy_with(question, format, &settings, &mut std::io::stdout()))
    };
    answered.map_err(unanswered)?;
    Ok(true)
}

/// What went wrong with someone's question: in ClickHouse's words, without what they would mean for the stream.
fn unanswered(error: Error) -> anyhow::Error {
    match error {
        Error::Server { code, message } if code == ACCESS_DENIED => anyhow!(
            "{}; the reader may only read the views v_*: `changegate sql \"SHOW TABLES\"` lists them",
            plain(message.trim())
        ),
        // Its messages have lines: the place of a syntax error stands in one.
        Error::Server { message, .. } => {
            let lines: Vec<String> = message.trim().lines().map(plain).collect();
            anyhow!(lines.join("\n"))
        }
        Error::TimedOut { url, after } => anyhow!(
            "ClickHouse at {url} did not answer within {after:?}: ask for less, or raise clickhouse.query_timeout"
        ),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_fails_in_clickhouses_own_words() {
        let server = |code, message: &str| {
            let message = message.to_owned();
            unanswered(Error::Server { code, message }).to_string()
        };
        let text = "Code: 62. DB::Exception: Syntax error: failed at position 1 (SELEC)";
        assert_eq!(server(62, text), text);
        assert_eq!(server(202, "two\nlines\u{1b}"), "two\nlines ");
        let denied = server(497, "Code: 497. DB::Exception: Not enough privileges");
        assert!(denied.contains("v_*") && !denied.contains("password"), "{denied}");
        let late = unanswered(Error::TimedOut {
            url: "http://ch:8123".to_owned(),
            after: std::time::Duration::from_secs(60),
        });
        assert!(late.to_string().contains("clickhouse.query_timeout"), "{late}");
    }
}
