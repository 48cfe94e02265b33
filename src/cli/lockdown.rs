//! What keeps secrets inside this process: no core dumps, no look from outside.

use secrecy::SecretString;

use super::config::Config;

/// Values of headers below this are names and switches, which would only garble what servers say.
const SHORTEST_HEADER: usize = 12;

/// Asks the system for no core dumps; on Linux also to keep other processes of the same user from reading our memory and
/// variables. That holds for this process: what it starts is readable as ever.
///
/// Our own way to `/proc/self` stays open, so that inputs as `/dev/stdin` and `<(…)` work.
pub(super) fn begin() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        // What the system refuses it refuses: the run is as good without.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Returns what is sent beside the key that must be shown nowhere: values of headers.
pub(super) fn also_secret(config: &Config) -> Vec<SecretString> {
    let headers = config.headers.iter().filter_map(|(_, value)| value.to_str().ok());
    headers.filter(|value| value.len() >= SHORTEST_HEADER).map(SecretString::from).collect()
}
