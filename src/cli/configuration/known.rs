//! Collects all settings with their values in all layers.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};

use crate::cli::config::defaults::{Default, default_of};
use crate::cli::config::layers::FILE_NAME;
use crate::cli::config::origins::{Entry, Origin, Origins};
use crate::cli::config::providers::ListedProvider;
use crate::cli::config::reader::Reader;

/// The heading for flags that have no heading in the help.
const OTHERS: &str = "Others";

/// Everything that `config show` shows.
pub(super) struct Shown {
    /// The settings, in the order of the help.
    pub(super) settings: Vec<Setting>,
    /// The name of the profile that the user chose.
    pub(super) profile: Option<String>,
    /// The values in the layers below the flags, and where each value was set.
    pub(super) origins: Origins,
    /// The providers that a run would use, and the providers with tables in the configuration.
    pub(super) providers: Vec<ListedProvider>,
    /// Warnings about variables and files.
    pub(super) warnings: Vec<String>,
}

/// A setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// The name of the setting, which is the long name of its flag.
    pub(super) name: String,
    /// The heading of the setting's group in the help.
    pub(super) group: String,
    /// Whether the setting can have several values.
    pub(super) is_list: bool,
    /// The values of the setting, each with its layer. The run uses the first value, which overrides the others.
    pub(super) layers: Vec<Entry>,
    /// The value of the setting if no layer sets it.
    pub(super) default: Default,
    /// The reason why the first value has no effect; `None` if the first value has an effect.
    pub(super) idle: Option<String>,
}

/// Returns the settings in the order of the help.
pub(super) fn settings(reader: &Reader, typed: Vec<Entry>, origins: &Origins) -> Vec<Setting> {
    let all: Vec<&Entry> = typed.iter().chain(&origins.entries).collect();
    // `api-key-file` and `api-key-cmd` are two ways to give the key. If the user set both the file and the command, the
    // run uses the setting from the layer with the higher priority.
    let is_key = |name: &str| matches!(name, "api-key-file" | "api-key-cmd");
    let key = all.iter().find(|entry| is_key(&entry.name)).map(|entry| entry.name.clone());
    let setting = |arg: &Arg| {
        let name = arg.get_long()?.to_owned();
        let mut layers: Vec<Entry> =
            all.iter().filter(|entry| entry.name == name).map(|entry| (*entry).clone()).collect();
        if origins.lowered.contains(&name.as_str()) {
            // A run uses the lowest value of a cap. Only the file in the working folder can lower the cap of a higher
            // layer.
            if let Some(at) = layers.iter().position(|entry| is_of_working_folder(&entry.origin)) {
                layers[..=at].rotate_right(1);
            }
        }
        let other = key.as_ref().filter(|key| is_key(&name) && **key != name && !layers.is_empty());
        Some(Setting {
            group: group(arg),
            is_list: matches!(arg.get_action(), ArgAction::Append),
            idle: other.map(|other| format!("not used, because {other} is set")),
            default: default_of(arg),
            name,
            layers,
        })
    };
    in_groups(reader).into_iter().filter_map(setting).collect()
}

/// Returns the flags of all settings in the order of the help. Flags with the same heading stand next to each other.
pub(super) fn in_groups(reader: &Reader) -> Vec<&Arg> {
    let mut groups: Vec<String> = Vec::new();
    for heading in reader.flags().map(group) {
        if !groups.contains(&heading) {
            groups.push(heading);
        }
    }
    let mut flags: Vec<&Arg> = reader.flags().collect();
    flags.sort_by_key(|flag| groups.iter().position(|own| *own == group(flag)));
    flags
}

/// Returns the values of the flags that the user typed. `matches` belongs to a command that has the flags of all
/// settings.
pub(super) fn typed(reader: &Reader, matches: &ArgMatches) -> Vec<Entry> {
    let entry = |arg: &Arg| {
        let (id, name) = (arg.get_id().as_str(), arg.get_long()?);
        if matches.value_source(id) != Some(ValueSource::CommandLine) {
            return None;
        }
        let values: Vec<String> = match arg.get_action() {
            ArgAction::Count => vec![matches.get_count(id).to_string()],
            _ => matches.get_raw(id)?.map(|value| value.to_string_lossy().into_owned()).collect(),
        };
        Some(Entry::new(name, &values, Origin::Flag))
    };
    reader.flags().filter_map(entry).collect()
}

fn is_of_working_folder(origin: &Origin) -> bool {
    matches!(origin, Origin::File { path, .. } if path == FILE_NAME)
}

/// Returns the heading of a flag in the help, without the remark in parentheses.
pub(super) fn group(arg: &Arg) -> String {
    let heading = arg.get_help_heading().unwrap_or(OTHERS);
    heading.split_once(" (").map_or(heading, |(heading, _)| heading).to_owned()
}
