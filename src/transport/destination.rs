//! Recognizes addresses at which there can be no API. The addresses come from a base URL, from a proxy, or from
//! resolving a name.
//!
//! In a cloud, a machine can read its credentials at a link-local address. In some clouds, the credentials are at a
//! fixed address that is not link-local. This program sends no requests to these addresses, because it can be part of a
//! service in which strangers choose the URL. A stranger must not be able to read the credentials. If an IPv6 address
//! contains an IPv4 address, the contained address is checked.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The reason why the program sends nothing to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The address can be reached only in the local network segment.
    LinkLocal,
    /// A cloud uses this address for a service that only the machines of the cloud can reach. The address is outside of
    /// the link-local range.
    Metadata,
    /// The address means "no address". Operating systems treat this address as this machine.
    Unspecified,
    /// The address means a group of machines.
    Multicast,
    /// The address means all machines of a network.
    Broadcast,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "a cloud's metadata address",
            Self::Unspecified => "an unspecified address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
        })
    }
}

/// The addresses of metadata services outside of the link-local range: Alibaba Cloud, Oracle Cloud, Azure, AWS, Google
/// Cloud.
///
/// Source: the providers' documentation of their instance metadata (2026-08-22).
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254)),
];

/// Returns the reason why the program sends nothing to `address`; `None` if there can be an API at this address.
pub(crate) fn unfit(address: IpAddr) -> Option<Unfit> {
    if METADATA.contains(&address) {
        return Some(Unfit::Metadata);
    }
    match address {
        IpAddr::V4(address) => unfit_v4(address),
        IpAddr::V6(address) if address.is_unspecified() => Some(Unfit::Unspecified),
        IpAddr::V6(address) if address.is_unicast_link_local() => Some(Unfit::LinkLocal),
        IpAddr::V6(address) if address.is_multicast() => Some(Unfit::Multicast),
        IpAddr::V6(address) => carried(address).and_then(|carried| unfit(IpAddr::V4(carried))),
    }
}

/// Returns whether a host name always means this machine, so that no resolver has to be asked (RFC 6761).
pub(crate) fn is_local_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

fn unfit_v4(address: Ipv4Addr) -> Option<Unfit> {
    match address.octets() {
        // An address that begins with 0 means "this network", and not a machine in the network.
        [0, ..] => Some(Unfit::Unspecified),
        [169, 254, ..] => Some(Unfit::LinkLocal),
        [224..=239, ..] => Some(Unfit::Multicast),
        [255, 255, 255, 255] => Some(Unfit::Broadcast),
        _ => None,
    }
}

/// Returns the IPv4 address that an IPv6 address contains. Such an IPv6 address has one of these forms: IPv4-mapped,
/// IPv4-translated, IPv4-compatible, NAT64 or 6to4.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        // The loopback address `::1` has the form of an IPv4-compatible address, but it does not contain an IPv4
        // address.
        [0, 0, 0, 0, 0, 0, 0, 1] => None,
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0, 0, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(address: &str) -> Option<Unfit> {
        unfit(address.parse().expect(address))
    }

    #[test]
    fn addresses_where_no_api_can_be_are_recognized() {
        for (address, expected) in [
            ("169.254.169.254", Unfit::LinkLocal),
            ("169.254.0.1", Unfit::LinkLocal),
            ("fe80::1", Unfit::LinkLocal),
            ("febf:ffff::1", Unfit::LinkLocal),
            ("100.100.100.200", Unfit::Metadata),
            ("168.63.129.16", Unfit::Metadata),
            ("fd00:ec2::254", Unfit::Metadata),
            ("fd20:ce::254", Unfit::Metadata),
            ("0.0.0.0", Unfit::Unspecified),
            ("0.1.2.3", Unfit::Unspecified),
            ("::", Unfit::Unspecified),
            ("224.0.0.1", Unfit::Multicast),
            ("239.255.255.250", Unfit::Multicast),
            ("ff02::1", Unfit::Multicast),
            ("255.255.255.255", Unfit::Broadcast),
        ] {
            assert_eq!(judged(address), Some(expected), "{address}");
        }
    }

    #[test]
    fn an_ipv6_address_is_judged_by_the_ipv4_address_in_it() {
        for form in [
            "::ffff:169.254.169.254",
            "::ffff:0:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1:2:3:4:169.254.169.254",
            "2002:a9fe:a9fe::1",
        ] {
            assert_eq!(judged(form), Some(Unfit::LinkLocal), "{form}");
        }
        assert_eq!(judged("64:ff9b::0.0.0.0"), Some(Unfit::Unspecified));
        assert_eq!(judged("2002:ffff:ffff::"), Some(Unfit::Broadcast));
        assert_eq!(judged("::ffff:100.100.100.200"), Some(Unfit::Metadata));
    }

    #[test]
    fn addresses_of_machines_are_accepted() {
        for address in [
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "10.0.0.1",
            "192.168.1.1",
            "169.253.255.255",
            "169.255.0.0",
            "223.255.255.255",
            "240.0.0.1",
            "255.255.255.254",
            "2001:db8::1",
            "fd00::1",
            "fec0::1",
            "64:ff9b::8.8.8.8",
            "2002:808:808::",
        ] {
            assert_eq!(judged(address), None, "{address}");
        }
    }

    #[test]
    fn local_names_mean_this_machine_in_every_spelling() {
        assert!(
            ["localhost", "LocalHost", "localhost.", "api.localhost", "a.b.LOCALHOST."].into_iter().all(is_local_name)
        );
        assert!(
            ["localhost.example", "notlocalhost", "localhost.localdomain", "", "."]
                .into_iter()
                .all(|name| !is_local_name(name))
        );
    }
}
