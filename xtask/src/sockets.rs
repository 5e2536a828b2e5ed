//! Only `killick-net` opens sockets and starts processes, and the core asks nobody for the time.

use crate::finding::Finding;
use crate::sources::Source;
use crate::tokens::Product;

/// A door to the world as tokens, and what a crate does instead of opening it.
struct Door {
    tokens: &'static [&'static str],
    shown: &'static str,
    instead: &'static str,
}

const LEND: &str = "killick-net opens it and lends the stream";
const SPAWN: &str = "killick-net starts processes";
const CLOCK: &str = "take the time as an argument";

/// Doors that only `killick-net` opens.
const WORLD: &[Door] = &[
    Door { tokens: &["TcpStream"], shown: "TcpStream", instead: LEND },
    Door { tokens: &["TcpListener"], shown: "TcpListener", instead: LEND },
    Door { tokens: &["TcpSocket"], shown: "TcpSocket", instead: LEND },
    Door { tokens: &["UdpSocket"], shown: "UdpSocket", instead: LEND },
    Door { tokens: &["UnixStream"], shown: "UnixStream", instead: LEND },
    Door { tokens: &["UnixListener"], shown: "UnixListener", instead: LEND },
    Door { tokens: &["UnixDatagram"], shown: "UnixDatagram", instead: LEND },
    Door { tokens: &["HttpConnector"], shown: "HttpConnector", instead: LEND },
    Door { tokens: &["socket2"], shown: "socket2", instead: LEND },
    Door { tokens: &["rustix", ":", ":", "net"], shown: "rustix::net", instead: LEND },
    Door { tokens: &["lookup_host"], shown: "lookup_host", instead: LEND },
    Door { tokens: &["ToSocketAddrs"], shown: "ToSocketAddrs", instead: LEND },
    Door { tokens: &["to_socket_addrs"], shown: "to_socket_addrs", instead: LEND },
    Door { tokens: &["Command", ":", ":", "new"], shown: "Command::new", instead: SPAWN },
    Door { tokens: &["Command", "as"], shown: "Command as", instead: SPAWN },
    Door { tokens: &["process", ":", ":", "Command"], shown: "process::Command", instead: SPAWN },
];

/// Doors that are shut in the core too: a core that knows the hour cannot be tested at another.
const TIME: &[Door] = &[
    Door { tokens: &["Instant", ":", ":", "now"], shown: "Instant::now", instead: CLOCK },
    Door { tokens: &["SystemTime", ":", ":", "now"], shown: "SystemTime::now", instead: CLOCK },
    Door { tokens: &["UNIX_EPOCH", ".", "elapsed"], shown: "UNIX_EPOCH.elapsed", instead: CLOCK },
];

/// Who may open the doors of `WORLD`.
const MAY_OPEN: &[&str] = &["crates/killick-net/", "crates/killick-testkit/", "xtask/"];

/// The command line reaches the daemon over this socket type and in this file alone.
const ADMIN_CLIENT: (&str, &str) = ("crates/killick/src/admin_client.rs", "UnixStream");

/// The core: what decides takes the time as an argument.
const TIMELESS: &[&str] = &[
    "crates/killick-adapter-",
    "crates/killick-behaviour/",
    "crates/killick-gate/",
    "crates/killick-model/",
    "crates/killick-policy/",
    "crates/killick-recover/",
    "crates/killick-sql/",
    "crates/killick-tlog/",
];

/// Returns every door that is opened where it is not allowed, tests apart.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let under = |folders: &[&str]| folders.iter().any(|it| source.path.starts_with(it));
        let product = match Product::of(source) {
            Ok(product) => product,
            Err(error) => {
                findings.push(Finding::at(&source.path, error));
                continue;
            }
        };
        let world = WORLD
            .iter()
            .filter(|door| !under(MAY_OPEN) && (source.path.as_str(), door.shown) != ADMIN_CLIENT);
        let time = TIME.iter().filter(|_| under(TIMELESS));
        for door in world.chain(time) {
            for line in product.lines_with(door.tokens) {
                let what = format!("`{}`: {}", door.shown, door.instead);
                findings.push(Finding::at_line(&source.path, line, what));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::fixture;

    fn found(path: &str, text: &str) -> usize {
        check(&[fixture(path, text)]).len()
    }

    #[test]
    fn a_socket_outside_of_net_is_found_under_any_name() {
        for text in [
            "use tokio::net::TcpStream;",
            "use std::net::{IpAddr, TcpListener as Door};",
            "fn f() { std::net::UdpSocket::bind(a); }",
            "use std::os::unix::net::UnixStream;",
            "use tokio::net::lookup_host;",
            "use std::net::ToSocketAddrs as _;",
            "use rustix::net::connect;",
            "use hyper_util::client::legacy::connect::HttpConnector;",
        ] {
            assert_eq!(found("crates/killick-adapter-http/src/a.rs", text), 1, "{text}");
            assert_eq!(found("crates/killick-store/src/a.rs", text), 1, "{text}");
            assert_eq!(found("crates/killick-net/src/a.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn a_process_outside_of_net_is_found_under_any_name() {
        for text in [
            "use std::process::Command;",
            "use std::process::{Command as Run, Stdio};",
            "use tokio::process; fn f() { process::Command::new(a); }",
            "fn f() { Command::new(a); }",
        ] {
            assert!(found("crates/killick/src/a.rs", text) >= 1, "{text}");
            assert_eq!(found("crates/killick-net/src/a.rs", text), 0, "{text}");
        }
        assert_eq!(found("crates/killick/src/a.rs", "use std::process::ExitCode;"), 0);
        assert_eq!(found("crates/killick/src/a.rs", "enum Command { Up } use Command::Up;"), 0);
    }

    #[test]
    fn the_admin_client_has_its_one_socket_and_no_other() {
        let path = "crates/killick/src/admin_client.rs";
        assert_eq!(found(path, "use tokio::net::UnixStream;"), 0);
        assert_eq!(found(path, "use tokio::net::TcpStream;"), 1);
        assert_eq!(found("crates/killick/src/main.rs", "use tokio::net::UnixStream;"), 1);
    }

    #[test]
    fn the_core_asks_nobody_for_the_time() {
        let text = "fn f() { let a = Instant::now(); let b = std::time::SystemTime::now(); }";
        assert_eq!(found("crates/killick-policy/src/a.rs", text), 2);
        assert_eq!(found("crates/killick-adapter-http/src/a.rs", text), 2);
        assert_eq!(found("crates/killick-net/src/a.rs", text), 0);
    }

    #[test]
    fn tests_and_sentences_are_free() {
        assert_eq!(found("crates/killick/tests/a.rs", "use std::net::TcpStream;"), 0);
        assert_eq!(found("crates/killick-gate/src/a.rs", "//! no TcpStream, no Instant::now"), 0);
        let text = "#[cfg(test)] mod tests { fn f() { Instant::now(); } }";
        assert_eq!(found("crates/killick-gate/src/a.rs", text), 0);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_found() {
        assert_eq!(found("crates/killick-gate/src/lib.rs", "fn {"), 1);
    }
}
