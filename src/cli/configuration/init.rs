//! The verb `init`: writes a configuration file in which every setting is a comment, with its description and its default.
//!
//! The file is made from the definitions of the flags. If a line begins with `#` without a space after it, the line
//! becomes a setting when the user removes the `#`. All other comments begin with `# `.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Arg;

use super::examples::example;
use super::known::{group, in_groups};
use crate::cli::args::InitArgs;
use crate::cli::config::Config;
use crate::cli::config::defaults::{Default, default_of};
use crate::cli::config::folder::may_set;
use crate::cli::config::layers::FILE_NAME;
use crate::cli::config::reader::Reader;
use crate::cli::config::world::World;
use crate::cli::exit::Exit;
use crate::cli::{say, shell};
use crate::report::text::{escape, wrap};

/// The greatest width of a comment in the file, in columns.
const COLUMNS: usize = 100;

/// The commented tables of profiles and providers at the end of the file.
const TABLES: &str = r#"
# Profiles: settings that --profile NAME adds. They override the keys above.

#[profile.night]
#max-time = "8h"

# Providers: other servers for --provider and --fallback. claude-batch providers lists those that need no table.

#[providers.local]
#kind = "messages"
#base-url = "http://127.0.0.1:8000"
#models = { claude-haiku-4-5 = "qwen3" }
"#;

/// Writes the configuration file and says what to do with it.
pub(super) fn init(args: &InitArgs, world: &World) -> Result<Exit> {
    if args.profile.as_deref().is_some_and(str::is_empty) {
        bail!("--profile: the profile needs a name");
    }
    let profile = args.profile.as_deref();
    if args.output.as_deref().is_some_and(|path| path.as_os_str() == "-") {
        say::out(text(profile, |_| true).trim_end())?;
        return Ok(Exit::Done);
    }
    let own = || Config::own_file(world).context("there is no configuration folder: set HOME, or name a file with -o");
    let path = args.output.clone().map_or_else(own, Ok)?;
    let is_of_folder = is_of_working_folder(&path, world);
    let text = if is_of_folder { text(profile, may_set) } else { text(profile, |_| true) };
    write(&world.resolve(&path), &text, profile).with_context(|| path.display().to_string())?;
    let shown = path.display().to_string();
    say::out(&format!("wrote {}", escape(&shown)))?;
    let folder = "This file contains only some settings: a claude-batch.toml in the working folder could come from \
         another person, so other settings in it are an error.";
    is_of_folder.then(|| say::out(folder)).transpose()?;
    let check = ["config".into(), "show".into(), "--set".into()];
    let config = [Path::new("--config").into(), shell::file(&path)];
    let is_read = is_of_folder || Config::own_file(world).as_ref() == Some(&path);
    let profile = profile.map(|name| ["--profile".into(), name.into()]);
    let args = check.into_iter().chain(config.into_iter().filter(|_| !is_read)).chain(profile.into_iter().flatten());
    say::out(&format!(
        "Remove the # in front of the keys that you want to set; then check them: {}",
        shell::ours(args)
    ))?;
    Ok(Exit::Done)
}

fn is_of_working_folder(path: &Path, world: &World) -> bool {
    let full = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    full(world.resolve(path)) == full(world.resolve(Path::new(FILE_NAME)))
}

/// Writes a new file that only its owner can read and write. If the file exists, leaves it unchanged and returns an
/// error.
fn write(path: &Path, text: &str, profile: Option<&str>) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).context("can't make its folder")?;
    }
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = match options.open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let profile = profile.map(|name| ["--profile".to_owned(), name.to_owned()]);
            let print = ["config", "init"].map(str::to_owned).into_iter().chain(profile.into_iter().flatten());
            let print = shell::ours(print.chain(["-o", "-"].map(str::to_owned)));
            bail!(
                "this file exists already, and it was not changed; edit it (to see all keys: {print}), or name another \
                 file with -o"
            )
        }
        other => other.context("can't make it")?,
    };
    file.write_all(text.as_bytes()).context("can't write it")
}

/// Returns the text of a configuration file with the settings whose names `is_wanted` accepts.
fn text(profile: Option<&str>, is_wanted: impl Fn(&str) -> bool) -> String {
    let mut text = match profile {
        None => "# claude-batch.toml: settings of claude-batch\n\
                 #\n\
                 # Each key has the name of a flag of claude-batch run. To set it, remove the # in front of it.\n\
                 # claude-batch config show shows all settings and where they come from.\n"
            .to_owned(),
        Some(name) => format!(
            "# A profile of claude-batch: settings that --profile {} adds.\n\
             # To set a key, remove the # in front of it.\n\n[profile.{}]\n",
            shell::quoted(name),
            key(name)
        ),
    };
    let reader = Reader::new();
    let mut heading = String::new();
    for flag in in_groups(&reader) {
        let name = flag.get_long().unwrap_or_default();
        if matches!(name, "config" | "profile") || !is_wanted(name) {
            continue;
        }
        if group(flag) != heading {
            heading = group(flag);
            text.push_str(&format!("\n# ---- {heading} ----\n"));
        }
        text.push('\n');
        wrap(&description(flag), COLUMNS - 2).iter().for_each(|line| text.push_str(&format!("# {line}\n")));
        text.push_str(&format!("#{name} = {}\n", value(flag)));
    }
    // A file in the working folder can't contain tables of providers.
    text.push_str(if profile.is_none() && is_wanted("provider") { TABLES } else { "" });
    text
}

/// Returns a name as a key of TOML, in quotes if TOML needs them.
fn key(name: &str) -> String {
    let is_bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    // A JSON string is also a valid TOML string, because the escapes in it have the same meaning in TOML.
    if is_bare { name.to_owned() } else { serde_json::Value::from(name).to_string() }
}

/// Returns the first paragraph of a flag's help, and the flag's values and default.
fn description(flag: &Arg) -> String {
    let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
    let mut text = help.lines().take_while(|line| !line.trim().is_empty()).collect::<Vec<_>>().join(" ");
    let values: Vec<String> = flag
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| value.get_name().to_owned())
        .collect();
    if !values.is_empty() && values != ["true", "false"] {
        text.push_str(&format!(" [values: {}]", values.join(", ")));
    }
    match default_of(flag) {
        Default::Value(value) if !text.contains("[default: ") => text.push_str(&format!(" [default: {value}]")),
        Default::Value(_) | Default::Words(_) | Default::Unset => {}
    }
    text
}

/// Returns the value that is written for a setting: its default, or else an example.
fn value(flag: &Arg) -> String {
    let name = flag.get_long().unwrap_or_default();
    let possible = || flag.get_possible_values().first().map(|value| value.get_name().to_owned());
    match (default_of(flag), example(name)) {
        (Default::Value(value), _) if is_plain(&value) => value,
        (Default::Value(value), _) => serde_json::Value::from(value).to_string(),
        (Default::Words(_) | Default::Unset, Some(example)) => example.to_owned(),
        (Default::Words(_) | Default::Unset, None) => {
            serde_json::Value::from(possible().unwrap_or_default()).to_string()
        }
    }
}

/// Returns whether a value is a number or a truth value, which TOML writes without quotes.
fn is_plain(value: &str) -> bool {
    matches!(value, "true" | "false") || value.parse::<u64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Settings;
    use crate::cli::config::layers::Layers;

    /// Removes the `#` before every setting in the text of a configuration file.
    fn uncommented(text: &str) -> String {
        let is_setting = |line: &str| line.starts_with('#') && !line.starts_with("# ") && line != "#";
        let lines = text.lines().map(|line| if is_setting(line) { &line[1..] } else { line });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Reads the text as a configuration file that the user named.
    fn read(text: &str, profile: Option<&str>) -> Layers {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let path = folder.path().join("c.toml");
        std::fs::write(&path, text).expect("the folder is there");
        let mut flags = Settings::default();
        flags.place.config = Some(path);
        flags.place.profile = profile.map(str::to_owned);
        Layers::read(flags, Settings::default(), &World::default()).expect("the file is good")
    }

    #[test]
    fn every_line_of_the_file_is_a_setting_when_its_mark_is_removed() {
        let names: Vec<String> = Reader::new()
            .flags()
            .filter_map(|flag| flag.get_long().map(str::to_owned))
            .filter(|name| !matches!(name.as_str(), "config" | "profile"))
            .collect();
        for profile in [None, Some("night"), Some("at night")] {
            let file = uncommented(&text(profile, |_| true));

            let read = read(&file, profile);

            let found: Vec<&str> = read.origins.entries.iter().map(|entry| entry.name.as_str()).collect();
            for name in &names {
                assert!(found.contains(&name.as_str()), "{name} {profile:?}");
            }
            assert_eq!(read.providers.len(), usize::from(profile.is_none()));
        }
    }

    #[test]
    fn the_file_as_it_is_written_sets_nothing() {
        let read = read(&text(None, |_| true), None);

        assert!(read.origins.entries.is_empty() && read.providers.is_empty() && read.warnings.is_empty());
    }

    #[test]
    fn a_setting_is_described_with_its_default() {
        let text = text(None, |_| true);

        for line in
            ["#tier = \"auto\"", "#max-retries = 8", "#strict = false", "#retry-for = \"30m\"", "# ---- Speed ----"]
        {
            assert!(text.lines().any(|own| own == line), "{line}");
        }
        assert!(text.lines().all(|line| line.len() <= 120), "a description is not wrapped");
    }

    #[test]
    fn a_file_for_the_working_folder_has_only_what_such_a_file_may_set() {
        let text = text(None, may_set);

        assert!(text.contains("#model = ") && text.contains("#max-cost = "));
        assert!(!text.contains("#base-url = ") && !text.contains("[providers."));
    }
}
