//! Keeps secrets inside this process: no core dumps, no reading by other processes.

use secrecy::SecretString;

use super::config::Config;

/// Shorter header values are names and switches. Hiding them would only make messages of servers hard to read.
const SHORTEST_HEADER: usize = 12;

/// Asks the system for no core dumps; on Linux also to keep other processes of the same user from reading our memory
/// and variables. This holds for this process only, not for programs that it starts.
///
/// This process can still open `/proc/self`, so inputs like `/dev/stdin` and `<(…)` work.
pub(super) fn begin() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        // If the system refuses, the run continues without this protection.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Returns the secrets that are sent in addition to the key: values of headers that the user set.
pub(super) fn also_secret(config: &Config) -> Vec<SecretString> {
    let headers = config.headers.iter().filter_map(|(_, value)| value.to_str().ok());
    headers.filter(|value| value.len() >= SHORTEST_HEADER).map(SecretString::from).collect()
}
