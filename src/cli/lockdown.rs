//! Keeps secrets inside this process: there are no core dumps, and other processes can't read its memory.

use secrecy::SecretString;

use super::config::Config;

/// The shortest length, in bytes, of a header value that is treated as a secret. A shorter header value is treated as a
/// name or a switch, not as a secret. If short values were hidden, messages of servers would be hard to read.
const SHORTEST_HEADER: usize = 12;

/// Asks the system not to write core dumps. On Linux, also asks the system to keep other processes of the same user
/// from reading the memory and variables of this process. Only this process is protected, not the programs that it
/// starts.
///
/// This process can still open `/proc/self`, so inputs like `/dev/stdin` and `<(…)` work.
pub(super) fn begin() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        // If the system does not allow this protection, the program continues with unprotected memory.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Returns the secrets other than the key: the values of headers that the user set, the addresses of notices, and the
/// secret that signs notices.
pub(super) fn also_secret(config: &Config) -> Vec<SecretString> {
    // Only header values that the user set are marked as secret. Header values that come from a preset, such as the
    // name of a workspace, are not marked as secret.
    let headers = config.providers().flat_map(|provider| &provider.headers).filter(|(_, value)| value.is_sensitive());
    let headers = headers.filter_map(|(_, value)| value.to_str().ok());
    let headers = headers.filter(|value| value.len() >= SHORTEST_HEADER).map(SecretString::from);
    headers.chain(config.watch.secrets()).collect()
}
