//! Passphrases and values: typed without echo, or read from standard input or a file. Never from an
//! argument or the environment, where every process of the user could read them.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::cli::PassphraseArgs;

/// The most bytes of one line of secret input.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// What Ctrl-C types while signals are off.
const INTERRUPT: char = '\u{3}';

/// Returns the approver's passphrase.
pub(crate) fn passphrase(args: &PassphraseArgs, prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    if args.passphrase_stdin {
        return stdin_line().context("the passphrase could not be read from standard input");
    }
    if let Some(path) = &args.passphrase_file {
        return file_line(path)
            .with_context(|| format!("the passphrase could not be read from {}", path.display()));
    }
    typed(prompt)
}

/// Returns the value of a credential: from a file, standard input, or typed.
pub(crate) fn value(file: Option<&Path>, prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    if let Some(path) = file {
        return file_line(path)
            .with_context(|| format!("the value could not be read from {}", path.display()));
    }
    if std::io::stdin().is_terminal() {
        return typed(prompt);
    }
    stdin_line().context("the value could not be read from standard input")
}

/// Reads one line of standard input and nothing past it.
pub(crate) fn stdin_line() -> anyhow::Result<Zeroizing<String>> {
    // The process's one buffer over standard input, so that a second line is there for the next reader.
    line_of(&mut std::io::stdin().lock())
}

fn file_line(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    line_of(&mut BufReader::new(File::open(path)?))
}

fn line_of(reader: &mut impl std::io::BufRead) -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    reader.take(LINE_BYTES_MAX).read_line(&mut line)?;
    let kept = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(kept);
    if line.is_empty() {
        bail!("there is an empty line, or none");
    }
    Ok(line)
}

/// Asks on the terminal, without echo.
pub(crate) fn typed(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").context(
        "there is no terminal to ask on; give it with --passphrase-stdin, --passphrase-file, or \
         on standard input",
    )?;
    let mut output = terminal.try_clone()?;
    write!(output, "{prompt}: ")?;
    output.flush()?;
    let silence = Silence::on(&terminal)?;
    let line = line_of(&mut BufReader::new(terminal.try_clone()?));
    drop(silence);
    writeln!(output)?;
    let line = line?;
    if line.contains(INTERRUPT) {
        bail!("interrupted; nothing was changed");
    }
    Ok(line)
}

/// A terminal that does not show what is typed; as it was again when dropped.
struct Silence<'a> {
    terminal: &'a File,
    former: Termios,
}

impl<'a> Silence<'a> {
    fn on(terminal: &'a File) -> anyhow::Result<Self> {
        let former = tcgetattr(terminal)?;
        let mut silent = former.clone();
        // Signals are off too: one that ended the process here would leave the terminal silent.
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, former })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // Nothing is left to do about a terminal that is gone.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.former);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_taken_and_the_rest_is_left() {
        let mut reader = std::io::Cursor::new("first line\r\nsecond\n");
        assert_eq!(line_of(&mut reader).unwrap().as_str(), "first line");
        assert_eq!(line_of(&mut reader).unwrap().as_str(), "second");
        assert!(line_of(&mut reader).is_err());
    }

    #[test]
    fn blanks_inside_and_around_are_kept() {
        let mut reader = std::io::Cursor::new(" a b \n");
        assert_eq!(line_of(&mut reader).unwrap().as_str(), " a b ");
    }
}
