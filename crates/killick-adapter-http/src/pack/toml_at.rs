//! TOML whose every value knows its line, read key by key so that no mistake hides another.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Problem;

/// One file while it is read; collects what is wrong with it.
pub(super) struct File<'t> {
    name: &'static str,
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> File<'t> {
    pub(super) fn new(name: &'static str, text: &'t str) -> Self {
        Self { name, text, problems: RefCell::new(Vec::new()) }
    }

    /// Parses the file; mistakes in the syntax become problems.
    pub(super) fn parse(&self) -> Spanned<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            self.problem(
                error.span().unwrap_or_default(),
                format!("not TOML: {}", error.message().replace('\n', " ")),
                "correct the syntax, see https://toml.io",
            );
        }
        table
    }

    pub(super) fn problem(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.problems.borrow_mut().push(Problem {
            file: self.name.to_owned(),
            line: self.line(span.start),
            message: message.into(),
            help: help.into(),
        });
    }

    pub(super) fn line(&self, at_byte: usize) -> usize {
        let before = self.text.as_bytes().iter().take(at_byte);
        before.filter(|byte| **byte == b'\n').count().saturating_add(1)
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// A value with its line and the words that lead to it.
#[derive(Clone)]
pub(super) struct At<'f, 'v> {
    file: &'f File<'f>,
    value: &'v DeValue<'v>,
    pub(super) span: Range<usize>,
    pub(super) path: String,
}

/// A table with its line; a key that nobody asked for is a problem.
pub(super) struct Table<'f, 'v> {
    file: &'f File<'f>,
    entries: &'v DeTable<'v>,
    pub(super) span: Range<usize>,
    pub(super) path: String,
    asked: RefCell<Vec<&'static str>>,
}

impl<'f, 'v> Table<'f, 'v> {
    pub(super) fn root(file: &'f File<'f>, table: &'v Spanned<DeTable<'v>>) -> Self {
        Self::new(file, table.get_ref(), table.span(), String::new())
    }

    fn new(file: &'f File<'f>, table: &'v DeTable<'v>, span: Range<usize>, path: String) -> Self {
        Self { file, entries: table, span, path, asked: RefCell::new(Vec::new()) }
    }

    /// Returns the value at a key, if it is there.
    pub(super) fn get(&self, key: &'static str) -> Option<At<'f, 'v>> {
        self.asked.borrow_mut().push(key);
        self.entries().find(|(name, _)| *name == key).map(|(_, at)| at)
    }

    /// Returns the value at a key; its absence is a problem.
    pub(super) fn need(&self, key: &'static str, help: &str) -> Option<At<'f, 'v>> {
        let found = self.get(key);
        if found.is_none() {
            self.file.problem(
                self.span.clone(),
                format!("{} needs `{key}`", self.label()),
                help.to_owned(),
            );
        }
        found
    }

    /// Returns every key with its value.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'v str, At<'f, 'v>)> + '_ {
        self.entries.iter().map(|(key, value)| {
            let name: &'v str = key.get_ref().as_ref();
            let path = if self.path.is_empty() {
                name.to_owned()
            } else {
                format!("{}.{name}", self.path)
            };
            // A table's own span is its whole text; its key says where it begins.
            (name, At { file: self.file, value: value.get_ref(), span: key.span(), path })
        })
    }

    /// Reports keys that nobody asked for.
    pub(super) fn close(self) {
        let asked = self.asked.borrow();
        for (name, at) in self.entries() {
            if !asked.contains(&name) {
                self.file.problem(
                    at.span,
                    format!("{} does not know the key `{name}`", self.label()),
                    format!("known are {}", list(&asked)),
                );
            }
        }
    }

    pub(super) fn problem(&self, message: impl Into<String>, help: impl Into<String>) {
        self.file.problem(self.span.clone(), message, help);
    }

    fn label(&self) -> String {
        if self.path.is_empty() { "the file".into() } else { format!("`{}`", self.path) }
    }
}

fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

impl<'f, 'v> At<'f, 'v> {
    pub(super) fn problem(&self, message: impl Into<String>, help: impl Into<String>) {
        self.file.problem(self.span.clone(), message, help);
    }

    fn expected<T>(&self, found: Option<T>, what: &str) -> Option<T> {
        if found.is_none() {
            self.problem(
                format!("`{}` is a {}, expected is {what}", self.path, self.value.type_str()),
                format!("write {what}"),
            );
        }
        found
    }

    pub(super) fn text(&self) -> Option<&'v str> {
        self.expected(self.value.as_str(), "a text")
    }

    pub(super) fn bool(&self) -> Option<bool> {
        self.expected(self.value.as_bool(), "true or false")
    }

    pub(super) fn integer<T: std::str::FromStr>(&self) -> Option<T> {
        let number = self.value.as_integer().and_then(|number| number.as_str().parse().ok());
        self.expected(number, "a whole number in range")
    }

    pub(super) fn items(&self) -> Option<Vec<Self>> {
        let array = self.expected(self.value.as_array(), "a list")?;
        Some(
            array
                .iter()
                .enumerate()
                .map(|(at, item)| Self {
                    file: self.file,
                    value: item.get_ref(),
                    span: item.span(),
                    path: format!("{}[{at}]", self.path),
                })
                .collect(),
        )
    }

    pub(super) fn texts(&self) -> Vec<String> {
        let items = self.items().unwrap_or_default();
        items.iter().filter_map(Self::text).map(str::to_owned).collect()
    }

    pub(super) fn table(&self) -> Option<Table<'f, 'v>> {
        let table = self.expected(self.value.as_table(), "a table")?;
        Some(Table::new(self.file, table, self.span.clone(), self.path.clone()))
    }

    /// Returns the value as a literal that an argument is compared with.
    pub(super) fn literal(&self) -> Option<serde_json::Value> {
        let literal = match self.value {
            DeValue::String(text) => Some(serde_json::Value::from(text.as_ref())),
            DeValue::Boolean(value) => Some(serde_json::Value::from(*value)),
            DeValue::Integer(number) => number.as_str().parse::<i64>().ok().map(Into::into),
            DeValue::Float(number) => number.as_str().parse::<f64>().ok().map(Into::into),
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
        };
        self.expected(literal, "a text, a number, true or false")
    }
}
