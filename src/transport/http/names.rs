//! Resolves host names to addresses, and checks the addresses.
//!
//! `localhost` and its subdomains always mean this machine. These names are not resolved. Plain `http` is allowed for
//! these names, so they must never lead to another machine. All names except `localhost` and its subdomains are
//! resolved, and their addresses are checked. The client connects only to checked addresses, because it does not
//! resolve the name again. If one of the addresses can't be the address of an API, all addresses of the name are
//! rejected, and nothing is sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::transport::destination::{Unfit, is_local_name, unfit};

/// A resolver that asks the system's resolver and checks its answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names;

/// The error if a name resolves to an address at which no API can be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} resolves to {address}, {why}, where no API can be")]
pub(super) struct NoServerThere {
    name: String,
    address: IpAddr,
    why: Unfit,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let name = name.as_str();
            let found = if is_local_name(name) {
                this_machine()
            } else {
                checked(name, tokio::net::lookup_host((name, 0)).await?.collect())?
            };
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Returns the loopback addresses. The port of these addresses is ignored, because the client uses the port of the URL.
fn this_machine() -> Vec<SocketAddr> {
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].map(|address| SocketAddr::new(address, 0)).into()
}

fn checked(name: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, NoServerThere> {
    let suspect = found.iter().find_map(|found| unfit(found.ip()).map(|why| (found.ip(), why)));
    match suspect {
        Some((address, why)) => Err(NoServerThere { name: name.to_owned(), address, why }),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses.iter().map(|address| SocketAddr::new(address.parse().expect("an address"), 0)).collect()
    }

    #[tokio::test]
    async fn names_under_localhost_are_this_machine_without_a_lookup() {
        for name in ["localhost", "api.localhost", "no-such-name.example.localhost", "localhost."] {
            let found: Vec<_> = Names.resolve(name.parse().expect("a name")).await.expect("an answer").collect();

            assert!(!found.is_empty() && found.iter().all(|found| found.ip().is_loopback()), "{name}: {found:?}");
        }
    }

    #[test]
    fn only_addresses_that_were_checked_are_used() {
        let found = answer(&["10.0.0.1", "2001:db8::1", "127.0.0.1"]);

        assert_eq!(checked("gateway.example", found.clone()), Ok(found));
        assert_eq!(checked("gateway.example", Vec::new()), Ok(Vec::new()));
    }

    #[test]
    fn one_forbidden_address_is_enough_to_refuse_all_addresses_of_a_name() {
        let bad =
            ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "fd00:ec2::254"];
        for bad in bad {
            for found in [&[bad][..], &[bad, "10.0.0.1"], &["10.0.0.1", bad], &["10.0.0.1", bad, "2001:db8::1"]] {
                let error = checked("gateway.example", answer(found)).expect_err(bad).to_string();

                assert!(
                    error.starts_with("gateway.example resolves to ") && error.ends_with("where no API can be"),
                    "{error}"
                );
            }
        }
    }
}
