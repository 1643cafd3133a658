//! What keys exist. One declaration per section makes the struct, its defaults, its reader, and the list of keys with
//! their docs, so that none of them can drift from the others.

use toml::{Table, Value as Toml};

use crate::{error::Problems, suggest::nearest};

/// The kind of TOML value that a key holds.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Text in quotes; durations, sizes and paths too.
    Text,
    /// A secret: `key`, or `key_file` with the path of a file that holds it.
    Secret,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A list of texts.
    List,
    /// Free names and values.
    Table,
    /// A section with keys of its own.
    Section(fn() -> Vec<KeySpec>),
    /// `[[…]]`: any number of sections with the same keys.
    Sections(fn() -> Vec<KeySpec>),
}

/// One key.
#[derive(Clone, Debug)]
pub struct KeySpec {
    /// Its name within the section.
    pub name: &'static str,
    /// What it is: unit, default, effect.
    pub doc: &'static [&'static str],
    /// What it holds.
    pub shape: Shape,
}

/// Every key with its full path and its doc, sections included, in the order of declaration.
pub fn documented_keys() -> Vec<(String, KeySpec)> {
    fn walk(prefix: &str, keys: Vec<KeySpec>, out: &mut Vec<(String, KeySpec)>) {
        for key in keys {
            let path = if prefix.is_empty() {
                key.name.to_owned()
            } else {
                format!("{prefix}.{}", key.name)
            };
            out.push((path.clone(), key.clone()));
            if let Shape::Section(inner) | Shape::Sections(inner) = key.shape {
                walk(&path, inner(), out);
            }
        }
    }
    let mut out = Vec::new();
    walk("", crate::RawSettings::keys(), &mut out);
    out
}

/// Notes every key of `table` that is none of `known`.
pub(crate) fn refuse_unknown(table: &Table, known: &[KeySpec], at: &str, problems: &mut Problems) {
    for name in table.keys() {
        if known.iter().any(|key| key.name == name) {
            continue;
        }
        let path = if at.is_empty() {
            name.clone()
        } else {
            format!("{at}.{name}")
        };
        problems.add(path, unknown_key(name, known, at));
    }
}

/// "unknown key", and what was probably meant.
pub(crate) fn unknown_key(name: &str, known: &[KeySpec], at: &str) -> String {
    if let Some(near) = nearest(name, known.iter().map(|key| key.name)) {
        return format!("unknown key; did you mean `{near}`?");
    }
    // The right key in the wrong section.
    let elsewhere = documented_keys()
        .into_iter()
        .find(|(path, key)| key.name == name && path.contains('.'));
    if let Some((path, _)) = elsewhere {
        return format!("unknown key here; did you mean `{path}`?");
    }
    let names: Vec<&str> = known.iter().map(|key| key.name).collect();
    let place = if at.is_empty() {
        "the top level".to_owned()
    } else {
        format!("[{at}]")
    };
    format!("unknown key; {place} knows {}", names.join(", "))
}

/// Declares a section: `key: type = default`, each with its doc.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $name:ident { $($(#[doc = $doc:literal])* $key:ident: $type:ty = $default:expr,)* }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $($(#[doc = $doc])* pub $key: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }

        impl $name {
            /// The keys of this section.
            pub fn keys() -> Vec<$crate::schema::KeySpec> {
                vec![$($crate::schema::KeySpec {
                    name: stringify!($key),
                    doc: &[$($doc),*],
                    shape: <$type as $crate::value::Value>::SHAPE,
                },)*]
            }
        }

        impl $crate::value::Value for $name {
            const SHAPE: $crate::schema::Shape = $crate::schema::Shape::Section(Self::keys);

            fn read(value: toml::Value, at: &str, problems: &mut $crate::error::Problems) -> Option<Self> {
                let mut table = $crate::schema::as_table(value, at, problems)?;
                $crate::schema::refuse_unknown(&table, &Self::keys(), at, problems);
                let mut section = Self::default();
                $($crate::schema::read_key(&mut table, stringify!($key), &mut section.$key, at, problems);)*
                Some(section)
            }

            fn show(&self) -> Option<toml::Value> {
                let mut table = toml::Table::new();
                $(if let Some(value) = $crate::value::Value::show(&self.$key) {
                    table.insert(stringify!($key).to_owned(), value);
                })*
                Some(toml::Value::Table(table))
            }
        }
    };
}
pub(crate) use section;

/// Declares a type of few words.
macro_rules! keywords {
    (
        $(#[doc = $about:literal])*
        $name:ident { $($(#[doc = $doc:literal])* $variant:ident = $word:literal,)* }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[doc = $doc])* $variant,)* }

        impl $name {
            /// The word in the config.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl $crate::value::Value for $name {
            const SHAPE: $crate::schema::Shape = $crate::schema::Shape::Text;

            fn read(value: toml::Value, key: &str, problems: &mut $crate::error::Problems) -> Option<Self> {
                match value.as_str() {
                    $(Some(word) if word.eq_ignore_ascii_case($word) => Some(Self::$variant),)*
                    _ => {
                        let words = [$(concat!("\"", $word, "\"")),*].join(", ");
                        $crate::value::refuse(&format!("one of {words}"), &value, key, problems)
                    }
                }
            }

            fn show(&self) -> Option<toml::Value> {
                Some(toml::Value::String(self.name().to_owned()))
            }
        }
    };
}
pub(crate) use keywords;

pub(crate) fn as_table(value: Toml, at: &str, problems: &mut Problems) -> Option<Table> {
    match value {
        Toml::Table(table) => Some(table),
        other => crate::value::refuse("a section", &other, at, problems),
    }
}

pub(crate) fn read_key<T: crate::value::Value>(
    table: &mut Table,
    name: &str,
    into: &mut T,
    at: &str,
    problems: &mut Problems,
) {
    let Some(value) = table.remove(name) else {
        return;
    };
    let path = if at.is_empty() {
        name.to_owned()
    } else {
        format!("{at}.{name}")
    };
    if let Some(read) = T::read(value, &path, problems) {
        *into = read;
    }
}
