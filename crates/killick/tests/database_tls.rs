//! TLS on both sides of the gateway: who is believed, what is bound to the connection, and who is not let in.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]
#![allow(dead_code, reason = "the stage has means that only the other tests use")]

mod clients;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use clients::{Stage, python, run, script};
use killick_testkit::postgres::{Server, ServerIdentity, psql};
use tempfile::TempDir;

/// What the session sees of its server: whether the gateway speaks TLS with it.
const SSL: &str = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

async fn staged(identity: &ServerIdentity, tls_mode: &str, more: &[&str], trusted: bool) -> Stage {
    let roots = trusted.then_some(identity.ca_pem.as_str());
    let server = Server::start_tls(identity);
    Stage::of(server, TempDir::new().unwrap(), "localhost", tls_mode, more, roots).await
}

async fn asks(stage: &Stage, text: &str) -> Output {
    psql(&stage.session().await, &["-c", text])
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success(), "it passed: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn pin(identity: &ServerIdentity) -> String {
    let mut openssl = Command::new("openssl");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &identity.certificate_pem).unwrap();
    openssl.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(file.path());
    run(&mut openssl).trim().rsplit('=').next().unwrap().replace(':', "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_believed_by_its_root_or_its_pin_and_by_nothing_else() {
    let identity = ServerIdentity::fresh();
    let stage = staged(&identity, "verify-full", &[], true).await;
    let output = asks(&stage, SSL).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "t|TLSv1.3", "{output:?}");
    assert!(stage.server.log().contains("method=scram-sha-256"), "{}", stage.server.log());
    drop(stage);

    // `require` in the address is no less strict.
    let stage = staged(&identity, "require", &[], false).await;
    let why = refusal(&asks(&stage, SSL).await);
    assert!(why.contains("upstream-unreachable") && why.contains("UnknownIssuer"), "{why}");
    assert!(!stage.server.log().contains("user=app"), "{}", stage.server.log());
    let pinned = |sha256: &str| {
        let port = stage.server.port();
        let url = format!("postgres://app:app-password-7@127.0.0.1:{port}/shop");
        let base = ["database", "add", "shop", "--url", &url, "--environment", "staging"];
        let more = ["--private-address", "--replace", "--pin", sha256];
        base.iter().chain(&more).map(|it| (*it).to_owned()).collect::<Vec<_>>()
    };
    let add = |sha256: String| {
        let args = pinned(&sha256);
        let gateway = &stage.gateway;
        async move {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            gateway.done(&args).await.unwrap();
        }
    };
    add(pin(&identity)).await;
    let output = asks(&stage, SSL).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "t|TLSv1.3", "{output:?}");
    add(pin(&ServerIdentity::fresh())).await;
    let why = refusal(&asks(&stage, SSL).await);
    assert!(why.contains("not the one that was pinned"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_no_tls_gets_no_password() {
    let server = Server::start();
    let dir = TempDir::new().unwrap();
    let stage = Stage::of(server, dir, "127.0.0.1", "verify-full", &[], None).await;
    let why = refusal(&asks(&stage, "SELECT 1").await);
    assert!(why.contains("does not speak TLS; the password was not sent"), "{why}");
}

/// A program between the gateway and the server, with a certificate of its own.
struct Relay {
    child: Child,
    port: u16,
}

impl Relay {
    fn start(stage: &Stage, shown: &ServerIdentity, more: &[&str]) -> Self {
        let file = |name: &str, text: &str| {
            let file = stage.dir.path().join(name);
            std::fs::write(&file, text).unwrap();
            file
        };
        let mut command = Command::new("python3");
        command
            .arg(script("tls_relay.py"))
            .arg(file("relay.crt", &shown.certificate_pem))
            .arg(file("relay.key", &shown.key_pem))
            .arg(stage.server.port().to_string())
            .args(more)
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap() }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_bound_to_the_certificate_so_that_nobody_between_can_use_it() {
    let identity = ServerIdentity::fresh();
    let other = identity.another();
    let stage = staged(&identity, "verify-full", &[], true).await;
    let mut said = String::new();
    for (shown, more) in [(&identity, &[][..]), (&other, &[][..]), (&identity, &["strip"][..])] {
        let relay = Relay::start(&stage, shown, more);
        let url = format!("postgres://app:app-password-7@localhost:{}/shop", relay.port);
        let base = ["database", "add", "shop", "--url", &url, "--environment", "staging"];
        stage
            .gateway
            .done(&[&base[..], &["--private-address", "--replace"]].concat())
            .await
            .unwrap();
        let output = asks(&stage, SSL).await;
        let text = |raw: &[u8]| String::from_utf8_lossy(raw).trim().replace('\n', " ");
        let _ = writeln!(said, "{}{}", text(&output.stdout), text(&output.stderr));
    }
    let lines: Vec<&str> = said.lines().collect();
    // With the server's own certificate and key the one between is not to be told from it.
    assert!(lines[0].starts_with("t|TLSv1.3"), "{said}");
    // With another good certificate the login is not taken by the server: it was bound to the first connection.
    assert!(lines[1].contains("channel binding"), "{said}");
    // That the binding is hidden from the gateway is told to the server, which ends the login.
    assert!(lines[2].contains("channel binding"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_verify_the_gateway_ask_for_tls_or_begin_with_it_and_cancel_in_every_protocol() {
    let stage = Stage::open().await;
    let other = stage.dir.path().join("other.pem");
    std::fs::write(&other, ServerIdentity::fresh().ca_pem).unwrap();
    let url = stage.session().await;
    let mut program = python("tls_session.py");
    program.env("KILLICK_CA", stage.gateway.home().join("ca.pem")).env("OTHER_CA", &other);
    let said = run(program.env("DATABASE_URL", &url));
    assert!(!said.contains("PASSED") && !said.contains("False"), "{said}");
    for part in [
        "[] True 30000 (12000,)",
        "['sslnegotiation'] True 30000",
        "['max_protocol_version'] True 30002",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(said.matches("57014").count(), 4, "{said}");
    // What no driver says by itself: start-up packets of all kinds, and keys that do not fit.
    let said = run(python("wire_session.py").arg("startups").env("DATABASE_URL", &url));
    assert!(!said.contains("PASSED") && !said.contains("False"), "{said}");
    assert!(said.contains("0x30000 4 None") && said.contains("0x30002 32 None"), "{said}");
    assert!(said.contains("0x3270f 32 ('0x30002', [])"), "{said}");
    assert!(said.contains("0x30002 32 ('0x30002', [b'_pq_.nothing'])"), "{said}");
    assert_eq!(said.matches("refused").count(), 4, "{said}");
    assert_eq!(said.matches("57014").count(), 2, "{said}");
}
