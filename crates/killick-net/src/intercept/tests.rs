use super::*;

use rustls::HandshakeKind;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::fixture::{client, present_leaves};

const LIMIT: Duration = Duration::from_secs(5);
const PIPE_BYTES: usize = 64 * 1024;

type Met = (Result<TlsStream<DuplexStream>, std::io::Error>, Result<Accepted, ConnectError>);

/// A client asks for `asked` where the tunnel leads to `host`.
async fn meet(leaves: &Leaves, connector: &TlsConnector, asked: &str, host: &str) -> Met {
    let (near, far) = duplex(PIPE_BYTES);
    let name = ServerName::try_from(asked.to_owned()).unwrap();
    tokio::join!(connector.connect(name, near), accept(Box::new(far), host, leaves, LIMIT))
}

fn why(got: Result<Accepted, ConnectError>) -> String {
    match got {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn the_client_chooses_the_protocol_among_two() {
    let leaves = present_leaves();
    for (offered, http2) in
        [(vec!["h2", "http/1.1"], true), (vec!["http/1.1"], false), (vec![], false)]
    {
        let alpn = offered.iter().map(|it| it.as_bytes().to_vec()).collect();
        let connector = client(&leaves, |config| config.alpn_protocols = alpn);
        let (there, here) = meet(&leaves, &connector, "a.example", "a.example").await;
        let here = here.unwrap();
        there.unwrap();
        assert_eq!(here.http2, http2, "{offered:?}");
        assert_eq!(here.sni.as_deref(), Some("a.example"));
    }
    let connector = client(&leaves, |config| config.alpn_protocols = vec![b"postgresql".to_vec()]);
    let (there, here) = meet(&leaves, &connector, "a.example", "a.example").await;
    assert!(there.is_err() && here.is_err());
}

#[tokio::test]
async fn another_name_in_tls_than_in_connect_is_refused_with_an_alert() {
    let leaves = present_leaves();
    let connector = client(&leaves, |_| {});
    for (asked, host) in [
        ("b.example", "a.example"),
        ("a.example.evil", "a.example"),
        ("sub.a.example", "a.example"),
        ("a.example", "sub.a.example"),
        ("a.example", "127.0.0.1"),
    ] {
        let (there, here) = meet(&leaves, &connector, asked, host).await;
        assert!(why(here).contains("is not the host"), "{asked} at {host}");
        assert!(there.unwrap_err().to_string().contains("alert"), "{asked} at {host}");
    }
}

#[tokio::test]
async fn a_hello_without_a_name_is_for_addresses_alone() {
    let leaves = present_leaves();
    let connector = client(&leaves, |_| {});
    let nameless = client(&leaves, |config| config.enable_sni = false);
    let (_, here) = meet(&leaves, &nameless, "a.example", "a.example").await;
    assert!(why(here).contains("names no host"));
    let (_, here) = meet(&leaves, &connector, "127.0.0.1", "a.example").await;
    assert!(why(here).contains("names no host"));
    for host in ["127.0.0.1", "::1"] {
        let (there, here) = meet(&leaves, &connector, host, host).await;
        there.unwrap();
        assert_eq!(here.unwrap().sni, None, "{host}");
    }
    let (there, _) = meet(&leaves, &connector, "127.0.0.1", "127.0.0.2").await;
    assert!(there.is_err(), "the certificate is for the one address");
}

#[tokio::test]
async fn case_does_not_matter_and_odd_spellings_do() {
    let leaves = present_leaves();
    let connector = client(&leaves, |_| {});
    let (there, here) = meet(&leaves, &connector, "a.example", "A.Example").await;
    there.unwrap();
    here.unwrap();
    for host in ["a.example.", "2130706433", "[::1]", "a%2eexample", ""] {
        let (_, here) = meet(&leaves, &connector, "a.example", host).await;
        assert!(why(here).contains("not usable"), "{host}");
    }
}

#[tokio::test]
async fn first_bytes_that_are_no_hello_are_refused_at_once() {
    let leaves = present_leaves();
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        b"\x17\x03\x03\x00\x05hello",
        b"\x15\x03\x03\x00\x02\x01\x00",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\xff\xff\x01\x00\xff\xff",
        b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00",
        b"\x00\x00\x00\x00\x00\x00\x00\x00",
    ] {
        let (mut near, far) = duplex(PIPE_BYTES);
        near.write_all(bytes).await.unwrap();
        let got = accept(Box::new(far), "a.example", &leaves, LIMIT).await;
        assert!(why(got).contains("no TLS ClientHello"), "{bytes:?}");
    }
}

#[tokio::test]
async fn a_hello_that_does_not_come_or_comes_by_drops_runs_out_of_time() {
    let leaves = present_leaves();
    let limit = Duration::from_millis(200);
    let (mut near, far) = duplex(PIPE_BYTES);
    near.write_all(b"\x16\x03\x01").await.unwrap();
    let got = accept(Box::new(far), "a.example", &leaves, limit).await;
    assert_eq!(got.err(), Some(ConnectError::Timeout(0)));

    let (mut near, far) = duplex(PIPE_BYTES);
    let drops = async {
        near.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc").await.unwrap();
        while near.write_all(b"\x03").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (_, got) = tokio::join!(
        tokio::time::timeout(LIMIT, drops),
        accept(Box::new(far), "a.example", &leaves, limit)
    );
    assert_eq!(got.err(), Some(ConnectError::Timeout(0)));
}

#[tokio::test]
async fn a_client_that_leaves_or_does_not_trust_the_ca_is_an_error() {
    let leaves = present_leaves();
    let (mut near, far) = duplex(PIPE_BYTES);
    near.write_all(b"\x16\x03\x01\x02").await.unwrap();
    drop(near);
    assert!(accept(Box::new(far), "a.example", &leaves, LIMIT).await.is_err());

    let stranger = client(&present_leaves(), |_| {});
    let (there, here) = meet(&leaves, &stranger, "a.example", "a.example").await;
    assert!(there.is_err());
    assert!(why(here).contains("trust the CA"));
}

#[tokio::test]
async fn bytes_pass_both_ways_whole_and_a_client_resumes() {
    let leaves = present_leaves();
    let connector = client(&leaves, |_| {});
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
    for (round, kind) in [(0, HandshakeKind::Full), (1, HandshakeKind::Resumed)] {
        let (there, here) = meet(&leaves, &connector, "a.example", "a.example").await;
        let (mut there, here) = (there.unwrap(), here.unwrap());
        assert!(here.stream.is_write_vectored());
        let echo = async {
            let (mut read, mut write) = tokio::io::split(here.stream);
            tokio::io::copy(&mut read, &mut write).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let talk = async {
            let (mut read, mut write) = tokio::io::split(&mut there);
            let mut got = Vec::new();
            let say = async {
                write.write_all(&sent).await.unwrap();
                write.shutdown().await.unwrap();
            };
            let ((), read) = tokio::join!(say, read.read_to_end(&mut got));
            read.unwrap();
            got
        };
        let ((), got) = tokio::join!(echo, talk);
        assert!(got == sent, "round {round}");
        assert_eq!(there.get_ref().1.handshake_kind(), Some(kind), "round {round}");
    }
}
