//! The door for agents.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use killick_gate::ports::Stream;
use tokio::net::TcpListener;

use super::{DoorError, Entrance, is_of_one_connection, serve};

/// Connections that one door holds open; the next wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 4096;

/// A TCP address that is listened on.
#[derive(Debug)]
pub struct TcpDoor {
    listener: TcpListener,
    address: SocketAddr,
}

/// Listens on a TCP address; port 0 picks a free one.
///
/// # Errors
/// The address is taken or not this machine's.
pub async fn listen_tcp(address: SocketAddr) -> Result<TcpDoor, DoorError> {
    let failed = |source| DoorError::Listen { address: address.to_string(), source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(TcpDoor { listener, address })
}

impl TcpDoor {
    /// Returns the address with the port that it has.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hands every connection to `handler` until `stop`, then lets the open ones end within `drain`.
    pub async fn serve<H, F>(
        self,
        handler: H,
        stop: impl Future<Output = ()> + Send,
        drain: Duration,
    ) where
        H: Fn(Stream, SocketAddr) -> F + Send,
        F: Future<Output = ()> + Send + 'static,
    {
        serve(self, CONNECTIONS_MAX, handler, stop, drain).await;
    }
}

impl Entrance for TcpDoor {
    type Peer = SocketAddr;

    async fn next(&self) -> io::Result<Option<(Stream, SocketAddr)>> {
        match self.listener.accept().await {
            // Small answers must not wait for the acknowledgement of the last one.
            Ok((stream, peer)) => Ok(match stream.set_nodelay(true) {
                Ok(()) => Some((Box::new(stream), peer)),
                Err(_) => None,
            }),
            Err(error) if is_of_one_connection(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
