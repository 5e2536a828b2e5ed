//! Programs of the machine, started for a recorded call and ended with it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use killick_gate::Departure;
use killick_gate::ports::{BoxFuture, Stream};
use killick_gate::programs::{Lent, ProgramCall, ProgramError, Programs, Running, Scratch, Served};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixListener;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Bytes read from a program at a time.
const READ_BYTES: usize = 64 << 10;
/// The most bytes that are kept of what a program says about itself.
const SAID_BYTES_MAX: usize = 4 << 10;
/// How long a program may take until it comes to its socket.
pub const CALLER_SECONDS_MAX: u64 = 30;

/// The programs of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemPrograms;

impl Programs for SystemPrograms {
    fn start<'a>(
        &'a self,
        _departure: &'a Departure,
        call: ProgramCall,
    ) -> BoxFuture<'a, Result<Box<dyn Running>, ProgramError>> {
        Box::pin(async move {
            start(call, &Lent::default(), None).map(|(it, _)| Box::new(it) as Box<dyn Running>)
        })
    }

    fn start_lent<'a>(
        &'a self,
        _departure: &'a Departure,
        call: ProgramCall,
        lent: Lent,
    ) -> BoxFuture<'a, Result<Served, ProgramError>> {
        Box::pin(async move { serve(call, &lent) })
    }

    fn scratch<'a>(
        &'a self,
        unless_root: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Scratch, ProgramError>> {
        Box::pin(scratch(unless_root))
    }
}

/// Makes a folder that only this user may look into.
fn private_folder(prefix: &str) -> std::io::Result<TempDir> {
    use std::os::unix::fs::PermissionsExt as _;
    let owners_alone = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix(prefix).permissions(owners_alone).tempdir()
}

async fn scratch(unless_root: Option<&str>) -> Result<Scratch, ProgramError> {
    // Made with mode 0700, below the system's own folder: another user could not pass through the gateway's.
    let room =
        private_folder("killick-scratch-").map_err(|error| failed("a scratch folder", error))?;
    if let Some(user) = unless_root.filter(|_| rustix::process::geteuid().is_root()) {
        let given = Command::new("chown").arg(user).arg(room.path()).status().await;
        if !given.is_ok_and(|status| status.success()) {
            return Err(failed("chown", format!("the scratch folder cannot be given to `{user}`")));
        }
    }
    Ok(Scratch { folder: room.path().to_owned(), guard: Box::new(room) })
}

fn serve(call: ProgramCall, lent: &Lent) -> Result<Served, ProgramError> {
    let program = call.program.clone();
    let socket = match &lent.socket {
        None => None,
        Some(name) => {
            let folder =
                private_folder("killick-socket-").map_err(|error| failed(&program, error))?;
            let listener = UnixListener::bind(folder.path().join(name))
                .map_err(|error| failed(&program, error))?;
            Some((listener, folder))
        }
    };
    let folder = socket.as_ref().map(|(_, folder)| folder.path());
    let (started, input) = start(call, lent, folder)?;
    let input = input.ok_or_else(|| failed(&program, "it has no input"))?;
    let process = started.child.id();
    let caller = socket.map(|(listener, folder)| {
        Box::pin(caller(program, listener, folder, process))
            as BoxFuture<'static, Result<Stream, ProgramError>>
    });
    Ok(Served { running: Box::new(started), input: Box::new(input), caller })
}

/// Waits for the program's connection. Whoever else comes is sent away: the system names who it is.
async fn caller(
    program: String,
    listener: UnixListener,
    folder: TempDir,
    process: Option<u32>,
) -> Result<Stream, ProgramError> {
    let waiting = async {
        loop {
            let (stream, _) = listener.accept().await.map_err(|error| failed(&program, error))?;
            let peer = stream.peer_cred().ok().and_then(|peer| peer.pid());
            let peer = peer.and_then(|pid| u32::try_from(pid).ok());
            if peer.is_some() && peer == process {
                return Ok(Box::new(stream) as Stream);
            }
            tracing::warn!(program, "somebody else came to its socket, and was sent away");
        }
    };
    let taken = timeout(Duration::from_secs(CALLER_SECONDS_MAX), waiting)
        .await
        .unwrap_or_else(|_| Err(failed(&program, "it did not come to its socket in time")));
    drop(folder);
    taken
}

fn failed(program: &str, why: impl std::fmt::Display) -> ProgramError {
    ProgramError::Failed { program: program.to_owned(), said: why.to_string() }
}

struct Started {
    program: String,
    child: Child,
    output: ChildStdout,
    said: Arc<Mutex<Vec<u8>>>,
    listening: JoinHandle<()>,
    _room: TempDir,
}

/// Starts a program. It reads where it is lent anything.
fn start(
    call: ProgramCall,
    lent: &Lent,
    socket: Option<&Path>,
) -> Result<(Started, Option<ChildStdin>), ProgramError> {
    let ProgramCall { program, folders, arguments, environment, files } = call;
    let path = find(&program, &folders).ok_or_else(|| ProgramError::Missing(program.clone()))?;
    // Made with mode 0700: what is in it is for this user alone.
    let room = private_folder("killick-program-").map_err(|it| failed(&program, it))?;
    let mut names = Vec::with_capacity(files.len());
    for (at, bytes) in files.iter().enumerate() {
        let name = room.path().join(at.to_string());
        std::fs::write(&name, bytes).map_err(|it| failed(&program, it))?;
        names.push(name);
    }
    let home = lent.room.as_deref().unwrap_or(room.path());
    let reads = *lent != Lent::default();
    let mut command = as_user(&path, lent.unless_root.as_deref());
    command
        .args(arguments.into_iter().map(|argument| filled(argument, &names)))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .current_dir(home)
        .stdin(if reads { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let socket = socket.map(Path::to_string_lossy).unwrap_or_default();
    for (name, value) in &environment {
        command.env(name, value.replace("{socket}", &socket));
    }
    let mut child = command.spawn().map_err(|it| failed(&program, it))?;
    let (Some(output), Some(mut errors)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(failed(&program, "it has no output"));
    };
    let input = child.stdin.take();
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
    Ok((Started { program, child, output, said, listening, _room: room }, input))
}

/// Returns the command, as another user where it would refuse to be root.
fn as_user(path: &Path, unless_root: Option<&str>) -> Command {
    let Some(user) = unless_root.filter(|_| rustix::process::geteuid().is_root()) else {
        return Command::new(path);
    };
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={user}"))
        .arg(format!("--regid={user}"))
        .arg("--clear-groups")
        .arg(path);
    command
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

fn find(program: &str, folders: &[String]) -> Option<PathBuf> {
    places(program, folders).next()
}

/// Returns where a program lies: in the folders that are named, then in those of `PATH`. The first is the one that is
/// started.
pub fn places(program: &str, folders: &[String]) -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named: Vec<PathBuf> = folders.iter().flat_map(|folder| expanded(folder)).collect();
    let all: Vec<PathBuf> = if program.contains('/') {
        Vec::new()
    } else {
        named.into_iter().chain(std::env::split_paths(&path)).collect()
    };
    let program = program.to_owned();
    all.into_iter().map(move |it| it.join(&program)).filter(|it| it.is_file())
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
        let mut started = Box::new(start(call, &Lent::default(), None)?.0);
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

    #[tokio::test]
    async fn what_goes_in_to_a_program_comes_out() {
        use tokio::io::AsyncWriteExt as _;
        let room = tempfile::tempdir().unwrap();
        let lent = Lent { room: Some(room.path().to_owned()), ..Lent::default() };
        let Served { mut running, mut input, .. } = serve(call("cat", &[], &[]), &lent).unwrap();
        input.write_all(b"hello").await.unwrap();
        drop(input);
        assert_eq!(running.read().await.unwrap().unwrap(), b"hello");
        assert_eq!(running.read().await.unwrap(), None);
        running.finish().await.unwrap();
    }

    #[tokio::test]
    async fn nobody_but_the_program_itself_is_let_in_at_its_socket() {
        let mut sleeping = call("sh", &["-c", "echo $DOOR; exec sleep 60"], &[]);
        sleeping.environment.push(("DOOR".into(), zeroize::Zeroizing::new("{socket}".into())));
        let lent = Lent { socket: Some("door".into()), ..Lent::default() };
        let mut served = serve(sleeping, &lent).unwrap();
        let said = served.running.read().await.unwrap().unwrap();
        let folder = PathBuf::from(String::from_utf8(said).unwrap().trim());
        let mut stranger = tokio::net::UnixStream::connect(folder.join("door")).await.unwrap();
        let caller = tokio::spawn(served.caller.unwrap());
        // The stranger's connection is closed, and the program is still waited for.
        assert_eq!(stranger.read(&mut [0]).await.unwrap(), 0);
        assert!(!caller.is_finished());
        caller.abort();
        let _ = caller.await;
        assert!(!folder.exists(), "the socket goes with whoever waits at it");
    }

    #[tokio::test]
    async fn a_scratch_folder_is_for_its_user_and_goes_with_its_guard() {
        use std::os::unix::fs::PermissionsExt as _;
        let made = scratch(None).await.unwrap();
        let seen = std::fs::metadata(&made.folder).unwrap().permissions();
        assert_eq!(seen.mode() & 0o777, 0o700);
        let folder = made.folder.clone();
        drop(made);
        assert!(!folder.exists());
    }
}
