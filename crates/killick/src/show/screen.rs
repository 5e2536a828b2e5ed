//! Standard output: JSON or tables, colours on a terminal alone.

use std::io::{IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::plain::{CELL_CHARS_MAX, harmless_json, plain};
use crate::failure::Exit;

/// How a text is shown on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Good.
    Good,
    /// Look here.
    Loud,
    /// Bad.
    Bad,
    /// Beside the point.
    Quiet,
    /// A heading.
    Strong,
}

/// Where results go.
#[derive(Debug)]
pub(crate) struct Screen {
    /// Results are JSON.
    pub(crate) json: bool,
    colour: bool,
    terminal: bool,
}

impl Screen {
    /// Returns a screen without colours.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { json: false, colour: false, terminal: false }
    }

    /// Looks at what standard output is.
    pub(crate) fn of_stdout(json: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self { json, colour: terminal && !plain, terminal }
    }

    #[expect(clippy::unused_self, reason = "whoever writes to the screen holds it")]
    /// Writes one line. A reader that went away ends the command quietly, so that nothing is
    /// followed or exported for nobody.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        if writeln!(std::io::stdout().lock(), "{}", text.as_ref()).is_err() {
            std::process::exit(Exit::Failed as i32);
        }
    }

    /// Writes a value as JSON, on a terminal with indents.
    pub(crate) fn json(&self, value: &impl Serialize) {
        let text = if self.terminal {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        self.line(harmless_json(&text.unwrap_or_else(|_| "null".into())));
    }

    /// Writes a value as JSON in one line.
    pub(crate) fn json_line(&self, value: &impl Serialize) {
        let text = serde_json::to_string(value);
        self.line(harmless_json(&text.unwrap_or_else(|_| "null".into())));
    }

    /// Returns text in a tone, when tones are shown.
    pub(crate) fn tone(&self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Loud => "1;33",
            Tone::Bad => "1;31",
            Tone::Quiet => "2",
            Tone::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Writes a table; every cell is made harmless. `none` stands for no rows.
    pub(crate) fn table(&self, head: &[&str], rows: Vec<Vec<String>>, none: &str) {
        if rows.is_empty() {
            self.line(none);
            return;
        }
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_header(head.iter().map(|name| name.to_uppercase()));
        if self.terminal {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        for row in rows {
            table.add_row(row.iter().map(|cell| plain(cell, CELL_CHARS_MAX)));
        }
        for line in table.lines() {
            self.line(line.trim_end());
        }
    }

    /// Writes a name and what belongs to it.
    pub(crate) fn field(&self, name: &str, value: &str) {
        self.line(self.field_text(name, value));
    }

    /// Returns a name and what belongs to it.
    pub(crate) fn field_text(&self, name: &str, value: &str) -> String {
        format!("{}{value}", self.tone(Tone::Quiet, &format!("{name:<19} ")))
    }
}

/// Writes a line to standard error, for people: standard output is for what was asked for.
pub(crate) fn aside(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
}
