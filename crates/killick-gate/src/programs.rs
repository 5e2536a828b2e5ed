//! Programs of the machine that the gateway starts for a recorded call: a port.

use zeroize::Zeroizing;

use crate::chain::Departure;
use crate::ports::BoxFuture;

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
}
