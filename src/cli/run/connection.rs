//! Finds the proxy and the trusted certificates for the connection to the server, and describes them in the first line
//! of a run.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::super::config::Config;
use super::super::config::providers::ProviderConfig;
use super::super::config::world::World;
use super::super::parts;
use crate::report::text::escape;
use crate::transport::{PassedOverWhy, Proxy, passed_over, proxy_for};

/// The proxy and the certificates for the connection to the server.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// The proxy through which requests are sent; `None` for a direct connection.
    pub(crate) proxy: Option<Proxy>,
    /// The unusual settings of the connection, as texts for the first line of a run.
    parts: Vec<String>,
    /// Warnings to print before the run.
    pub(crate) warnings: Vec<String>,
}

impl Connection {
    /// Returns the proxy and the certificates for the first provider. For a simulator in this process, there is no
    /// proxy and no certificate.
    ///
    /// # Errors
    /// Fails if a variable for proxies or certificates can't be used.
    pub(crate) fn find(config: &Config, world: &World) -> Result<Self> {
        Self::find_to(&config.provider, config, world)
    }

    /// Returns the proxy and the certificates for the connection to a provider.
    ///
    /// # Errors
    /// Fails in the same cases as [`Connection::find`].
    pub(crate) fn find_to(provider: &ProviderConfig, config: &Config, world: &World) -> Result<Self> {
        if config.simulate {
            return Ok(Self::default());
        }
        let base_url = parts::base_url_of(provider)?;
        let variable = |name: &str| world.variables.get(OsStr::new(name)).map(|value| value.as_os_str());
        let mut connection = Self::default();
        if !config.no_proxy {
            connection.proxy = proxy_for(&base_url, variable)?;
            if let Some(passed) = passed_over(&base_url, variable) {
                let told = match passed.why {
                    PassedOverWhy::Loopback | PassedOverWhy::Exempt if !passed.is_unreadable() => &mut connection.parts,
                    PassedOverWhy::Loopback
                    | PassedOverWhy::Exempt
                    | PassedOverWhy::Cgi
                    | PassedOverWhy::OtherScheme => &mut connection.warnings,
                };
                told.push(passed.to_string());
            }
        }
        connection.parts.extend(connection.proxy.as_ref().map(|proxy| format!("through proxy {}", proxy.address())));
        connection.parts.extend(config.ca_file.as_ref().map(|path| format!("--ca-file {}", path.display())));
        if base_url.is_https() {
            connection.parts.extend(certificates(world)?);
        } else if !base_url.is_loopback() {
            connection.parts.push("not encrypted, allowed by --allow-http".to_owned());
        }
        Ok(connection)
    }

    /// Returns the server, the proxy and the certificates as text, for the first line that a run prints.
    pub(crate) fn words(&self, origin: &str) -> String {
        match self.parts.is_empty() {
            true => origin.to_owned(),
            false => format!("{origin} ({})", escape(&self.parts.join(", "))),
        }
    }
}

/// Whether the TLS library reads the variables `SSL_CERT_FILE` and `SSL_CERT_DIR` on this system. On Windows, Android
/// and Apple systems, the library asks the system for its certificates.
const ASKS_VARIABLES: bool = cfg!(all(unix, not(target_vendor = "apple"), not(target_os = "android")));

/// Returns the variables that replace the system's trusted certificates, and their values.
///
/// The TLS library ignores files that it can't read. If the file of one variable is unreadable, the library trusts only
/// the certificates of the other variable, or none. This function therefore checks the values of both variables. In a
/// list of folders, one readable folder is enough, because such a list often contains the usual folders of several
/// systems.
fn certificates(world: &World) -> Result<Vec<String>> {
    let value = |name: &str| world.variables.get(OsStr::new(name)).filter(|_| ASKS_VARIABLES);
    let mut said = Vec::new();
    if let Some(file) = value("SSL_CERT_FILE") {
        check_file(Path::new(file), world).with_context(|| instead("SSL_CERT_FILE"))?;
        said.push(format!("SSL_CERT_FILE {}", Path::new(file).display()));
    }
    if let Some(folders) = value("SSL_CERT_DIR").filter(|folders| !folders.is_empty()) {
        check_folders(folders, world).with_context(|| instead("SSL_CERT_DIR"))?;
        said.push(format!("SSL_CERT_DIR {}", Path::new(folders).display()));
    }
    Ok(said)
}

fn instead(variable: &str) -> String {
    format!("{variable} (its certificates replace the system's)")
}

fn check_file(path: &Path, world: &World) -> Result<()> {
    if path.as_os_str().is_empty() {
        bail!("it is empty; give it a value, or unset it");
    }
    let pem = world.read(path).with_context(|| format!("can't read {}", path.display()))?;
    if !pem.windows(BEGIN.len()).any(|window| window == BEGIN) {
        bail!("{} contains no certificate", path.display());
    }
    Ok(())
}

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

fn check_folders(list: &OsStr, world: &World) -> Result<()> {
    let mut folders = std::env::split_paths(list).filter(|folder| !folder.as_os_str().is_empty());
    if !folders.any(|folder| std::fs::read_dir(world.resolve(&folder)).is_ok()) {
        bail!("none of the folders in {} can be read", Path::new(list).display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direct_connection_is_only_named_by_its_server() {
        let plain = Connection::default();
        let long = Connection {
            parts: vec!["through proxy http://p:1".to_owned(), "--ca-file a\u{1b}.pem".to_owned()],
            ..Connection::default()
        };

        assert_eq!(plain.words("https://api.anthropic.com"), "https://api.anthropic.com");
        assert_eq!(
            long.words("https://api.anthropic.com"),
            "https://api.anthropic.com (through proxy http://p:1, --ca-file a\\u{1b}.pem)"
        );
    }
}
