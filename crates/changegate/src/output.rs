//! Printing for people and for scripts.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use bumpalo::Bump;
use changegate_json::{self as json, Indexer, Kind, Limits};
use changegate_normalize::JsonLine;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use serde_json::Value;

use crate::args::Format;

/// Width of tables where nobody says how wide the screen is.
const WIDTH: u16 = 100;

/// Columns of the terminal, where standard output is one.
pub(crate) fn screen_width() -> Option<u16> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0)
}

/// A table without lines, as wide as the terminal.
fn table() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(screen_width().map_or(WIDTH, |width| width.max(60)));
    table
}

/// Progress on standard error: on a terminal only, so that logs and scripts see nothing of it.
pub(crate) fn progress(total: u64, what: &str) -> indicatif::ProgressBar {
    if !io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let shape = if total == 0 {
        "{spinner} {msg} {pos} in {elapsed}"
    } else {
        "{msg} [{bar:30}] {percent}% {elapsed}, {eta} to go"
    };
    let bar = indicatif::ProgressBar::new(total).with_message(what.to_owned());
    match indicatif::ProgressStyle::with_template(shape) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

/// The same, unless the answer itself goes to the terminal.
pub(crate) fn progress_unless_shown(total: u64, what: &str) -> indicatif::ProgressBar {
    if io::stdout().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    progress(total, what)
}

/// One object: for eyes a name and a value a line, in the order of the object.
pub(crate) fn sheet(format: Format, object: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if format != Format::Table {
        writeln!(out, "{object}")?;
        return Ok(());
    }
    let arena = Bump::new();
    let mut indexer = Indexer::default();
    let document = indexer.index(&arena, object.as_bytes(), &Limits::default());
    let document = document.map_err(|fault| anyhow::anyhow!("printing {object}: {fault:?}"))?;
    let mut table = table();
    leaves(&mut table, "", document.root());
    writeln!(out, "{}", table.trim_fmt())?;
    Ok(())
}

/// A row for each leaf that holds anything, named by its path.
fn leaves(table: &mut Table, path: &str, value: json::Value<'_>) {
    match value.kind() {
        Kind::Object => {
            for (name, member) in value.members() {
                let path = match path {
                    "" => name.to_owned(),
                    _ => format!("{path}.{name}"),
                };
                leaves(table, &path, member);
            }
        }
        Kind::Array if value.items().any(|item| item.kind() == Kind::Object) => {
            for (index, item) in value.items().enumerate() {
                let text = item.get("text");
                if text.is_some() {
                    leaves(table, path, text);
                } else {
                    leaves(table, &format!("{path}.{index}"), item);
                }
            }
        }
        Kind::Array => {
            let texts: Vec<&str> = value.items().map(|item| item.text()).collect();
            row(table, path, &texts.join("; "));
        }
        _ => row(table, path, value.text()),
    }
}

fn row(table: &mut Table, name: &str, text: &str) {
    if !text.is_empty() {
        table.add_row([name.to_owned(), plain(text)]);
    }
}

/// Text of our own on standard output. Unlike `print!`, a reader that went away is an error here, not a panic.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

/// A line of our own on standard output.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::output::text(&(format!($($text)*) + "\n"))?
    };
}

/// A note beside the output: what is no answer, for eyes only.
pub(crate) fn note(format: Format, text: &str) {
    if format == Format::Table {
        eprintln!("{text}");
    }
}

/// Whether an error is only that nobody reads our output any more.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io_error = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Objects one after another, in the format asked for.
///
/// `columns` are those of the table: a member's name, or `title=a b|c` for the members a and b in one line and c in the
/// next. The first is never cut into lines, so that people can copy what names the row, and neither is one with a `!`
/// before its title.
pub(crate) struct Printer<W: Write> {
    out: W,
    format: Format,
    columns: &'static [&'static str],
    printed: u64,
    table: Option<Table>,
}

impl Printer<BufWriter<Stdout>> {
    /// Prints to standard output.
    pub(crate) fn stdout(format: Format, columns: &'static [&'static str]) -> Self {
        Self::new(BufWriter::new(io::stdout()), format, columns)
    }
}

impl<W: Write> Printer<W> {
    pub(crate) fn new(out: W, format: Format, columns: &'static [&'static str]) -> Self {
        let table = (format == Format::Table).then(|| {
            let mut table = table();
            table.set_header(columns.iter().map(|column| {
                let title = column.split('=').next().unwrap_or(column);
                title.trim_start_matches('!')
            }));
            for (number, column) in columns.iter().enumerate() {
                if let Some(whole) = table
                    .column_mut(number)
                    .filter(|_| number == 0 || column.starts_with('!'))
                {
                    whole.set_constraint(ColumnConstraint::ContentWidth);
                }
            }
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
                let object: Value = serde_json::from_str(json)?;
                let cells = self.columns.iter().map(|column| lines(&object, column));
                if let Some(table) = &mut self.table {
                    table.add_row(cells);
                }
            }
        }
        self.printed += 1;
        Ok(())
    }

    /// Prints one object that is made here.
    pub(crate) fn line(&mut self, line: JsonLine) -> anyhow::Result<()> {
        self.object(&line.finish())
    }

    /// How many objects were printed.
    pub(crate) fn printed(&self) -> u64 {
        self.printed
    }

    /// Ends the output.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        match (self.format, self.table) {
            (Format::Json, _) if self.printed == 0 => writeln!(self.out, "[]")?,
            (Format::Json, _) => writeln!(self.out, "\n]")?,
            // A header over nothing says nothing.
            (_, Some(table)) if self.printed > 0 => writeln!(self.out, "{}", table.trim_fmt())?,
            _ => {}
        }
        self.out.flush()?;
        Ok(())
    }
}

/// What a column shows of an object.
fn lines(object: &Value, column: &str) -> String {
    let spec = column.split_once('=').map_or(column, |(_, spec)| spec);
    let spec = spec.trim_start_matches('!');
    let lines = spec.split('|').map(|line| {
        let texts = line.split(' ').map(|name| cell(object.get(name)));
        texts
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    });
    lines
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => to_the_second(text),
        // Of long lists the first says most; the rest is in the other formats.
        Some(Value::Array(items)) => match items.as_slice() {
            [] => String::new(),
            [first, rest @ ..] => {
                let text = cell(first.get("text").or(Some(first)));
                match rest.len() {
                    0 => text,
                    more => format!("{text} (and {more} more)"),
                }
            }
        },
        Some(Value::Number(number)) => match number.as_f64() {
            Some(value) if number.is_f64() => format!("{value:.2}"),
            _ => number.to_string(),
        },
        Some(other) => other.to_string(),
    };
    plain(&text)
}

/// Without the fraction, where the text is a moment as we write it.
pub(crate) fn to_the_second(text: &str) -> String {
    let moment = text.len() > 20 && text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T');
    match text.split_once('.') {
        Some((whole, _)) if moment && whole.len() == 19 => format!("{whole}Z"),
        _ => text.to_owned(),
    }
}

/// Foreign text must not steer the terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

/// Control characters, and those that turn the direction of writing and so show another order than there is.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Passes on text that comes in pieces, made plain; ends of lines and tabs stay. Flush it at the end.
pub(crate) struct Plain<W: Write> {
    out: W,
    /// The start of a character whose end is in the next piece.
    begun: Vec<u8>,
}

impl<W: Write> Plain<W> {
    pub(crate) fn new(out: W) -> Self {
        Self {
            out,
            begun: Vec::new(),
        }
    }
}

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let mut bytes = std::mem::take(&mut self.begun);
        bytes.extend_from_slice(piece);
        let mut text = String::with_capacity(bytes.len());
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            let keep = |c: char| {
                if steers(c) && c != '\n' && c != '\t' {
                    ' '
                } else {
                    c
                }
            };
            text.extend(chunk.valid().chars().map(keep));
            if chunks.peek().is_none() {
                self.begun = chunk.invalid().to_vec();
            } else {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.out.write_all(text.as_bytes())?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.begun).is_empty() {
            write!(self.out, "{}", char::REPLACEMENT_CHARACTER)?;
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str =
        "a text that no screen shows in one line, since it goes on and on about one thing after another";

    fn printed(format: Format, objects: &[&str]) -> String {
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, format, &["name", "reasons"]);
        for object in objects {
            printer.object(object).unwrap();
        }
        printer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn scripts_get_json_whatever_comes() {
        assert_eq!(printed(Format::Jsonl, &[]), "");
        assert_eq!(printed(Format::Json, &[]), "[]\n");
        let two = [r#"{"name":"a"}"#, r#"{"name":"b"}"#];
        assert_eq!(
            printed(Format::Jsonl, &two),
            "{\"name\":\"a\"}\n{\"name\":\"b\"}\n"
        );
        let list: Value = serde_json::from_str(&printed(Format::Json, &two)).unwrap();
        assert_eq!(list[1]["name"], "b");
    }

    #[test]
    fn a_column_may_hold_several_members_in_lines() {
        let object =
            serde_json::json!({"id": "a1", "risk": 60.864_624, "n": 3, "tags": ["x", "y"], "none": ""});
        assert_eq!(lines(&object, "id"), "a1");
        assert_eq!(lines(&object, "what=id n|none|risk"), "a1 3\n60.86");
        assert_eq!(lines(&object, "tags"), "x (and 1 more)");
        assert_eq!(lines(&object, "!what=id"), "a1");
        assert_eq!(lines(&object, "!id"), "a1");
        let moments =
            serde_json::json!({"a": "2026-11-01T08:00:00.123Z", "b": "2026-11-01T08:00:00Z", "c": "v1.2"});
        assert_eq!(
            lines(&moments, "a b c"),
            "2026-11-01T08:00:00Z 2026-11-01T08:00:00Z v1.2"
        );
    }

    #[test]
    fn text_in_pieces_is_made_plain_wherever_it_is_cut() {
        let text = "│ a\u{1b}[2J\u{7}\u{7f}\u{9b}b\u{202e}c\u{2069}\u{200f}é\t│\n".as_bytes();
        for size in 1..=text.len() {
            let mut out = Plain::new(Vec::new());
            for piece in text.chunks(size) {
                out.write_all(piece).unwrap();
            }
            out.flush().unwrap();
            let shown = String::from_utf8(out.out).unwrap();
            assert_eq!(shown, "│ a [2J   b c  é\t│\n", "in pieces of {size}");
        }
        let mut out = Plain::new(Vec::new());
        out.write_all(b"a\xffb\xe2\x80").unwrap();
        out.flush().unwrap();
        assert_eq!(out.out, "a\u{fffd}b\u{fffd}".as_bytes());
    }

    #[test]
    fn tables_fit_the_screen_and_foreign_text_does_not_steer_it() {
        let object =
            format!(r#"{{"name":"\u001b[2Jred","reasons":[{{"text":"{LONG}"}},{{"text":"{LONG}"}}]}}"#);
        let table = printed(Format::Table, &[&object]);
        assert!(!table.contains('\u{1b}') && table.contains("red"), "{table}");
        assert!(table.contains("1 more"), "{table}");
        assert!(
            table
                .lines()
                .all(|line| line.chars().count() <= usize::from(WIDTH)),
            "{table}"
        );
    }
}
