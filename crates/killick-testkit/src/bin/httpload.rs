//! Closed-loop HTTP/1.1 keep-alive load over TLS: one request at a time on each connection.
//!
//! `httpload --target HOST:PORT --path /k1 --ca FILE --connections N --seconds S [--proxy HOST:PORT --session TOKEN]`
//! prints one JSON object: requests, rate, and latencies in microseconds.
#![allow(clippy::print_stdout, reason = "a measuring tool: its output is its result")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people: a float's precision is more than the clock's"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};

/// How long each connection runs before its requests count.
const WARM_UP: Duration = Duration::from_millis(300);

struct Load {
    target: String,
    path: String,
    proxy: Option<(String, String)>,
    tls: Arc<rustls::ClientConfig>,
    seconds: f64,
}

struct Seen {
    latencies: Vec<f64>,
    first: f64,
}

fn main() -> anyhow::Result<()> {
    let flags: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| {
        flags
            .iter()
            .position(|it| it == name)
            .and_then(|at| flags.get(at.saturating_add(1)))
            .cloned()
    };
    let need = |name: &str| flag(name).with_context(|| format!("{name} is missing"));
    let connections: usize = need("--connections")?.parse()?;
    let load = Arc::new(Load {
        target: need("--target")?,
        path: need("--path")?,
        proxy: flag("--proxy").map(|proxy| (proxy, flag("--session").unwrap_or_default())),
        tls: Arc::new(tls(&need("--ca")?)?),
        seconds: need("--seconds")?.parse()?,
    });
    let threads: Vec<_> = (0..connections)
        .map(|_| {
            let load = Arc::clone(&load);
            std::thread::spawn(move || run(&load))
        })
        .collect();
    let mut all = Vec::new();
    let mut firsts = Vec::new();
    for thread in threads {
        let seen = thread.join().map_err(|_| anyhow::anyhow!("a connection panicked"))??;
        all.extend(seen.latencies);
        firsts.push(seen.first);
    }
    ensure!(!all.is_empty(), "no request was counted");
    all.sort_by(f64::total_cmp);
    firsts.sort_by(f64::total_cmp);
    let at = |list: &[f64], share: f64| {
        list.get(((list.len().saturating_sub(1)) as f64 * share) as usize)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "{}",
        serde_json::json!({
            "n": all.len(),
            "rps": all.len() as f64 / load.seconds,
            "mean": all.iter().sum::<f64>() / all.len() as f64,
            "p50": at(&all, 0.5), "p99": at(&all, 0.99), "max": at(&all, 1.0),
            "first_p50": at(&firsts, 0.5),
        })
    );
    Ok(())
}

fn tls(file: &str) -> anyhow::Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file)? {
        // A bundle may hold old roots that the library refuses; one that is needed shows at the handshake.
        let _ = roots.add(certificate?);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn connect(
    load: &Load,
) -> anyhow::Result<rustls::StreamOwned<rustls::ClientConnection, TcpStream>> {
    let to = load.proxy.as_ref().map_or(&load.target, |(proxy, _)| proxy);
    let mut tcp = TcpStream::connect(to)?;
    tcp.set_nodelay(true)?;
    if let Some((_, session)) = &load.proxy {
        write!(
            tcp,
            "CONNECT {0} HTTP/1.1\r\nHost: {0}\r\nProxy-Authorization: Bearer {session}\r\n\r\n",
            load.target
        )?;
        let mut head = Vec::new();
        let mut byte = [0_u8; 1];
        while !head.ends_with(b"\r\n\r\n") {
            ensure!(tcp.read(&mut byte)? == 1, "the proxy closed the connection");
            head.extend_from_slice(&byte);
        }
        if !head.starts_with(b"HTTP/1.1 200") {
            bail!("the proxy said {}", String::from_utf8_lossy(&head));
        }
    }
    let host = load.target.split(':').next().unwrap_or_default().to_owned();
    let connection =
        rustls::ClientConnection::new(Arc::clone(&load.tls), ServerName::try_from(host)?)?;
    Ok(rustls::StreamOwned::new(connection, tcp))
}

fn run(load: &Load) -> anyhow::Result<Seen> {
    let begun = Instant::now();
    let mut stream = connect(load)?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: httpload\r\nAccept: */*\r\n\r\n",
        load.path, load.target
    );
    let mut buffer = vec![0_u8; 64 << 10];
    let mut seen = Seen { latencies: Vec::new(), first: 0.0 };
    let start = Instant::now();
    let end = WARM_UP + Duration::from_secs_f64(load.seconds);
    while start.elapsed() < end {
        let asked = Instant::now();
        stream.write_all(request.as_bytes())?;
        stream.flush()?;
        read_answer(&mut stream, &mut buffer)?;
        let took = asked.elapsed().as_nanos() as f64 / 1e3;
        if seen.first == 0.0 {
            seen.first = begun.elapsed().as_nanos() as f64 / 1e3;
        }
        if start.elapsed() > WARM_UP {
            seen.latencies.push(took);
        }
    }
    Ok(seen)
}

fn read_answer(stream: &mut impl Read, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut have = 0_usize;
    let mut whole = usize::MAX;
    while have < whole {
        let count = stream.read(buffer.get_mut(have..).unwrap_or_default())?;
        ensure!(count > 0, "the connection was closed");
        have = have.saturating_add(count);
        let bytes = buffer.get(..have).unwrap_or_default();
        if whole == usize::MAX
            && let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n")
        {
            let head =
                String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).to_ascii_lowercase();
            ensure!(head.starts_with("http/1.1 200"), "not a 200: {head}");
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .context("an answer without content-length")?;
            whole = end.saturating_add(4).saturating_add(length.trim().parse()?);
        }
    }
    Ok(())
}
