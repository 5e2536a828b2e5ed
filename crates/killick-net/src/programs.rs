//! Programs of the machine, started for a recorded call and ended with it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use killick_gate::Departure;
use killick_gate::ports::BoxFuture;
use killick_gate::programs::{ProgramCall, ProgramError, Programs, Running};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

/// Bytes read from a program at a time.
const READ_BYTES: usize = 64 << 10;
/// The most bytes that are kept of what a program says about itself.
const SAID_BYTES_MAX: usize = 4 << 10;

/// The programs of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemPrograms;

impl Programs for SystemPrograms {
    fn start<'a>(
        &'a self,
        _departure: &'a Departure,
        call: ProgramCall,
    ) -> BoxFuture<'a, Result<Box<dyn Running>, ProgramError>> {
        Box::pin(async move { start(call).map(|it| Box::new(it) as Box<dyn Running>) })
    }
}

struct Started {
    program: String,
    child: Child,
    output: ChildStdout,
    said: Arc<Mutex<Vec<u8>>>,
    listening: JoinHandle<()>,
    _room: TempDir,
}

fn start(call: ProgramCall) -> Result<Started, ProgramError> {
    let ProgramCall { program, folders, arguments, environment, files } = call;
    let failed = |error: std::io::Error| ProgramError::Failed {
        program: program.clone(),
        said: error.to_string(),
    };
    let path = find(&program, &folders).ok_or_else(|| ProgramError::Missing(program.clone()))?;
    // Made with mode 0700: what is in it is for this user alone.
    let room = TempDir::with_prefix("killick-program-").map_err(failed)?;
    let mut names = Vec::with_capacity(files.len());
    for (at, bytes) in files.iter().enumerate() {
        let name = room.path().join(at.to_string());
        std::fs::write(&name, bytes).map_err(failed)?;
        names.push(name);
    }
    let arguments = arguments.into_iter().map(|argument| filled(argument, &names));
    let mut command = Command::new(path);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", room.path())
        .current_dir(room.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    for (name, value) in &environment {
        command.env(name, value.as_str());
    }
    let mut child = command.spawn().map_err(failed)?;
    let (Some(output), Some(mut errors)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(ProgramError::Failed { program, said: "it has no output".into() });
    };
    let said = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&said);
    let listening = tokio::spawn(async move {
        let mut block = vec![0_u8; 1_024];
        while let Ok(count @ 1..) = errors.read(&mut block).await {
            let mut all = kept.lock();
            all.extend_from_slice(block.get(..count).unwrap_or_default());
            let over = all.len().saturating_sub(SAID_BYTES_MAX);
            all.drain(..over);
        }
    });
    Ok(Started { program, child, output, said, listening, _room: room })
}

impl Running for Started {
    fn read(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, ProgramError>> {
        Box::pin(async move {
            let mut block = Vec::with_capacity(READ_BYTES);
            match self.output.read_buf(&mut block).await {
                Ok(0) => Ok(None),
                Ok(_) => Ok(Some(block)),
                Err(error) => Err(ProgramError::Failed {
                    program: self.program.clone(),
                    said: error.to_string(),
                }),
            }
        })
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<(), ProgramError>> {
        Box::pin(async move {
            let ended = self.child.wait().await;
            // What it said last has been read when its end of the pipe is closed.
            let _ = (&mut self.listening).await;
            let said = String::from_utf8_lossy(&self.said.lock()).into_owned();
            let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
            match ended {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(ProgramError::Failed {
                    program: self.program.clone(),
                    said: if said.is_empty() { status.to_string() } else { said },
                }),
                Err(error) => Err(ProgramError::Failed {
                    program: self.program.clone(),
                    said: error.to_string(),
                }),
            }
        })
    }
}

fn filled(mut argument: String, files: &[PathBuf]) -> String {
    for (at, name) in files.iter().enumerate() {
        argument = argument.replace(&format!("{{file:{at}}}"), &name.to_string_lossy());
    }
    argument
}

/// Finds a program: in the folders that are named, then in those of `PATH`.
fn find(program: &str, folders: &[String]) -> Option<PathBuf> {
    if program.contains('/') {
        return None;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = folders.iter().flat_map(|folder| expanded(folder));
    named.chain(std::env::split_paths(&path)).map(|it| it.join(program)).find(|it| it.is_file())
}

/// Returns the folders that a pattern stands for, the highest number first.
fn expanded(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once("/*/") else { return vec![pattern.into()] };
    let entries = std::fs::read_dir(Path::new(before)).into_iter().flatten().flatten();
    let mut found: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| {
            let number = entry.file_name().to_string_lossy().parse().ok()?;
            Some((number, entry.path().join(after)))
        })
        .collect();
    found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(program: &str, arguments: &[&str], files: &[&str]) -> ProgramCall {
        ProgramCall {
            program: program.into(),
            folders: Vec::new(),
            arguments: arguments.iter().map(|&it| it.to_owned()).collect(),
            environment: vec![("SECRET".into(), zeroize::Zeroizing::new("s3cret".into()))],
            files: files.iter().map(|it| it.as_bytes().to_vec()).collect(),
        }
    }

    async fn output(call: ProgramCall) -> Result<String, ProgramError> {
        let mut started = Box::new(start(call)?);
        let mut all = Vec::new();
        while let Some(block) = started.read().await? {
            all.extend(block);
        }
        started.finish().await?;
        Ok(String::from_utf8(all).unwrap())
    }

    #[tokio::test]
    async fn a_program_gets_its_files_and_nothing_of_the_gateways_own_environment() {
        let said =
            output(call("sh", &["-c", "cat {file:1}; env"], &["zero", "one\n"])).await.unwrap();
        assert!(said.starts_with("one\n"), "{said}");
        assert!(said.contains("SECRET=s3cret"));
        assert!(!said.contains("CARGO"), "{said}");
    }

    #[tokio::test]
    async fn a_program_that_fails_or_is_not_there_says_so() {
        let failed = output(call("sh", &["-c", "echo half; echo no luck >&2; exit 3"], &[])).await;
        assert_eq!(
            failed,
            Err(ProgramError::Failed { program: "sh".into(), said: "no luck".into() })
        );
        let missing = output(call("no-such-program", &[], &[])).await;
        assert_eq!(missing, Err(ProgramError::Missing("no-such-program".into())));
        assert!(output(call("../bin/sh", &[], &[])).await.is_err());
    }
}
