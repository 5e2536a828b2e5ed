//! One spelling for a host: what the gateway judges, resolvers must not read differently.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name that DNS carries.
pub const HOST_BYTES_MAX: usize = 253;

/// The longest label of a name.
pub const LABEL_BYTES_MAX: usize = 63;

/// What a host is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostKind {
    /// A DNS name in lower case.
    Name(String),
    /// An address in its one canonical spelling.
    Ip(IpAddr),
}

/// The text is no host, or is one that resolvers read in more than one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host is not usable: {0}")]
pub struct HostError(pub &'static str);

/// Parses a host without its port.
///
/// Decimal, octal, hexadecimal and short IPv4 forms, uncanonical IPv6, brackets, zone ids, a trailing
/// dot and percent-encoding are refused: `2130706433` is 127.0.0.1 to one reader and a name to another.
///
/// # Errors
/// Says what is wrong with the text, without repeating it.
pub fn parse_host(raw: &str) -> Result<HostKind, HostError> {
    if raw.is_empty() {
        return Err(HostError("it is empty"));
    }
    if raw.len() > HOST_BYTES_MAX {
        return Err(HostError("it is longer than 253 bytes"));
    }
    if raw.contains(':') {
        return parse_v6(raw);
    }
    if let Ok(v4) = raw.parse::<Ipv4Addr>() {
        return Ok(HostKind::Ip(v4.into()));
    }
    let name = raw.to_ascii_lowercase();
    for label in name.split('.') {
        check_label(label)?;
    }
    if name.rsplit('.').next().is_none_or(reads_as_number) {
        return Err(HostError("it is an IPv4 address in an unusual spelling"));
    }
    Ok(HostKind::Name(name))
}

fn parse_v6(raw: &str) -> Result<HostKind, HostError> {
    let v6: Ipv6Addr = raw
        .parse()
        .map_err(|_| HostError("it is no IPv6 address, or has a port, brackets or a zone"))?;
    if v6.to_string() != raw.to_ascii_lowercase() {
        return Err(HostError("it is an IPv6 address in an unusual spelling"));
    }
    Ok(HostKind::Ip(v6.into()))
}

fn check_label(label: &str) -> Result<(), HostError> {
    if label.is_empty() {
        return Err(HostError("it has an empty label or a trailing dot"));
    }
    if label.len() > LABEL_BYTES_MAX {
        return Err(HostError("it has a label longer than 63 bytes"));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !label.bytes().all(fits) {
        return Err(HostError("it has a character that no host name has"));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(HostError("it has a label that starts or ends with a hyphen"));
    }
    Ok(())
}

/// No top-level domain is a number, so a name that ends in one is an address to some reader.
fn reads_as_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x");
    label.bytes().all(|byte| byte.is_ascii_digit())
        || hex.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spelling_that_some_resolver_reads_as_an_address_is_refused() {
        for raw in [
            "2130706433",
            "0x7f000001",
            "0X7F000001",
            "0x7f.0.0.1",
            "0x7f.0x0.0x0.0x1",
            "0177.0.0.1",
            "017700000001",
            "127.1",
            "127.0.1",
            "127.0.0.1.",
            "127.0.0.01",
            "127.0.0.0x1",
            "0x",
            "1.2.3.4.5",
            "256.256.256.256",
            "example.0x7f",
            "example.1",
            "localhost.",
            "[::1]",
            "[127.0.0.1]",
            "fe80::1%eth0",
            "fe80::1%25eth0",
            "::0001",
            "0:0:0:0:0:0:0:1",
            "::ffff:7f00:1",
            "127.0.0.1:80",
            "%31%32%37.0.0.1",
            "127%2e0.0.1",
            "169。254。169。254",
            "①②⑦.0.0.1",
            "exämple.com",
        ] {
            assert!(parse_host(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn what_no_name_looks_like_is_refused() {
        let label = "a".repeat(LABEL_BYTES_MAX + 1);
        let name = format!("{}com", "a.".repeat(HOST_BYTES_MAX / 2));
        for raw in [
            "", ".", "a..b", ".a", "-a.com", "a-.com", "a b", "a\tb", "a\0b", "a/b", "a@b", "a#b",
            "a\\b", "a\r\nb", "*.com", &label, &name,
        ] {
            assert!(parse_host(raw).is_err(), "{raw:?}");
        }
    }

    #[test]
    fn a_host_has_one_spelling() {
        let name = |raw: &str| HostKind::Name(raw.to_owned());
        let ip = |raw: &str| HostKind::Ip(raw.parse().unwrap());
        for (raw, kind) in [
            ("Backboard.Railway.App", name("backboard.railway.app")),
            ("localhost", name("localhost")),
            ("_x.example.com", name("_x.example.com")),
            ("1.example.com", name("1.example.com")),
            ("0x7f.example.com", name("0x7f.example.com")),
            ("xn--exmple-cua.com", name("xn--exmple-cua.com")),
            ("127.0.0.1", ip("127.0.0.1")),
            ("8.8.8.8", ip("8.8.8.8")),
            ("::1", ip("::1")),
            ("2001:DB8::1", ip("2001:db8::1")),
            ("::ffff:127.0.0.1", ip("::ffff:127.0.0.1")),
        ] {
            assert_eq!(parse_host(raw), Ok(kind), "{raw}");
        }
    }
}
