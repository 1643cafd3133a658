//! Printing for people and for scripts.

use std::io::{self, Write};

use crate::args::Format;

/// Whether an error is only that nobody reads our output any more.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io_error = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Objects one after another, in the format asked for. `columns` are those of the table, by member's name.
pub(crate) struct Printer<W: Write> {
    out: W,
    format: Format,
    columns: &'static [&'static str],
    printed: u64,
    table: Option<comfy_table::Table>,
}

impl<W: Write> Printer<W> {
    pub(crate) fn new(out: W, format: Format, columns: &'static [&'static str]) -> Self {
        let table = (format == Format::Table).then(|| {
            let mut table = comfy_table::Table::new();
            table
                .load_style(comfy_table::presets::NOTHING)
                .set_header(columns.iter().copied());
            table
        });
        Self {
            out,
            format,
            columns,
            printed: 0,
            table,
        }
    }

    /// Prints one object, given as JSON.
    pub(crate) fn object(&mut self, json: &str) -> anyhow::Result<()> {
        match self.format {
            Format::Jsonl => writeln!(self.out, "{json}")?,
            Format::Json => {
                let before = if self.printed == 0 { "[" } else { "," };
                write!(self.out, "{before}\n{json}")?;
            }
            Format::Table => {
                let object: serde_json::Value = serde_json::from_str(json)?;
                let cells = self.columns.iter().map(|column| cell(object.get(column)));
                if let Some(table) = &mut self.table {
                    table.add_row(cells);
                }
            }
        }
        self.printed += 1;
        Ok(())
    }

    /// Ends the output.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        match (self.format, self.table) {
            (Format::Json, _) if self.printed == 0 => writeln!(self.out, "[]")?,
            (Format::Json, _) => writeln!(self.out, "\n]")?,
            (_, Some(table)) => writeln!(self.out, "{}", table.trim_fmt())?,
            _ => {}
        }
        self.out.flush()?;
        Ok(())
    }
}

fn cell(value: Option<&serde_json::Value>) -> String {
    let text = match value {
        None | Some(serde_json::Value::Null) => String::new(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(serde_json::Value::Array(items)) => {
            let texts = items.iter().map(|item| {
                item.get("text")
                    .map_or_else(|| cell(Some(item)), |text| cell(Some(text)))
            });
            texts.collect::<Vec<_>>().join("; ")
        }
        Some(other) => other.to_string(),
    };
    // Foreign text must not steer the terminal.
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
