//! What a protocol must bring to stand behind the door: the policy enforcement point.

use std::net::SocketAddr;
use std::sync::Arc;

use killick_model::{Outcome, Refusal};
use zeroize::Zeroizing;

use crate::decide::Due;
use crate::ports::{BoxFuture, Stream};
use crate::sessions::LiveSession;

/// A protocol behind the door. It parses, drives its protocol over lent streams, and opens nothing itself.
pub trait Adapter: Send + Sync {
    /// Returns the name under which parked calls are revived.
    fn name(&self) -> &'static str;

    /// Serves one client connection to its end.
    fn serve(self: Arc<Self>, stream: Stream, peer: SocketAddr) -> BoxFuture<'static, ()>;

    /// Sends a parked call whose time has come, or whose request was approved: from its canonical form,
    /// judged anew, decided anew.
    fn revive<'a>(
        &'a self,
        live: &'a LiveSession,
        canonical: Zeroizing<Vec<u8>>,
        due: Option<Due>,
    ) -> BoxFuture<'a, Result<Outcome, Refusal>>;
}
