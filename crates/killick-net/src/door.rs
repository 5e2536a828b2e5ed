//! The doors of the process: connections come in, each to a task of its own.
//!
//! A handler that panics ends its connection and nothing else. A door that is full takes no more
//! connections from the kernel until one ends.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use killick_gate::ports::Stream;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

pub(crate) mod admin;
pub(crate) mod tcp;

/// The longest that open connections may go on after a stop.
pub const DRAIN_SECONDS_MAX: u64 = 60;

/// How long a door rests when the kernel gives it no connection (out of file descriptors).
const ACCEPT_REST: Duration = Duration::from_millis(200);

/// A door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`: {source}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Another gateway is there.
    #[error("another gateway answers on `{}`; stop it first", path.display())]
    Busy {
        /// Where.
        path: PathBuf,
    },
    /// Something stands there that is no socket; it is left alone.
    #[error("`{}` is not a socket; move it away", path.display())]
    NotASocket {
        /// Where.
        path: PathBuf,
    },
    /// Others may enter the directory of the socket.
    #[error("`{}` must be a directory of this user alone: chown it, then chmod 700", path.display())]
    NotPrivate {
        /// The directory.
        path: PathBuf,
    },
}

/// One kind of door.
pub(crate) trait Entrance: Send {
    /// Who comes in.
    type Peer: Send + 'static;

    /// Waits for the next connection; `Ok(None)` when it was gone or not welcome before it was in.
    fn next(&self) -> impl Future<Output = io::Result<Option<(Stream, Self::Peer)>>> + Send;
}

/// Takes connections until `stop`, then waits up to `drain` for the open ones and cuts the rest.
pub(crate) async fn serve<E, H, F>(
    entrance: E,
    connections_max: usize,
    handler: H,
    stop: impl Future<Output = ()> + Send,
    drain: Duration,
) where
    E: Entrance,
    H: Fn(Stream, E::Peer) -> F + Send,
    F: Future<Output = ()> + Send + 'static,
{
    let mut open = JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = open.join_next() => note_end(ended),
            came = entrance.next(), if open.len() < connections_max => match came {
                Ok(Some((stream, peer))) => {
                    open.spawn(handler(stream, peer));
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "the door gets no connection; it rests and tries again");
                    tokio::select! {
                        () = &mut stop => break,
                        () = sleep(ACCEPT_REST) => {}
                    }
                }
            }
        }
    }
    // Closes the socket first: who comes from here on is turned away and does not wait.
    drop(entrance);
    let drained = async {
        while let Some(ended) = open.join_next().await {
            note_end(ended);
        }
    };
    let limit = drain.min(Duration::from_secs(DRAIN_SECONDS_MAX));
    if timeout(limit, drained).await.is_err() {
        tracing::warn!(connections = open.len(), "connections are cut at the end of the drain");
        open.shutdown().await;
    }
}

fn note_end(ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        // What the panic said may hold an agent's bytes, so it is not repeated here.
        tracing::error!("a connection's task panicked; the connection is closed");
    }
}

/// Whether an accept failed for the sake of the one connection, so that the next may be taken at once.
pub(crate) fn is_of_one_connection(error: &io::Error) -> bool {
    [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::Interrupted,
    ]
    .contains(&error.kind())
}

#[cfg(test)]
mod tests;
