//! What the world offers beside the API: an upstream for tests of credentials, redirects, streams
//! and load.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[expect(dead_code, reason = "each test file uses a part of it")]
mod wire;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use killick_testkit::connect_router::{ConnectRouter, PROVIDER_HOSTS};
use killick_testkit::practice::{PracticeOptions, PracticeWorld};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use wire::Caller;

async fn world() -> (tempfile::TempDir, PracticeWorld) {
    let dir = tempfile::tempdir().unwrap();
    let world = PracticeWorld::start(PracticeOptions::in_dir(dir.path())).await.unwrap();
    (dir, world)
}

/// Sends a raw request without TLS and returns what comes back within half a second.
async fn raw(world: &PracticeWorld, request: &str) -> String {
    let mut stream = TcpStream::connect(world.plain_addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _cut =
        tokio::time::timeout(Duration::from_millis(500), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn an_echo_shows_the_credential_that_arrived() {
    let (_dir, world) = world().await;
    let (status, answer) = Caller::of(&world).with_token(Some("t0")).get("/echo?a=1").await;
    assert_eq!(status, 200);
    assert_eq!(answer["path"], "/echo?a=1");
    let headers: Vec<(String, String)> = serde_json::from_value(answer["headers"].clone()).unwrap();
    assert!(headers.contains(&("authorization".to_owned(), "Bearer t0".to_owned())));
    assert_eq!(world.requests().last().unwrap().principal, "unknown");
}

#[tokio::test]
async fn a_kilobyte_is_answered_and_leaves_no_trace() {
    let (_dir, world) = world().await;
    let answer = raw(&world, "GET /k1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-length: 1024"), "{head}");
    assert_eq!(body.len(), 1024);
    assert!(world.requests().is_empty());
}

#[tokio::test]
async fn redirects_cookies_and_statuses_are_as_asked() {
    let (_dir, world) = world().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let answer = raw(&world, &get("/redirect?to=https%3A%2F%2Felsewhere.example%2F")).await;
    assert!(answer.starts_with("HTTP/1.1 302"), "{answer}");
    assert!(answer.contains("location: https://elsewhere.example/"), "{answer}");
    let answer = raw(&world, &get("/cookie?value=v1")).await;
    assert!(answer.contains("set-cookie: session=v1;"), "{answer}");
    assert!(raw(&world, &get("/status?code=503")).await.starts_with("HTTP/1.1 503"));
    assert!(raw(&world, &get("/nowhere")).await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn one_path_never_answers_and_one_answers_slowly() {
    let (_dir, world) = world().await;
    assert_eq!(raw(&world, "GET /hang HTTP/1.1\r\nhost: x\r\n\r\n").await, "");
    let pieces = raw(&world, "GET /slow-stream HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(pieces.contains("piece 0") && pieces.contains("piece 2"), "{pieces}");
    assert!(!pieces.contains("piece 30"), "{pieces}");
}

#[tokio::test]
async fn a_stopped_world_lets_go_of_open_connections() {
    let (_dir, world) = world().await;
    let mut stream = TcpStream::connect(world.plain_addr).await.unwrap();
    stream.write_all(b"GET /hang HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.shutdown().await;
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
    assert!(read.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn the_router_leads_only_to_the_hosts_that_it_was_given() {
    let (_dir, world) = world().await;
    let router = ConnectRouter::start(&PROVIDER_HOSTS, world.plain_addr).await.unwrap();
    for (request, expected) in [
        ("CONNECT backboard.railway.com:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 200"),
        ("CONNECT api.github.com:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 403"),
        ("GET http://backboard.railway.com/ HTTP/1.1\r\n\r\n", "HTTP/1.1 403"),
    ] {
        let mut stream = TcpStream::connect(router.addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), expected, "{request}");
    }
    assert_eq!(router.targets().len(), 3);
}

#[test]
fn the_standalone_world_announces_itself_and_stops_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let port_file = dir.path().join("port");
    let mut child = Command::new(env!("CARGO_BIN_EXE_practice-world"))
        .arg("--dir")
        .arg(dir.path())
        .arg("--port-file")
        .arg(&port_file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let announced: Value = serde_json::from_str(&line).unwrap();
    let address = announced["addr"].as_str().unwrap().to_owned();
    std::net::TcpStream::connect(&address).unwrap();
    let stopped = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(stopped.success());
    assert!(child.wait().unwrap().success());
    assert!(address.ends_with(&std::fs::read_to_string(&port_file).unwrap()));
    assert!(std::net::TcpStream::connect(&address).is_err());
}
