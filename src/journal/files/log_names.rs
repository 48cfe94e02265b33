//! An error log contains the name of its results file, and this module checks this name. The name must refer to a file
//! in the folder of the log.

/// The names of devices on some systems. A device name with an extension also refers to the device.
const DEVICES: [&str; 7] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"];
/// Prefixes of device names. On some systems, a name that consists of such a prefix and a digit refers to a device.
const NUMBERED_DEVICES: [&str; 2] = ["COM", "LPT"];
/// The maximum length of a file name, in bytes.
const NAME_BYTES: usize = 255;

/// Returns the reason why a name is invalid, such as `a folder`; `None` if a file in the log's folder can have this
/// name.
///
/// A log can come from another system, so the rule for names is nearly the same on all systems.
pub(crate) fn fault_of_name(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("an empty name"),
        "." | ".." => Some("a folder"),
        name if name.chars().any(char::is_control) => Some("a name with control characters"),
        name if name.contains(['/', '\\']) => Some("a path and not a name"),
        name if name.len() > NAME_BYTES => Some("longer than a file name can be"),
        name if is_device(name) => Some("the name of a device"),
        name if cfg!(windows) && (name.contains([':', '*', '?', '"', '<', '>', '|']) || name.ends_with(['.', ' '])) => {
            Some("not a valid file name here")
        }
        _ => None,
    }
}

fn is_device(name: &str) -> bool {
    let stem = name.split(['.', ':']).next().unwrap_or_default().trim_end_matches(' ').to_uppercase();
    let is_numbered = |letters: &&str| {
        let digits = stem.strip_prefix(*letters).unwrap_or_default();
        matches!(digits, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
    };
    DEVICES.contains(&&*stem) || NUMBERED_DEVICES.iter().any(is_numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_files_in_the_folder_of_the_log_are_valid() {
        let fine = ["out.jsonl", "a b", "..jsonl", ".hidden", "日本.jsonl", "com.jsonl", "nullable", "com10", "$(x)"];
        let wrong = [
            "",
            ".",
            "..",
            "/",
            "/o",
            "a/b",
            "a/",
            "./o",
            "../o",
            "..\\o",
            "\\o",
            "\\\\h\\s\\o",
            "C:\\o",
            "C:/o",
            "a\0b",
            "a\nb",
            "\u{1b}[2J",
            "a\u{7f}",
            "a\u{85}",
            "nul",
            "NUL.jsonl",
            "Con .x",
            "aux:s",
            "COM1",
            "lpt9.txt",
            "COM¹",
            "CONIN$",
        ];

        assert_eq!(fine.map(fault_of_name), [None; 9]);
        for name in wrong {
            assert!(fault_of_name(name).is_some(), "{name:?}");
        }
        assert!(fault_of_name(&"a".repeat(256)).is_some());
    }
}
