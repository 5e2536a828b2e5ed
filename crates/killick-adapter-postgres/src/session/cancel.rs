//! Cancelling: a request on a connection of its own, mapped to the server's process and never passed on as it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use killick_gate::Departure;
use killick_gate::ports::Stream;
use killick_model::database::Database;
use subtle::ConstantTimeEq as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::adapter::PostgresAdapter;
use super::connect::reach;
use crate::wire::frontend;

/// A key that cancels a statement, before protocol 3.2.
const SHORT_KEY_BYTES: usize = 4;
/// The same from 3.2 on.
const LONG_KEY_BYTES: usize = 32;
/// How long a statement that is to be cancelled may take to get to the server.
const WAIT_MILLIS_MAX: u64 = 5_000;
/// How often it is looked whether it is there.
const LOOK_MILLIS: u64 = 10;

/// What it takes to cancel a statement of a session.
pub(crate) struct Cancel {
    pub(crate) departure: Arc<Departure>,
    pub(crate) database: Arc<Database>,
    pub(crate) own_key: Vec<u8>,
    pub(crate) process: u32,
    pub(crate) key: Vec<u8>,
    pub(crate) turn: Arc<Turn>,
}

/// Whose turn it is: what the agent asks to be cancelled is what it last said, whether it is at the server already or
/// still here, and never a statement of the gateway's own.
#[derive(Default)]
pub(crate) struct Turn {
    /// Odd while the agent waits for an answer.
    count: AtomicU64,
    at_server: AtomicBool,
}

impl Turn {
    /// The agent said something.
    pub(crate) fn begins(&self) {
        self.count.fetch_or(1, Ordering::SeqCst);
    }

    /// The agent is told that it is ready.
    pub(crate) fn ends(&self) {
        let now = self.count.load(Ordering::SeqCst);
        self.count.store((now | 1).wrapping_add(1), Ordering::SeqCst);
    }

    /// A statement of the agent's is with the server, or is no longer.
    pub(crate) fn at_server(&self, is: bool) {
        self.at_server.store(is, Ordering::SeqCst);
    }

    /// Waits until what was said is with the server; false when it has been answered, or takes too long.
    async fn arrived(&self) -> bool {
        let turn = self.count.load(Ordering::SeqCst);
        if turn & 1 == 0 {
            return false;
        }
        for _ in 0..WAIT_MILLIS_MAX / LOOK_MILLIS {
            if self.count.load(Ordering::SeqCst) != turn {
                return false;
            }
            if self.at_server.load(Ordering::SeqCst) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(LOOK_MILLIS)).await;
        }
        false
    }
}

/// Returns the number and the key that a client gets in place of the server's.
pub(crate) fn fresh_key(long: bool) -> Option<(u32, Vec<u8>)> {
    let mut bytes = [0_u8; 4 + LONG_KEY_BYTES];
    getrandom::fill(&mut bytes).ok()?;
    let (process, key) = bytes.split_first_chunk::<4>()?;
    let key = key.get(..if long { LONG_KEY_BYTES } else { SHORT_KEY_BYTES })?;
    // Clients read the number as signed, and show it.
    Some((u32::from_be_bytes(*process) & 0x7fff_ffff, key.to_vec()))
}

/// Cancels what a session's server does, if the key is the one that the gateway gave out. The client's stream is closed
/// when it is done: from then on nothing that it says is cancelled by this.
pub(crate) async fn cancel(
    adapter: &Arc<PostgresAdapter>,
    process: u32,
    key: &[u8],
    mut client: Stream,
) {
    let found = adapter.cancels.read().get(&process).cloned();
    if let Some(cancel) = found
        && bool::from(cancel.own_key.as_slice().ct_eq(key))
        && cancel.turn.arrived().await
    {
        send_cancel(adapter, &cancel).await;
    }
    // A client over TLS waits for the end that TLS has for it.
    let _ = client.shutdown().await;
}

/// Has the server cancel what it does for a session.
pub(crate) async fn send_cancel(adapter: &Arc<PostgresAdapter>, cancel: &Cancel) {
    match reach(adapter, &cancel.database, &cancel.departure).await {
        Ok((mut stream, _)) => {
            let mut out = BytesMut::new();
            frontend::encode_cancel(&mut out, cancel.process, &cancel.key);
            let sent = stream.write_all(&out).await.is_ok() && stream.flush().await.is_ok();
            // The server leaves when it has passed the request on.
            let limit = Duration::from_millis(WAIT_MILLIS_MAX);
            let _ = tokio::time::timeout(limit, stream.read_u8()).await;
            tracing::debug!(sent, "a statement was cancelled");
        }
        Err(why) => tracing::debug!(why, "a statement could not be cancelled"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_the_agent_waits_for_is_cancelled() {
        let turn = Turn::default();
        assert!(!turn.arrived().await, "nothing was said");
        turn.begins();
        turn.at_server(true);
        assert!(turn.arrived().await);
        turn.at_server(false);
        turn.ends();
        assert!(!turn.arrived().await, "it was answered");
        turn.begins();
        let (arrived, ()) = tokio::join!(turn.arrived(), async { turn.at_server(true) });
        assert!(arrived, "it came to the server a little later");
    }
}
