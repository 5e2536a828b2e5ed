//! A bare CONNECT proxy: leads a client that insists on the provider's host names to the practice
//! world, and refuses everything else. It looks at nothing and decides nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Bytes of a request head that the router reads.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// The names under which the provider's API is known.
pub const PROVIDER_HOSTS: [&str; 2] = ["backboard.railway.app", "backboard.railway.com"];

/// The proxy. It stops when it is dropped.
#[derive(Debug)]
pub struct ConnectRouter {
    /// Where it listens.
    pub addr: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl ConnectRouter {
    /// Starts a proxy that leads the given hosts, whatever their port, to one address.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(hosts: &[&str], to: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let hosts: Arc<[String]> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let all_seen = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (hosts, seen) = (Arc::clone(&hosts), Arc::clone(&all_seen));
                tokio::spawn(async move {
                    // A client that goes away is its own affair.
                    let _closed = route(stream, &hosts, to, &seen).await;
                });
            }
        });
        Ok(Self { addr, seen, task })
    }

    /// Returns the proxy's address as a client's environment wants it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Returns the targets that were asked for, refused ones included.
    #[must_use]
    pub fn targets(&self) -> Vec<String> {
        self.seen.lock().clone()
    }
}

impl Drop for ConnectRouter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn route(
    stream: TcpStream,
    hosts: &[String],
    to: SocketAddr,
    seen: &Mutex<Vec<String>>,
) -> anyhow::Result<()> {
    let mut client = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if client.read_line(&mut head).await? == 0 || head.len() > HEAD_BYTES_MAX {
            return Ok(());
        }
    }
    let mut words = head.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    seen.lock().push(format!("{method} {target}"));
    let host = target.rsplit_once(':').map_or(target, |(host, _)| host);
    if method != "CONNECT" || !hosts.iter().any(|known| known == host) {
        client.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await?;
        return Ok(());
    }
    let mut world = TcpStream::connect(to).await?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut client, &mut world).await?;
    Ok(())
}
