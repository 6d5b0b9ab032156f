//! Where a request comes from, as far as that can be known.
//!
//! The peer's own address counts, unless the peer is a listed proxy. Then `X-Forwarded-For` is read from its end: each entry was added
//! by whoever stands after it, so that the last one that is no listed proxy is the client, and everything before it is hearsay.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;

use crate::config::Networks;

/// Entries that are looked at, from the end.
const ENTRIES_MAX: usize = 32;

/// The address of the client behind `peer`.
pub fn client(peer: IpAddr, headers: &HeaderMap, proxies: &Networks) -> IpAddr {
    let mut client = peer.to_canonical();
    if !proxies.contain(client) {
        return client;
    }
    let mut lines: Vec<&str> = Vec::new();
    for value in headers.get_all("x-forwarded-for") {
        match value.to_str() {
            Ok(text) => lines.push(text),
            Err(_) => lines.clear(),
        }
    }
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')).take(ENTRIES_MAX) {
        // What cannot be read was not written by a listed proxy: whoever sent it stands behind the last address that could.
        let Some(address) = parse(entry.trim()) else { return client };
        client = address;
        if !proxies.contain(client) {
            return client;
        }
    }
    client
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`.
fn parse(entry: &str) -> Option<IpAddr> {
    let address = entry
        .parse::<IpAddr>()
        .ok()
        .or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| entry.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6))?;
    Some(address.to_canonical())
}

/// One client as attempts are counted: an IPv4 address, or the network of an IPv6 address, as one host has many of those.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_counts_only_from_listed_proxies_and_only_from_its_end() {
        let proxies: Networks = "10.0.0.0/8, 2001:db8:ffff::/48, 127.0.0.1".parse().unwrap();
        let cases: &[(&str, &[&str], &str)] = &[
            // No listed proxy: the header is somebody's claim.
            ("198.51.100.7", &["192.0.2.1"], "198.51.100.7"),
            ("198.51.100.7", &[], "198.51.100.7"),
            ("2001:db8:1::7", &["192.0.2.1"], "2001:db8:1::7"),
            // One proxy: its own entry, not the forged one before it.
            ("10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["127.0.0.1, 10.9.9.9, 192.0.2.1"], "192.0.2.1"),
            // A chain of listed proxies is walked through.
            ("10.0.0.1", &["203.0.113.9, 192.0.2.1, 10.0.0.2, 10.0.0.3"], "192.0.2.1"),
            ("10.0.0.1", &["203.0.113.9", "192.0.2.1", "10.0.0.2"], "192.0.2.1"),
            ("::ffff:10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("2001:db8:ffff::1", &["2001:db8:1::7"], "2001:db8:1::7"),
            // Ports and brackets.
            ("10.0.0.1", &["192.0.2.1:4711"], "192.0.2.1"),
            ("10.0.0.1", &["[2001:db8:1::7]:4711"], "2001:db8:1::7"),
            ("10.0.0.1", &["[2001:db8:1::7]"], "2001:db8:1::7"),
            ("10.0.0.1", &["::ffff:192.0.2.1"], "192.0.2.1"),
            // Nothing usable: whoever is the last that is known.
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1, 10.0.0.2:x"], "10.0.0.1"),
            ("10.0.0.1", &["unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ];
        for (peer, lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in *lines {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            let found = client(peer.parse().unwrap(), &headers, &proxies);
            assert_eq!(found.to_string(), *expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn many_entries_are_not_all_read() {
        let proxies: Networks = "10.0.0.0/8".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", format!("192.0.2.1{}", ", 10.0.0.2".repeat(10_000)).parse().unwrap());
        assert_eq!(client("10.0.0.1".parse().unwrap(), &headers, &proxies).to_string(), "10.0.0.2");
    }

    #[test]
    fn hosts_of_one_network_count_as_one() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
    }
}
