//! Short lines for a terminal; colours only on one.

use std::io::{self, IsTerminal as _, Write as _};

/// The longest line of shown output; a terminal of the usual width wraps nothing then.
const LINE_CHARS_MAX: usize = 110;

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

    /// Shows what came back.
    pub(super) fn shown(&self, text: &str) -> io::Result<()> {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let short: String = line.chars().take(LINE_CHARS_MAX).collect();
            let more = if short.len() < line.len() { " ..." } else { "" };
            self.line("2", &format!("    {short}{more}"))?;
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
