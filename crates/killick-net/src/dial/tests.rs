use super::*;

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use killick_gate::ports::{Accepted, BoxFuture};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::fixture::{client, leaves, present_leaves};
use crate::intercept::accept;
use crate::leaves::Leaves;

const LIMIT: Duration = Duration::from_secs(5);

/// Gives another answer each time; the last one for good.
struct Flipping {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Resolver for Flipping {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        let time = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.get(time).or(self.answers.last()).cloned();
        // The port is wrong on purpose: the target's counts.
        let with_port = |ips: Vec<IpAddr>| ips.into_iter().map(|ip| (ip, 1).into()).collect();
        Box::pin(async move { answer.map(with_port).ok_or(io::ErrorKind::NotFound.into()) })
    }
}

fn flipping(answers: &[&[&str]]) -> Arc<Flipping> {
    let parse = |answer: &&[&str]| answer.iter().map(|raw| raw.parse().unwrap()).collect();
    let answers = answers.iter().map(parse).collect();
    Arc::new(Flipping { answers, asked: AtomicUsize::new(0) })
}

fn dialer(resolver: Arc<Flipping>) -> Dialer {
    let tls = client(&present_leaves(), |_| {});
    Dialer { resolver, tls, own_addresses: Vec::new(), limit: LIMIT }
}

fn target(host: &str, port: u16) -> Target {
    Target { host: host.to_owned(), port, tls: false, dial: None, private_address: false }
}

fn private(host: &str, port: u16) -> Target {
    Target { private_address: true, ..target(host, port) }
}

fn why<T>(got: Result<T, ConnectError>) -> String {
    got.err().map_or("connected".to_owned(), |error| error.to_string())
}

fn is_forbidden<T>(got: &Result<T, ConnectError>) -> bool {
    matches!(got, Err(ConnectError::Forbidden { .. }))
}

async fn listener(ip: [u8; 4]) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::from(ip), 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn a_name_is_asked_for_once_and_what_was_looked_at_is_dialled() {
    let host = HostKind::Name("flip.example".to_owned());
    let resolver = flipping(&[&["8.8.8.8"], &["127.0.0.1"]]);
    let checked = dialer(resolver.clone()).checked(&host, &target("flip.example", 443)).await;
    assert_eq!(checked.unwrap(), ["8.8.8.8:443".parse().unwrap()]);
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);

    let (first, address) = listener([127, 0, 0, 2]).await;
    let trap = TcpListener::bind((Ipv4Addr::LOCALHOST, address.port())).await.unwrap();
    let resolver = flipping(&[&["127.0.0.2"], &["127.0.0.1"]]);
    let got = dialer(resolver.clone()).open(&private("flip.example", address.port())).await;
    got.unwrap();
    first.accept().await.unwrap();
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);
    assert!(timeout(Duration::from_millis(50), trap.accept()).await.is_err());
}

#[tokio::test]
async fn one_bad_address_among_good_ones_refuses_the_name() {
    for answer in [
        &["127.0.0.1"][..],
        &["8.8.8.8", "127.0.0.1"],
        &["127.0.0.1", "8.8.8.8"],
        &["8.8.8.8", "::ffff:10.0.0.1"],
        &["2606:4700::1", "fe80::1"],
        &["169.254.169.254"],
        &["64:ff9b::a9fe:a9fe"],
    ] {
        let resolver = flipping(&[answer, &["8.8.8.8"]]);
        let got = dialer(resolver.clone()).open(&target("flip.example", 443)).await;
        assert!(is_forbidden(&got), "{answer:?}");
        assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn what_nobody_may_reach_stays_shut_where_private_addresses_are_allowed() {
    for raw in ["169.254.169.254", "0.0.0.0", "255.255.255.255", "fe80::1", "fd00:ec2::254"] {
        let named = dialer(flipping(&[&[raw]])).open(&private("x.example", 80)).await;
        assert!(is_forbidden(&named), "{raw}");
        let literal = dialer(flipping(&[])).open(&private(raw, 80)).await;
        assert!(is_forbidden(&literal), "{raw}");
        let dial = Some(SocketAddr::new(raw.parse().unwrap(), 80));
        let declared = Target { dial, ..private("x.example", 80) };
        assert!(is_forbidden(&dialer(flipping(&[])).open(&declared).await), "{raw}");
    }
}

#[tokio::test]
async fn loopback_needs_a_humans_word_however_it_is_named() {
    let (listener, address) = listener([127, 0, 0, 1]).await;
    let dialer = dialer(flipping(&[]));
    for host in ["127.0.0.1", "::ffff:127.0.0.1"] {
        assert!(is_forbidden(&dialer.open(&target(host, address.port())).await), "{host}");
    }
    let declared = Target { dial: Some(address), ..target("x.example", 443) };
    assert!(is_forbidden(&dialer.open(&declared).await));
    assert!(timeout(Duration::from_millis(50), listener.accept()).await.is_err());
    dialer.open(&Target { private_address: true, ..declared }).await.unwrap();
    listener.accept().await.unwrap();
}

#[tokio::test]
async fn the_gateway_never_dials_itself() {
    let (_listener, address) = listener([127, 0, 0, 1]).await;
    let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
    for own in [address, any] {
        let dialer = Dialer { own_addresses: vec![own], ..dialer(flipping(&[&["127.0.0.1"]])) };
        for host in ["127.0.0.1", "::ffff:127.0.0.1", "x.example"] {
            assert!(is_forbidden(&dialer.open(&private(host, address.port())).await), "{host}");
        }
    }
}

#[tokio::test]
async fn an_odd_answer_or_an_odd_host_is_an_error() {
    let many: Vec<String> = (0..=ADDRESSES_MAX).map(|n| format!("8.8.4.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (answers, said) in [
        (&[][..], "name server"),
        (&[&[][..]][..], "no address"),
        (&[&many[..]][..], "more than 64"),
    ] {
        let got = why(dialer(flipping(answers)).open(&target("x.example", 443)).await);
        assert!(got.contains(said), "{got}");
    }
    for host in ["2130706433", "127.1", "[::1]", "x.example.", "a b", ""] {
        let resolver = flipping(&[&["8.8.8.8"]]);
        let got = why(dialer(resolver.clone()).open(&private(host, 443)).await);
        assert!(got.contains("not usable"), "{host}: {got}");
        assert_eq!(resolver.asked.load(Ordering::SeqCst), 0, "{host}");
    }
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let (listener, address) = listener([127, 0, 0, 1]).await;
    let dialer = dialer(flipping(&[&["127.0.0.3", "127.0.0.2", "127.0.0.1"]]));
    dialer.open(&private("x.example", address.port())).await.unwrap();
    listener.accept().await.unwrap();
    drop(listener);
    let got = why(dialer.open(&private("x.example", address.port())).await);
    assert!(got.contains("cannot be reached"), "{got}");
}

/// Dials an upstream on loopback over TLS; the upstream has a certificate for `served`.
async fn over_tls(
    trusted: &Leaves,
    serving: &Leaves,
    host: &str,
    served: &str,
) -> (Result<Stream, ConnectError>, Result<Accepted, ConnectError>) {
    let (listener, address) = listener([127, 0, 0, 1]).await;
    let tls = client(trusted, |_| {});
    let dialer = Dialer { tls, ..dialer(flipping(&[])) };
    let target = Target { tls: true, dial: Some(address), ..private(host, 443) };
    let upstream = async {
        let (stream, _) = listener.accept().await.unwrap();
        accept(Box::new(stream), served, serving, LIMIT).await
    };
    tokio::join!(dialer.open(&target), upstream)
}

#[tokio::test]
async fn tls_carries_the_targets_name_and_speaks_http_1_alone() {
    let serving = present_leaves();
    let (near, far) = over_tls(&serving, &serving, "api.example", "api.example").await;
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    assert_eq!(far.sni.as_deref(), Some("api.example"));
    assert!(!far.http2);
    assert!(near.is_write_vectored());
    near.write_all(b"ping").await.unwrap();
    near.flush().await.unwrap();
    let mut got = [0; 4];
    far.stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"ping");
    far.stream.write_all(b"pong").await.unwrap();
    far.stream.flush().await.unwrap();
    near.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"pong");
}

#[tokio::test]
async fn a_certificate_that_is_not_good_is_refused() {
    let serving = present_leaves();
    let stranger = present_leaves();
    let (near, far) = over_tls(&stranger, &serving, "api.example", "api.example").await;
    assert!(why(near).contains("nobody the gateway trusts"));
    assert!(far.is_err());

    // An address sends no name, so the upstream cannot tell and its certificate must.
    let (near, _) = over_tls(&serving, &serving, "127.0.0.1", "127.0.0.9").await;
    assert!(why(near).contains("for another name"));

    let present = crate::clock::SystemClock::start();
    let now = killick_model::time::Clock::now(&present);
    let (old, _) = leaves(killick_model::UnixMillis(now.0 - 30 * 86_400_000));
    let (near, _) = over_tls(&old, &old, "api.example", "api.example").await;
    assert!(why(near).contains("has expired"));
    let (early, _) = leaves(killick_model::UnixMillis(now.0 + 30 * 86_400_000));
    let (near, _) = over_tls(&early, &early, "api.example", "api.example").await;
    assert!(why(near).contains("not valid yet"));
}

#[tokio::test]
async fn an_upstream_that_speaks_no_tls_or_nothing_is_an_error_in_time() {
    let (listener, address) = listener([127, 0, 0, 1]).await;
    let target = Target { tls: true, dial: Some(address), ..private("api.example", 443) };
    let quick = Dialer { limit: Duration::from_millis(200), ..dialer(flipping(&[])) };
    assert_eq!(quick.open(&target).await.err(), Some(ConnectError::Timeout(0)));
    drop(listener.accept().await.unwrap());

    let plain = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    };
    let slow = dialer(flipping(&[]));
    let (got, _open) = tokio::join!(slow.open(&target), plain);
    assert!(why(got).contains("did not finish"));
}
