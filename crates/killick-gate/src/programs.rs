//! Programs of the machine that the gateway starts for a recorded call: a port.

use std::path::PathBuf;

use tokio::io::AsyncWrite;
use zeroize::Zeroizing;

use crate::chain::Departure;
use crate::ports::{BoxFuture, Stream};

/// A program could not be started, or did not end well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// It is not on this machine.
    #[error("`{0}` is not installed on the gateway's machine")]
    Missing(String),
    /// It failed; with what it said last.
    #[error("`{program}` failed: {said}")]
    Failed {
        /// Which.
        program: String,
        /// The end of what it said, in one line.
        said: String,
    },
}

/// What to start.
#[derive(Default)]
pub struct ProgramCall {
    /// Its name, without a folder.
    pub program: String,
    /// Folders to look in before those of `PATH`; a `*` for one part of a path stands for the highest number there.
    pub folders: Vec<String>,
    /// Its arguments; no secret stands in them, since every user of the machine can read them. `{file:N}` becomes the
    /// path of the N-th of `files`.
    pub arguments: Vec<String>,
    /// Its environment: nothing else of the gateway's own reaches it but `PATH` and `HOME`.
    pub environment: Vec<(String, Zeroizing<String>)>,
    /// Files that only it may read, for the time that it runs.
    pub files: Vec<Vec<u8>>,
}

/// A program that runs. Dropped, it is killed.
pub trait Running: Send {
    /// Returns what it writes; `None` when it has closed its output.
    ///
    /// The error says that what was read so far must not be used.
    fn read(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, ProgramError>>;

    /// Waits for its end; one that does not end well is an error.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), ProgramError>>;
}

/// What a program is lent beside its call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lent {
    /// The file name of a socket at which this very process, and no other, is let in to the gateway. In a value of
    /// the environment `{socket}` becomes the path of its folder.
    pub socket: Option<String>,
    /// Whom it runs as where the gateway runs as root, for programs that refuse to.
    pub unless_root: Option<String>,
    /// The folder that is its home, in place of one of its own that goes with it.
    pub room: Option<PathBuf>,
}

/// A program that was lent something.
pub struct Served {
    /// It runs.
    pub running: Box<dyn Running>,
    /// What it reads.
    pub input: Box<dyn AsyncWrite + Send + Unpin>,
    /// Its connection to the gateway, once it comes.
    pub caller: Option<BoxFuture<'static, Result<Stream, ProgramError>>>,
}

/// A folder for one piece of work, that only the gateway's user enters, or the one that its programs run as.
/// Dropped, it is removed with all that is in it.
pub struct Scratch {
    /// Where it is.
    pub folder: PathBuf,
    /// What removes it.
    pub guard: Box<dyn Send + Sync>,
}

/// Starts programs. The only implementation is in the crate that also opens sockets.
pub trait Programs: Send + Sync {
    /// Starts one.
    ///
    /// The error says why nothing runs.
    fn start<'a>(
        &'a self,
        departure: &'a Departure,
        call: ProgramCall,
    ) -> BoxFuture<'a, Result<Box<dyn Running>, ProgramError>>;

    /// Starts one that reads, or that speaks to an upstream through the gateway.
    ///
    /// The error says why nothing runs.
    fn start_lent<'a>(
        &'a self,
        departure: &'a Departure,
        call: ProgramCall,
        lent: Lent,
    ) -> BoxFuture<'a, Result<Served, ProgramError>>;

    /// Makes a folder for one piece of work.
    ///
    /// The error says why there is none.
    fn scratch<'a>(
        &'a self,
        unless_root: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Scratch, ProgramError>>;
}
