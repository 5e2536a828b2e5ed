//! The way of a command line to its own gateway, on the side where agents ask.

use std::io;
use std::time::Duration;

use killick_gate::ports::Stream;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::dial::CONNECT_SECONDS_MAX;

/// Connects to a gateway by the address that it gives its sessions (`http://127.0.0.1:7070`). It carries a
/// session's token, as every call of an agent does, and reaches no upstream.
///
/// # Errors
/// The address is none, or nobody answers there.
pub async fn dial_gateway(address: &str) -> io::Result<Stream> {
    let authority = address
        .strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/'))
        .filter(|rest| !rest.contains(['/', '@', '?', '#']))
        .ok_or_else(|| io::Error::other("a gateway's address is written http://HOST:PORT"))?;
    let limit = Duration::from_secs(CONNECT_SECONDS_MAX);
    let stream = timeout(limit, TcpStream::connect(authority))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_is_more_than_host_and_port_is_none() {
        for bad in ["127.0.0.1:1", "https://127.0.0.1:1", "http://u@127.0.0.1:1", "http://h:1/x"] {
            assert!(dial_gateway(bad).await.is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_gateway_that_listens_is_reached() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        assert!(dial_gateway(&address).await.is_ok());
    }
}
