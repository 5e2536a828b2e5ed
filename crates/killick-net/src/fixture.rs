//! What the tests of this crate share: a clock in the hand, a CA, a TLS client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use killick_model::UnixMillis;
use killick_model::time::Clock;
use rustls::ClientConfig;
use tokio_rustls::TlsConnector;

use crate::ca::Ca;
use crate::clock::SystemClock;
use crate::leaves::Leaves;
use crate::trust::client_config;

/// A clock that stands until it is moved.
pub(crate) struct Hand(pub(crate) AtomicU64);

impl Clock for Hand {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
}

/// A fresh CA that is good at `now`.
pub(crate) fn ca(now: UnixMillis) -> Ca {
    let fresh = Ca::create(now).unwrap();
    Ca::load(&fresh.certificate_pem, &fresh.key_pem, now).unwrap()
}

/// The leaves of a fresh CA, with the clock that they go by.
pub(crate) fn leaves(now: UnixMillis) -> (Leaves, Arc<Hand>) {
    let clock = Arc::new(Hand(AtomicU64::new(now.0)));
    (Leaves::new(ca(now), clock.clone()).unwrap(), clock)
}

/// The leaves of a fresh CA at the machine's own time, for clients that look at the time.
pub(crate) fn present_leaves() -> Leaves {
    leaves(SystemClock::start().now()).0
}

/// A client that trusts these leaves, with settings of its own.
pub(crate) fn client(leaves: &Leaves, change: impl FnOnce(&mut ClientConfig)) -> TlsConnector {
    let pem = leaves.ca().certificate_pem().to_owned();
    let mut config = Arc::unwrap_or_clone(client_config(false, &[pem]).unwrap());
    change(&mut config);
    TlsConnector::from(Arc::new(config))
}
