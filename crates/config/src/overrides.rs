//! What stands above the file: `CHANGEGATE__SECTION__KEY` variables, and files that hold secrets.

use std::{collections::BTreeMap, fs, path::Path};

use toml::{Table, Value as Toml};

use crate::{
    RawSettings,
    error::Problems,
    schema::{KeySpec, Shape, unknown_key},
};

const PREFIX: &str = "CHANGEGATE__";
const FILE_SUFFIX: &str = "_file";
/// A secret is a line, not a disk.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Which variable set which key.
pub(crate) type VariableOf = BTreeMap<String, String>;

/// Lays every `CHANGEGATE__…` variable over the file's values. Other variables are not ours.
pub(crate) fn apply(
    table: &mut Table,
    env: impl IntoIterator<Item = (String, String)>,
    problems: &mut Problems,
) -> VariableOf {
    let mut variable_of = VariableOf::new();
    // In the order of names, so that two runs say the same.
    let ours: BTreeMap<String, String> = env
        .into_iter()
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    for (name, text) in ours {
        let path: Vec<String> = name[PREFIX.len()..]
            .split("__")
            .map(str::to_ascii_lowercase)
            .collect();
        let key = path.join(".");
        variable_of.insert(key.clone(), name);
        match find(&path) {
            Ok(shape) => set(table, &path, convert(shape, text, &key, problems)),
            Err(message) => problems.add(key, message),
        }
    }
    variable_of
}

/// The variable that set `key`, or the list or table it lies in.
pub(crate) fn variable_behind<'a>(variable_of: &'a VariableOf, key: &str) -> Option<&'a str> {
    let lies_in = |set: &str| {
        key.strip_prefix(set)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let behind = variable_of.iter().find(|(set, _)| lies_in(set));
    behind.map(|(_, variable)| variable.as_str())
}

fn find(path: &[String]) -> Result<Shape, String> {
    let mut keys = RawSettings::keys();
    let mut at = String::new();
    for (depth, name) in path.iter().enumerate() {
        let last = depth + 1 == path.len();
        let shape = find_in(&keys, name, last).ok_or_else(|| unknown_key(name, &keys, &at))?;
        if last {
            return Ok(shape);
        }
        let Shape::Section(inner) = shape else {
            return Err(format!("`{name}` has no keys that a variable can name"));
        };
        keys = inner();
        at.clone_from(name);
    }
    Err("names no key; the form is CHANGEGATE__SECTION__KEY".to_owned())
}

fn find_in(keys: &[KeySpec], name: &str, last: bool) -> Option<Shape> {
    if let Some(key) = keys.iter().find(|key| key.name == name) {
        return Some(key.shape);
    }
    let stem = name.strip_suffix(FILE_SUFFIX).filter(|_| last)?;
    let secret = |key: &&KeySpec| key.name == stem && matches!(key.shape, Shape::Secret);
    keys.iter().find(secret).map(|_| Shape::Text)
}

/// A variable is text; the key says what it stands for. What does not convert stays text, for the reader to refuse.
fn convert(shape: Shape, text: String, key: &str, problems: &mut Problems) -> Toml {
    match shape {
        Shape::Text | Shape::Secret => Toml::String(text),
        Shape::Integer => text.trim().parse().map_or(Toml::String(text), Toml::Integer),
        Shape::Number => text.trim().parse().map_or(Toml::String(text), Toml::Float),
        Shape::Boolean => text.trim().parse().map_or(Toml::String(text), Toml::Boolean),
        Shape::List if !text.trim_start().starts_with('[') => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Toml::Array(parts.map(|part| Toml::String(part.to_owned())).collect())
        }
        Shape::List | Shape::Table | Shape::Section(_) | Shape::Sections(_) => {
            match toml::from_str::<Table>(&format!("value = {text}")).map(|mut t| t.remove("value")) {
                Ok(Some(value)) => value,
                _ => {
                    problems.add(
                        key,
                        "expected TOML on one line, such as [\"a\"] or {\"fetch.min.bytes\" = 1}",
                    );
                    Toml::Table(Table::new())
                }
            }
        }
    }
}

fn set(table: &mut Table, path: &[String], value: Toml) {
    let Some((name, parents)) = path.split_last() else {
        return;
    };
    let mut at = table;
    for parent in parents {
        let slot = at
            .entry(parent.clone())
            .or_insert_with(|| Toml::Table(Table::new()));
        // A file that has something else there is refused by the reader; the variable must not hide that.
        let Toml::Table(inner) = slot else { return };
        at = inner;
    }
    // One of the two forms of a secret replaces the other.
    match name.strip_suffix(FILE_SUFFIX) {
        Some(stem) => at.remove(stem),
        None => at.remove(&format!("{name}{FILE_SUFFIX}")),
    };
    at.insert(name.clone(), value);
}

/// Replaces each `key_file` of a secret by `key` with what the file holds, without the newline at its end.
pub(crate) fn read_secret_files(table: &mut Table, problems: &mut Problems) {
    for section in RawSettings::keys() {
        let Shape::Section(keys) = section.shape else {
            continue;
        };
        let Some(Toml::Table(values)) = table.get_mut(section.name) else {
            continue;
        };
        for key in keys() {
            if matches!(key.shape, Shape::Secret) {
                read_secret_file(values, key.name, section.name, problems);
            }
        }
    }
}

fn read_secret_file(values: &mut Table, name: &str, section: &str, problems: &mut Problems) {
    let file_key = format!("{name}{FILE_SUFFIX}");
    let Some(path) = values.remove(&file_key) else {
        return;
    };
    let at = format!("{section}.{file_key}");
    if values.contains_key(name) {
        problems.add(at, format!("both `{name}` and `{file_key}` are set; keep one"));
        return;
    }
    let Toml::String(path) = path else {
        problems.add(at, "expected the path of a file that holds the secret, in quotes");
        return;
    };
    match read_bounded(Path::new(&path)) {
        Ok(text) => {
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\r').unwrap_or(text);
            if text.is_empty() {
                problems.add(at, format!("the secret's file {path} is empty"));
            }
            values.insert(name.to_owned(), Toml::String(text.to_owned()));
        }
        Err(error) => problems.add(at, format!("cannot read the secret's file {path}: {error}")),
    }
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let read = fs::File::open(path)?
        .take(SECRET_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if read as u64 > SECRET_BYTES_MAX {
        return Err(std::io::Error::other("larger than 64 KiB"));
    }
    Ok(text)
}
