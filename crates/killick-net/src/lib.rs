//! Listeners, dialer, TLS, processes, time: the only crate that opens sockets and starts programs.
//!
//! [`Net`] lends streams to the gate: out to an upstream for a recorded call, and in from a client
//! whose TLS the gateway ends with a certificate of its own [`Ca`]. [`listen_tcp`] and
//! [`listen_admin`] are the two doors that the process has. [`webhook`] posts the gateway's own notes, and [`s3`] opens
//! the bucket that recovery points are kept in.

mod address;
mod ca;
mod clock;
mod dial;
mod door;
#[cfg(test)]
mod fixture;
mod gateway;
mod host;
mod intercept;
mod leaves;
mod net;
mod objects;
mod post;
mod programs;
mod resolver;
mod trust;
mod upgrade;

pub use address::{Reach, forbidden, reach};
pub use ca::{CA_DAYS_MAX, CLOCK_SKEW_HOURS_MAX, Ca, CaError, FreshCa, LEAF_DAYS_MAX};
pub use clock::SystemClock;
pub use dial::{ADDRESSES_MAX, ATTEMPTS_MAX, CONNECT_SECONDS_MAX};
pub use door::admin::{ADMIN_CONNECTIONS_MAX, AdminPeer, UnixDoor, listen_admin};
pub use door::tcp::{CONNECTIONS_MAX, TcpDoor, listen_tcp};
pub use door::{DRAIN_SECONDS_MAX, DoorError};
pub use gateway::dial_gateway;
pub use host::{HOST_BYTES_MAX, HostError, HostKind, LABEL_BYTES_MAX, parse_host};
pub use intercept::HANDSHAKE_SECONDS_MAX;
pub use leaves::{LEAF_CACHE_MAX, LEAF_RENEW_HOURS_MIN};
pub use net::{Net, NetError, NetOptions};
pub use objects::{OBJECT_ANSWER_BYTES_MAX, OBJECT_SECONDS_MAX, ObjectsError, S3Options, s3};
pub use post::{
    POST_BODY_BYTES_MAX, POST_SECONDS_MAX, WEBHOOK_ADDRESS_BYTES_MAX, Webhook, WebhookError,
    webhook,
};
pub use programs::{CALLER_SECONDS_MAX, SystemPrograms, places};
pub use resolver::{Resolver, SystemResolver};
