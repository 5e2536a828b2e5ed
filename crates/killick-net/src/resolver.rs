//! From a name to addresses, behind a trait so that a test can change the answer.

use std::io;
use std::net::SocketAddr;

use killick_gate::ports::BoxFuture;

/// Looks names up.
pub trait Resolver: Send + Sync {
    /// Returns every address of a name, best first.
    ///
    /// # Errors
    /// The name is not known or nobody answers.
    fn resolve<'a>(
        &'a self,
        name: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}

/// The machine's own resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'a>(
        &'a self,
        name: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
    }
}
