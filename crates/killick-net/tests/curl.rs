//! A client that was not written for this: curl, over loopback, to a host that TLS is ended for.
#![expect(clippy::unwrap_used, reason = "a test that meets a surprise should stop there")]

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use killick_gate::ports::{Stream, Streams};
use killick_model::time::Clock;
use killick_net::{Ca, Net, NetOptions, SystemClock, listen_tcp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

const DRAIN: Duration = Duration::from_secs(1);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nkept";

/// Where the handshake fails, curl says 35; where it trusts the certificate no longer, 60.
const CURL_NO_TLS: i32 = 35;
const CURL_NO_TRUST: i32 = 60;

async fn serve_one(net: Arc<Net>, host: &'static str, stream: Stream) {
    let Ok(mut accepted) = net.accept_tls(stream, host).await else { return };
    assert!(!accepted.http2);
    let mut head = [0; 1024];
    let taken = accepted.stream.read(&mut head).await.unwrap();
    assert!(head.get(..taken).unwrap().starts_with(b"GET /here HTTP/1.1\r\n"));
    accepted.stream.write_all(ANSWER).await.unwrap();
    accepted.stream.shutdown().await.unwrap();
}

async fn curl(ca: &Path, host: &str, port: u16) -> Output {
    Command::new("curl")
        .args(["--silent", "--show-error", "--http1.1", "--noproxy", "*", "--max-time", "20"])
        .arg("--cacert")
        .arg(ca)
        .args(["--connect-to", &format!("{host}:{port}:127.0.0.1:{port}")])
        .arg(format!("https://{host}:{port}/here"))
        .output()
        .await
        .unwrap()
}

#[tokio::test]
async fn curl_trusts_the_ca_for_the_host_it_asked_for_and_for_no_other() {
    let clock = Arc::new(SystemClock::start());
    let fresh = Ca::create(clock.now()).unwrap();
    let ca = Ca::load(&fresh.certificate_pem, &fresh.key_pem, clock.now()).unwrap();
    let options = NetOptions { system_roots: false, ..NetOptions::default() };
    let net = Arc::new(Net::new(ca, options, clock.clone()).unwrap());
    let home = tempfile::tempdir().unwrap();
    let trusted = home.path().join("ca.pem");
    std::fs::write(&trusted, &fresh.certificate_pem).unwrap();

    let mut ports = Vec::new();
    for host in ["api.example", "127.0.0.1"] {
        let door = listen_tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        ports.push(door.address().port());
        let net = Arc::clone(&net);
        let handler = move |stream, _| serve_one(Arc::clone(&net), host, stream);
        tokio::spawn(door.serve(handler, std::future::pending(), DRAIN));
    }
    let [named, numbered] = ports.try_into().unwrap();
    for (host, port) in [("api.example", named), ("127.0.0.1", numbered)] {
        let got = curl(&trusted, host, port).await;
        assert_eq!(String::from_utf8(got.stdout).unwrap(), "kept", "{host}");
    }
    for (host, port) in [("b.example", named), ("127.0.0.1", named), ("api.example", numbered)] {
        let got = curl(&trusted, host, port).await;
        assert_eq!(got.status.code(), Some(CURL_NO_TLS), "{host}");
    }

    let other = Ca::create(clock.now()).unwrap();
    net.rotate_ca(Ca::load(&other.certificate_pem, &other.key_pem, clock.now()).unwrap());
    let got = curl(&trusted, "api.example", named).await;
    assert_eq!(got.status.code(), Some(CURL_NO_TRUST));
    std::fs::write(&trusted, net.ca().certificate_pem()).unwrap();
    let got = curl(&trusted, "api.example", named).await;
    assert_eq!(String::from_utf8(got.stdout).unwrap(), "kept");
}
