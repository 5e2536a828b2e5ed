//! Addresses as people and clients write them: `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…`.

use std::net::SocketAddr;

use killick_model::SessionId;
use killick_model::database::{Database, DatabaseTls};
use zeroize::Zeroizing;

/// The port of a server that names none.
const PORT: u16 = 5432;

/// An address, taken apart.
pub struct ServerAddress {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The user.
    pub user: String,
    /// The password, when it stands there.
    pub password: Option<Zeroizing<String>>,
    /// How the server is to be known, as far as the address says.
    pub tls: DatabaseTls,
}

/// Takes an address apart.
///
/// # Errors
/// Says what is wrong, without the address: it may hold a password.
pub fn parse(url: &str) -> Result<ServerAddress, String> {
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .ok_or("the address begins with postgres://")?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, place) = place.rsplit_once('@').ok_or("the address names no user")?;
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(Zeroizing::new(decoded(password)?))),
        None => (login, None),
    };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().map_err(|_| "the port is no number")?)
        }
        Some(_) | None => (place, PORT),
    };
    let user = decoded(user)?;
    let named = decoded(database)?;
    let database = if named.is_empty() { user.clone() } else { named };
    let host = host.trim_matches(['[', ']']).to_owned();
    if host.is_empty() || user.is_empty() {
        return Err("the address names no host, or no user".into());
    }
    Ok(ServerAddress { host, port, database, user, password, tls: tls_of(query)? })
}

fn tls_of(query: &str) -> Result<DatabaseTls, String> {
    let mode = query.split('&').find_map(|it| it.strip_prefix("sslmode="));
    match mode {
        Some("disable") => Ok(DatabaseTls::Off),
        None | Some("verify-full" | "verify-ca" | "require" | "prefer" | "allow") => {
            // What a client would let pass unchecked is checked here.
            Ok(DatabaseTls::Verify)
        }
        Some(_) => Err("the address has an sslmode that is not known".into()),
    }
}

fn decoded(raw: &str) -> Result<String, String> {
    let wrong = || "a part of the address is not well encoded".to_owned();
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next().ok_or_else(wrong)?, rest.next().ok_or_else(wrong)?];
            // A sign before a digit is a number to the parser, and no encoding.
            if !pair.iter().all(u8::is_ascii_hexdigit) {
                return Err(wrong());
            }
            let text = std::str::from_utf8(&pair).map_err(|_| wrong())?;
            bytes.push(u8::from_str_radix(text, 16).map_err(|_| wrong())?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// Returns the address under which an agent reaches a database through the gateway. Over loopback TLS adds nothing
/// that an agent on the same machine could not read anyway; elsewhere it is asked for, with the roots that know the
/// gateway: `roots` is their file.
#[must_use]
pub fn for_agent(
    gateway: SocketAddr,
    roots: &str,
    session: &SessionId,
    token: &str,
    database: &Database,
) -> Zeroizing<String> {
    let tls = if gateway.ip().is_loopback() {
        "sslmode=disable".to_owned()
    } else {
        format!("sslmode=verify-full&sslrootcert={}", encoded(roots))
    };
    Zeroizing::new(format!("postgres://{session}:{token}@{gateway}/{}?{tls}", database.name))
}

/// Encodes what stands behind the question mark of an address.
fn encoded(raw: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(raw.len());
    for byte in raw.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let it = parse("postgres://app:p%40ss@db.example:6432/shop?sslmode=disable").unwrap();
        assert_eq!((it.host.as_str(), it.port, it.user.as_str()), ("db.example", 6432, "app"));
        assert_eq!(it.password.as_deref().map(String::as_str), Some("p@ss"));
        assert_eq!((it.database.as_str(), it.tls), ("shop", DatabaseTls::Off));
        let bare = parse("postgresql://app@[::1]/").unwrap();
        assert_eq!((bare.host.as_str(), bare.port, bare.database.as_str()), ("::1", 5432, "app"));
        assert_eq!(bare.tls, DatabaseTls::Verify);
    }

    #[test]
    fn off_loopback_an_agent_is_given_the_roots_that_know_the_gateway() {
        let database: Database = serde_json::from_value(serde_json::json!({
            "name": "main", "host": "db.example", "port": 5432, "database": "shop", "user": "app",
            "tls": { "mode": "verify" }, "private_address": false, "environment": "staging",
            "role": null, "limits": {}, "added": 0,
        }))
        .unwrap();
        let session = SessionId::parse("s-1").unwrap();
        let at = |gateway: &str| {
            let roots = "/home/a b/.killick/ca-bundle.pem";
            for_agent(gateway.parse().unwrap(), roots, &session, "ksess_0", &database).to_string()
        };
        assert_eq!(
            at("127.0.0.1:7072"),
            "postgres://s-1:ksess_0@127.0.0.1:7072/main?sslmode=disable"
        );
        assert_eq!(
            at("10.0.0.7:7072"),
            "postgres://s-1:ksess_0@10.0.0.7:7072/main?sslmode=verify-full\
             &sslrootcert=/home/a%20b/.killick/ca-bundle.pem"
        );
        assert!(at("[fd00::7]:7072").contains("@[fd00::7]:7072/main?sslmode=verify-full"));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for raw in [
            "mysql://a:canary@h/d",
            "postgres://h/d",
            "postgres://a:canary@h:x/d",
            "postgres://a:%zz@h/d",
            "postgres://a:%+5canary@h/d",
            "postgres://a:canary%-1@h/d",
            "postgres://a:canary%4@h/d",
        ] {
            let why = parse(raw).err().unwrap();
            assert!(!why.contains("canary"), "{why}");
        }
    }
}
