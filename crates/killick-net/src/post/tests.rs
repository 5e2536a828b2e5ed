use super::*;

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::fixture::present_leaves;
use crate::intercept::accept;

const NOTE: &str = "killick.example/log\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
const KEPT: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// What a server of one answer saw: each request as text, in order.
struct Seen {
    port: u16,
    pem: String,
    requests: mpsc::Receiver<String>,
}

/// Serves on loopback, with TLS for `host` where one is given, and answers every request alike.
fn server(host: Option<&'static str>, answer: &'static str) -> Seen {
    let leaves = Arc::new(present_leaves());
    let pem = leaves.ca().certificate_pem().to_owned();
    let (say, requests) = mpsc::channel();
    let (tell, port) = mpsc::channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            tell.send(listener.local_addr().unwrap().port()).unwrap();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let mut stream: Stream = Box::new(tcp);
                if let Some(host) = host {
                    let limit = Duration::from_secs(5);
                    let Ok(accepted) = accept(stream, host, &leaves, limit).await else { continue };
                    stream = accepted.stream;
                }
                if say.send(read_request(&mut stream).await).is_err() {
                    return;
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
                let _ = stream.shutdown().await;
            }
        });
    });
    Seen { port: port.recv().unwrap(), pem, requests }
}

async fn read_request(stream: &mut Stream) -> String {
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).ends_with(NOTE) {
        let mut some = [0; 4096];
        match stream.read(&mut some).await.unwrap() {
            0 => break,
            taken => bytes.extend_from_slice(some.get(..taken).unwrap()),
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn reached(seen: &Seen, address: &str) -> Webhook {
    webhook(address, std::slice::from_ref(&seen.pem)).unwrap()
}

#[test]
fn a_note_arrives_over_tls_as_it_is_and_with_no_credential() {
    let seen = server(Some("127.0.0.1"), KEPT);
    let to = reached(&seen, &format!("https://127.0.0.1:{}/hook/s3cret?a=b", seen.port));
    to.post(NOTE, "text/plain; charset=utf-8").unwrap();
    let request = seen.requests.recv().unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, NOTE);
    let mut lines = head.lines();
    assert_eq!(lines.next().unwrap(), "POST /hook/s3cret?a=b HTTP/1.1");
    let mut names: Vec<&str> = lines.map(|line| line.split(':').next().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "content-type", "host"], "nothing else goes along");
    assert!(head.contains(&format!("host: 127.0.0.1:{}", seen.port)));
}

#[test]
fn a_certificate_for_another_name_or_of_a_stranger_gets_no_note() {
    let seen = server(Some("127.0.0.1"), KEPT);
    let address = format!("https://127.0.0.1:{}/", seen.port);
    let error = webhook(&address, &[]).unwrap().post(NOTE, "text/plain").unwrap_err();
    assert!(error.to_string().contains("signed by nobody"), "{error}");

    let misnamed = server(Some("127.0.0.1"), KEPT);
    let address = format!("https://localhost:{}/", misnamed.port);
    reached(&misnamed, &address).post(NOTE, "text/plain").unwrap_err();

    assert!(seen.requests.try_recv().is_err());
    assert!(misnamed.requests.try_recv().is_err());
}

#[test]
fn only_a_status_of_success_counts_and_no_redirect_is_followed() {
    let trap = server(None, KEPT);
    let location = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:{}/\r\nContent-Length: 0\r\n\r\n",
        trap.port
    );
    let answers: [(&'static str, Option<&str>); 6] = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nonly the status is read", None),
        ("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", None),
        (location.leak(), Some("answered 307")),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Some("answered 404")),
        ("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", Some("answered 500")),
        ("this is no HTTP at all\r\n\r\n", Some("did not answer in HTTP/1.1")),
    ];
    for (answer, failure) in answers {
        let seen = server(None, answer);
        let to = reached(&seen, &format!("http://127.0.0.1:{}/in", seen.port));
        let got = to.post(NOTE, "text/plain").map_err(|error| error.to_string());
        match failure {
            None => assert_eq!(got, Ok(()), "{answer}"),
            Some(text) => assert!(got.as_ref().unwrap_err().contains(text), "{answer}: {got:?}"),
        }
    }
    assert!(trap.requests.try_recv().is_err(), "a redirect was followed");
}

#[test]
fn a_server_that_says_nothing_or_hangs_up_is_given_up_on() {
    // The kernel accepts for a listener that nobody asks.
    let silent = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = format!("http://{}/", silent.local_addr().unwrap());
    let mut to = webhook(&address, &[]).unwrap();
    to.limit = Duration::from_millis(200);
    let start = Instant::now();
    let error = to.post(NOTE, "text/plain").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(start.elapsed() < Duration::from_secs(5));

    let seen = server(None, "");
    reached(&seen, &format!("http://localhost:{}/", seen.port))
        .post(NOTE, "text/plain")
        .unwrap_err();

    drop(silent);
    assert!(webhook(&address, &[]).unwrap().post(NOTE, "text/plain").is_err());
}

#[test]
fn an_address_that_is_not_plainly_https_is_refused_without_repeating_it() {
    use WebhookError as E;

    type Case = (&'static str, fn(&E) -> bool);
    let refused: [Case; 23] = [
        ("http://hook.example/s3cret", |it| *it == E::Scheme),
        ("http://10.0.0.1/s3cret", |it| *it == E::Scheme),
        ("http://127.0.0.1.nip.example/s3cret", |it| *it == E::Scheme),
        ("http://localhost.example/s3cret", |it| *it == E::Scheme),
        ("http://[::ffff:127.0.0.1]/s3cret", |it| matches!(it, E::Scheme | E::Host(_))),
        ("ftp://hook.example/s3cret", |it| *it == E::Scheme),
        ("file:///s3cret", |it| matches!(it, E::Address)),
        ("https://user:s3cret@hook.example/", |it| *it == E::Surplus),
        ("https://user@hook.example/s3cret", |it| *it == E::Surplus),
        ("https://hook.example/s3cret#part", |it| *it == E::Surplus),
        ("https://2130706433/s3cret", |it| matches!(it, E::Host(_))),
        ("https://0x7f.1/s3cret", |it| matches!(it, E::Host(_))),
        ("https://hook.example./s3cret", |it| matches!(it, E::Host(_))),
        ("https://hook.example:0/s3cret", |it| *it == E::Address),
        ("https://hook.example:/s3cret", |it| *it == E::Address),
        ("https://hook.example:0443/s3cret", |it| *it == E::Address),
        ("https://hook.example:99999/s3cret", |it| *it == E::Address),
        ("https:///s3cret", |it| *it == E::Address),
        ("https:s3cret", |it| *it == E::Address),
        ("//hook.example/s3cret", |it| *it == E::Address),
        ("/s3cret", |it| *it == E::Address),
        ("hook.example", |it| *it == E::Address),
        ("", |it| *it == E::Address),
    ];
    for (address, is_right) in refused {
        let error = webhook(address, &[]).unwrap_err();
        assert!(is_right(&error), "{address}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{address}");
    }
    let long = format!("https://hook.example/{}", "a".repeat(WEBHOOK_ADDRESS_BYTES_MAX));
    assert_eq!(webhook(&long, &[]).unwrap_err(), E::Address);
}

#[test]
fn what_is_shown_of_an_address_leaves_its_path_out() {
    let to = webhook("https://hook.example:8443/services/s3cret?token=s3cret", &[]).unwrap();
    assert_eq!(to.name(), "https://hook.example:8443");
    assert!(!format!("{to:?}").contains("s3cret"));
    let gone = webhook("http://127.0.0.1:1/s3cret", &[]).unwrap();
    let error = gone.post(NOTE, "text/plain").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
}

#[test]
fn a_metadata_service_is_no_webhook() {
    let to = webhook("https://169.254.169.254/", &[]).unwrap();
    let error = to.post(NOTE, "text/plain").unwrap_err();
    assert!(error.to_string().contains("169.254.169.254"), "{error}");
    assert!(!error.to_string().contains("did not answer"), "it was dialled: {error}");
}

#[test]
fn a_note_that_is_too_long_or_no_header_is_not_sent() {
    let to = webhook("http://127.0.0.1:1/", &[]).unwrap();
    let long = "a".repeat(POST_BODY_BYTES_MAX + 1);
    assert_eq!(to.post(&long, "text/plain").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    let split = to.post(NOTE, "text/plain\r\nauthorization: x").unwrap_err();
    assert_eq!(split.kind(), io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_post_on_an_async_thread_is_an_error_and_no_panic() {
    let to = webhook("http://127.0.0.1:1/", &[]).unwrap();
    assert!(to.post(NOTE, "text/plain").unwrap_err().to_string().contains("async"));
}
