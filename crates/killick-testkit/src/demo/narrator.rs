//! Short lines for a terminal; colours only on one.

use std::io::{self, IsTerminal as _, Write as _};

/// The longest line of shown output, in front of which stand four blanks.
const LINE_CHARS_MAX: usize = 96;

/// Tells what happens.
pub(super) struct Narrator {
    colours: bool,
}

impl Narrator {
    /// Colours are for terminals, and only where nobody asked for none.
    pub(super) fn to_stdout() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
        Self { colours: io::stdout().is_terminal() && !plain }
    }

    /// Opens an act.
    pub(super) fn act(&self, number: &str, what: &str) -> io::Result<()> {
        self.line("", "")?;
        self.line("1;36", &format!("{number}  {what}"))
    }

    /// Says what happens next.
    pub(super) fn say(&self, what: &str) -> io::Result<()> {
        self.line("", &format!("\n  {what}"))
    }

    /// Shows a command.
    pub(super) fn command(&self, command: &str) -> io::Result<()> {
        self.line("1", &format!("  $ {command}"))
    }

    /// Shows what came back, long lines broken between words.
    pub(super) fn shown(&self, text: &str) -> io::Result<()> {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let mut row = String::new();
            for word in line.split_inclusive(' ') {
                let chars = row.chars().count().saturating_add(word.trim_end().chars().count());
                if !row.trim().is_empty() && chars > LINE_CHARS_MAX {
                    self.line("2", &format!("    {}", row.trim_end()))?;
                    row.clear();
                    row.push_str("  ");
                }
                row.push_str(word);
            }
            self.line("2", &format!("    {}", row.trim_end()))?;
        }
        Ok(())
    }

    /// Says that something ended well.
    pub(super) fn good(&self, what: &str) -> io::Result<()> {
        self.line("32", &format!("  ok  {what}"))
    }

    /// Says that something ended badly, as it had to.
    pub(super) fn bad(&self, what: &str) -> io::Result<()> {
        self.line("31", &format!("  !!  {what}"))
    }

    fn line(&self, colour: &str, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.colours && !colour.is_empty() {
            writeln!(out, "\u{1b}[{colour}m{text}\u{1b}[0m")
        } else {
            writeln!(out, "{text}")
        }
    }
}
