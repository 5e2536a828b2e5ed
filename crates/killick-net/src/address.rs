//! Which addresses an upstream may have.
//!
//! A name that an agent may reach can be made to resolve anywhere, so every address is looked at
//! before it is dialled. Unlisted IPv6 space is refused: only `2000::/3` is in use on the internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Out to the internet.
    Public,
    /// To this machine or a private network: only where a human allowed it.
    Private(&'static str),
    /// To a place where no upstream lives, a metadata service above all: never.
    Never(&'static str),
}

/// Returns why an address may not be reached without a human's word, if it may not.
#[must_use]
pub fn forbidden(address: IpAddr) -> Option<&'static str> {
    match reach(address) {
        Reach::Public => None,
        Reach::Private(why) | Reach::Never(why) => Some(why),
    }
}

/// Returns where an address leads; an IPv4 address inside an IPv6 one leads where the inner one does.
#[must_use]
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => reach_v4(v4),
        IpAddr::V6(v6) => reach_v6(v6),
    }
}

/// Answers of metadata services that lie outside of link-local space.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// Metadata services inside unique local space.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
];

fn reach_v4(v4: Ipv4Addr) -> Reach {
    if METADATA_V4.contains(&v4) {
        return Reach::Never("metadata service");
    }
    match v4.octets() {
        [0, ..] => Reach::Never("unspecified"),
        [127, ..] => Reach::Private("loopback"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Reach::Private("private"),
        [100, 64..=127, ..] => Reach::Private("shared by a carrier"),
        [169, 254, ..] => Reach::Never("link-local"),
        [192, 0, 0, _] => Reach::Never("protocol assignment"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Reach::Never("documentation"),
        [192, 88, 99, _] => Reach::Never("6to4 relay"),
        [198, 18..=19, ..] => Reach::Never("benchmark"),
        [224..=239, ..] => Reach::Never("multicast"),
        [255, 255, 255, 255] => Reach::Never("broadcast"),
        [240..=255, ..] => Reach::Never("reserved"),
        _ => Reach::Public,
    }
}

fn reach_v6(v6: Ipv6Addr) -> Reach {
    if METADATA_V6.contains(&v6) {
        return Reach::Never("metadata service");
    }
    let inner = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        reach_v4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Reach::Never("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Private("loopback"),
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => {
            inner(high, low)
        }
        [0xfe80..=0xfebf, ..] => Reach::Never("link-local"),
        [0xfec0..=0xfeff, ..] => Reach::Private("site-local"),
        [0xfc00..=0xfdff, ..] => Reach::Private("unique local"),
        [0xff00..=0xffff, ..] => Reach::Never("multicast"),
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Reach::Never("documentation"),
        [0x2001, 0..=0x01ff, ..] => Reach::Never("protocol assignment"),
        [0x2002, ..] => Reach::Never("6to4"),
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Never("reserved"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses that a human may allow.
    const PRIVATE: &[(&str, &str)] = &[
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("10.0.0.1", "private"),
        ("10.255.255.255", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.0.1", "private"),
        ("100.64.0.1", "shared by a carrier"),
        ("100.127.255.255", "shared by a carrier"),
        ("::1", "loopback"),
        ("fc00::1", "unique local"),
        ("fdff:ffff::1", "unique local"),
        ("fec0::1", "site-local"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:7f00:1", "loopback"),
        ("::ffff:10.1.2.3", "private"),
        ("::ffff:192.168.1.1", "private"),
        ("64:ff9b::127.0.0.1", "loopback"),
        ("64:ff9b::a00:1", "private"),
        ("0:0:0:0:0:ffff:ac10:1", "private"),
    ];

    /// Addresses that nobody may allow.
    const NEVER: &[(&str, &str)] = &[
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("169.254.169.254", "metadata service"),
        ("100.100.100.200", "metadata service"),
        ("168.63.129.16", "metadata service"),
        ("192.0.0.192", "metadata service"),
        ("169.254.0.1", "link-local"),
        ("169.254.170.2", "link-local"),
        ("192.0.0.1", "protocol assignment"),
        ("192.0.2.1", "documentation"),
        ("198.51.100.7", "documentation"),
        ("203.0.113.9", "documentation"),
        ("192.88.99.1", "6to4 relay"),
        ("198.18.0.1", "benchmark"),
        ("198.19.255.255", "benchmark"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.250", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.254", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "unspecified"),
        ("fd00:ec2::254", "metadata service"),
        ("fd20:ce::254", "metadata service"),
        ("fe80::1", "link-local"),
        ("febf::1", "link-local"),
        ("ff02::1", "multicast"),
        ("2001:db8::1", "documentation"),
        ("3fff::1", "documentation"),
        ("2001::1", "protocol assignment"),
        ("2001:2::1", "protocol assignment"),
        ("2002:7f00:1::1", "6to4"),
        ("::127.0.0.1", "reserved"),
        ("::8.8.8.8", "reserved"),
        ("100::1", "reserved"),
        ("5f00::1", "reserved"),
        ("64:ff9b:1::1", "reserved"),
        ("64:ff9b::169.254.169.254", "metadata service"),
        ("64:ff9b::0.0.0.0", "unspecified"),
        ("::ffff:169.254.169.254", "metadata service"),
        ("::ffff:a9fe:a9fe", "metadata service"),
        ("::ffff:0.0.0.0", "unspecified"),
        ("::ffff:255.255.255.255", "broadcast"),
    ];

    const PUBLIC: &[&str] = &[
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2001:200::1",
        "2001:4860:4860::8888",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
    ];

    fn of(raw: &str) -> Reach {
        reach(raw.parse().unwrap())
    }

    #[test]
    fn every_address_leads_where_the_table_says() {
        for (raw, why) in PRIVATE {
            assert_eq!(of(raw), Reach::Private(why), "{raw}");
            assert_eq!(forbidden(raw.parse().unwrap()), Some(*why), "{raw}");
        }
        for (raw, why) in NEVER {
            assert_eq!(of(raw), Reach::Never(why), "{raw}");
            assert_eq!(forbidden(raw.parse().unwrap()), Some(*why), "{raw}");
        }
        for raw in PUBLIC {
            assert_eq!(of(raw), Reach::Public, "{raw}");
            assert_eq!(forbidden(raw.parse().unwrap()), None, "{raw}");
        }
    }

    #[test]
    fn an_ipv4_address_leads_to_the_same_place_inside_ipv6() {
        for (raw, _) in PRIVATE.iter().chain(NEVER) {
            let Ok(v4) = raw.parse::<Ipv4Addr>() else { continue };
            assert_eq!(reach(v4.to_ipv6_mapped().into()), reach(v4.into()), "{raw}");
            assert_ne!(reach(v4.to_ipv6_compatible().into()), Reach::Public, "{raw}");
        }
    }
}
