//! Saves limits in a profile of the user's own configuration file.
//!
//! Only the three limits of the profile change. Everything else in the configuration file stays the same, byte for
//! byte, including its comments. The file is edited as text: existing values are replaced in place, and missing keys
//! are added below the heading of the profile. Before the new text is written, it is parsed. If anything other than the
//! limits would change, nothing is written. So the program rejects a file in an unusual form instead of damaging it.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::super::args::LimitsArgs;
use super::super::config::Config;
use super::super::config::opened;
use super::super::config::world::World;
use super::super::shell;
use crate::domain::RateLimits;
use crate::journal::{Owners, folder_of};
use crate::report::text::escape;

/// The variable that names another configuration file.
const CONFIG_VARIABLE: &str = "CLAUDE_BATCH_CONFIG";

/// A profile of the user's own configuration file.
#[derive(Debug)]
pub(super) struct Profile {
    name: String,
    /// The configuration file, which need not exist.
    file: PathBuf,
    /// Whether the program can change a file that other users may have written.
    owners: Owners,
}

/// The key and the value of a limit in the file.
type Limit = (&'static str, u32);

impl Profile {
    /// Returns the profile with this name in the user's own configuration file. The profile need not exist.
    ///
    /// # Errors
    /// Fails if the profile has no name, if another configuration file is chosen, or if the user has no configuration
    /// folder.
    pub(super) fn find(name: &str, args: &LimitsArgs, config: &Config, world: &World) -> Result<Self> {
        if name.is_empty() {
            bail!("--save: the profile needs a name");
        }
        if args.settings().place.config.is_some() || world.has(CONFIG_VARIABLE) {
            bail!("--save writes to your own configuration file; leave out --config ({CONFIG_VARIABLE})");
        }
        let file = Config::own_file(world).context("--save: there is no configuration folder; set HOME")?;
        Ok(Self { name: name.to_owned(), file, owners: config.owners })
    }

    /// Writes the limits to the profile, and returns a message that says what was written.
    ///
    /// # Errors
    /// Fails if the file can't be read, edited or replaced. The file then stays unchanged.
    pub(super) fn save(&self, limits: RateLimits) -> Result<String> {
        let RateLimits { rpm, itpm, otpm } = limits;
        let named = [("rpm", rpm), ("itpm", itpm), ("otpm", otpm)];
        let limits: Vec<Limit> = named.iter().filter_map(|(name, limit)| Some((*name, (*limit)?))).collect();
        let shown = self.file.display().to_string();
        let (path, text) = self.read().with_context(|| format!("can't read {shown}"))?;
        let edited = edited(&text, &self.name, &limits).with_context(|| format!("{shown} was not changed"))?;
        replace(&path, &edited).with_context(|| format!("can't replace {shown}"))?;
        let words: Vec<String> = limits.iter().map(|(name, limit)| format!("{name} = {limit}")).collect();
        let missing: Vec<&str> = named.iter().filter(|(_, limit)| limit.is_none()).map(|(name, _)| *name).collect();
        let missing = match missing.is_empty() {
            true => String::new(),
            false => format!("; {} was not reported and is not changed", missing.join(", ")),
        };
        Ok(format!(
            "saved {} in [{}] of {}{missing}. To use it: {} --profile {}",
            words.join(", "),
            escape(&heading(&self.name)),
            escape(&shown),
            shell::ours(["run", "INPUT"]),
            shell::quoted(&self.name)
        ))
    }

    /// Returns the path and the text of the file. If the path is a link, returns the path of the link's target. The
    /// target is then replaced, and the link stays.
    fn read(&self) -> Result<(PathBuf, String)> {
        let Some(found) = opened::configuration(&self.file)? else { return Ok((self.file.clone(), String::new())) };
        let path = if found.is_link { self.file.canonicalize()? } else { self.file.clone() };
        let found = if found.is_link { opened::configuration(&path)?.context("it is gone")? } else { found };
        match found.writers {
            Some(writers) if self.owners == Owners::Own => bail!("{writers} (--trust-owner writes to it anyway)"),
            Some(_) | None => Ok((path, found.text)),
        }
    }
}

/// Returns the heading of a profile in TOML, without its brackets.
fn heading(profile: &str) -> String {
    let is_bare = profile.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    // A JSON string is also a valid TOML string, because the escapes in it have the same meaning in TOML.
    if is_bare { format!("profile.{profile}") } else { format!("profile.{}", serde_json::Value::from(profile)) }
}

/// Writes new limits into a profile in the text of a configuration file, and returns the new text.
///
/// # Errors
/// Fails if the text is not TOML, or if the profile is written in a form that can't be edited.
fn edited(text: &str, profile: &str, limits: &[Limit]) -> Result<String> {
    let wanted = with_limits(parsed(text)?, profile, limits)?;
    let (changed, missing) = with_new_values(text, profile, limits)?;
    let candidates = match missing.is_empty() {
        true => vec![changed],
        false => with_new_keys(&changed, profile, &missing),
    };
    let is_right = |text: &String| parsed(text).is_ok_and(|found| found == wanted);
    candidates.into_iter().find(is_right).ok_or_else(|| {
        anyhow!(
            "its profile {profile:?} has a form that can't be edited; write the profile below a heading [{}]",
            heading(profile)
        )
    })
}

/// Parses the text of a configuration file.
fn parsed(text: &str) -> Result<Table> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        anyhow!("line {line}: {}", escape(error.message()))
    })
}

/// Returns the parsed content of a configuration file with the limits in the profile.
fn with_limits(mut table: Table, profile: &str, limits: &[Limit]) -> Result<Table> {
    let profiles = table.entry("profile").or_insert_with(|| Value::Table(Table::new()));
    let profiles = profiles.as_table_mut().context("profile is not a table, such as [profile.night]")?;
    let own = profiles.entry(profile).or_insert_with(|| Value::Table(Table::new()));
    let own = own.as_table_mut().with_context(|| format!("the profile {profile:?} is not a table"))?;
    own.extend(limits.iter().map(|(name, limit)| ((*name).to_owned(), Value::Integer((*limit).into()))));
    Ok(table)
}

/// If the profile already has the key of a limit, replaces the value of this key. Returns the new text, and the limits
/// whose keys are missing.
fn with_new_values(text: &str, profile: &str, limits: &[Limit]) -> Result<(String, Vec<Limit>)> {
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let table = DeTable::parse(&text[mark..]).map_err(|error| anyhow!("{}", escape(error.message())))?;
    let profiles = table.get_ref().get("profile").map(Spanned::get_ref).and_then(DeValue::as_table);
    let own = profiles.and_then(|profiles| profiles.get(profile)).map(Spanned::get_ref).and_then(DeValue::as_table);
    let Some(own) = own else { return Ok((text.to_owned(), limits.to_vec())) };
    let mut places = Vec::new();
    let mut missing = Vec::new();
    for (name, limit) in limits {
        match own.get(*name) {
            Some(value) => places.push((mark + value.span().start..mark + value.span().end, *limit)),
            None => missing.push((*name, *limit)),
        }
    }
    // The last value in the file is replaced first, so the positions of the earlier values stay valid.
    places.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
    let mut changed = text.to_owned();
    for (place, limit) in places {
        changed.replace_range(place, &limit.to_string());
    }
    Ok((changed, missing))
}

/// Returns several versions of the file's text, each with the missing keys at a different place. For each line that
/// looks like the heading of the profile, one version of the text has the keys below this line. In the last version,
/// the keys are in a new profile at the end of the file. Several places are tried, because a line that looks like the
/// heading may be inside a longer text.
fn with_new_keys(text: &str, profile: &str, missing: &[Limit]) -> Vec<String> {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let keys: String = missing.iter().map(|(name, limit)| format!("{name} = {limit}{end}")).collect();
    let mut texts = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        offset += line.len();
        if is_heading(line, profile) {
            let (before, after) = text.split_at(offset);
            let gap = if line.ends_with('\n') { "" } else { end };
            texts.push([before, gap, &keys, after].concat());
        }
    }
    let gap = match text {
        "" | "\u{feff}" => String::new(),
        text if text.ends_with('\n') => end.to_owned(),
        _ => end.repeat(2),
    };
    texts.push(format!("{text}{gap}[{}]{end}{keys}", heading(profile)));
    texts
}

/// Returns whether a line is the heading of the profile. TOML allows several spellings of a heading.
fn is_heading(line: &str, profile: &str) -> bool {
    let line = line.trim_start_matches('\u{feff}').trim();
    let is_single = line.starts_with('[') && !line.starts_with("[[");
    let Some(table) = is_single.then(|| toml::from_str::<Table>(line).ok()).flatten() else { return false };
    let own = table.get("profile").and_then(Value::as_table).and_then(|profiles| profiles.get(profile));
    own.and_then(Value::as_table).is_some_and(Table::is_empty)
}

/// Replaces a file as a whole. A new file can be read and written only by its owner; an existing file keeps its
/// permissions.
fn replace(path: &Path, text: &str) -> Result<()> {
    let folder = folder_of(path);
    create_folder(folder)?;
    let mut file = tempfile::Builder::new().prefix(".claude-batch.").suffix(".tmp").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    if let Ok(metadata) = std::fs::metadata(path) {
        file.as_file().set_permissions(metadata.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(path)?;
    // An error is ignored, because some systems can't sync folders. With or without the sync, either the old file or
    // the new file exists.
    let _ = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

#[cfg(unix)]
fn create_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn create_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: [Limit; 3] = [("rpm", 1_000), ("itpm", 450_000), ("otpm", 90_000)];
    const KEYS: &str = "rpm = 1000\nitpm = 450000\notpm = 90000\n";

    fn saved(text: &str) -> String {
        edited(text, "night", &LIMITS).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_new_profile_is_added_at_the_end() {
        assert_eq!(saved(""), format!("[profile.night]\n{KEYS}"));
        assert_eq!(saved("tier = \"2\" # mine"), format!("tier = \"2\" # mine\n\n[profile.night]\n{KEYS}"));
        assert_eq!(saved("[profile.day]\nrpm = 5\n"), format!("[profile.day]\nrpm = 5\n\n[profile.night]\n{KEYS}"));
        assert_eq!(saved("[profile]\n"), format!("[profile]\n\n[profile.night]\n{KEYS}"));
        assert_eq!(saved("\u{feff}"), format!("\u{feff}[profile.night]\n{KEYS}"));
    }

    #[test]
    fn keys_of_an_existing_profile_are_replaced_and_everything_else_stays() {
        let text = "# my settings\r\ntier='2'\r\n\r\n  [ profile . \"night\" ]  # when others sleep\r\nheadroom = 0\r\n\
                    itpm   =   1_000 # was less\r\nmodel = \"\"\"\r\n[profile.night]\r\n\"\"\"\r\n[profile.day]\r\nitpm = 7\r\n";

        let found = saved(text);

        let expected = text
            .replace("itpm   =   1_000", "itpm   =   450000")
            .replace("# when others sleep\r\n", "# when others sleep\r\nrpm = 1000\r\notpm = 90000\r\n");
        assert_eq!(found, expected);
        assert_eq!(saved(&found), found, "a second time changes nothing");
    }

    #[test]
    fn a_line_in_a_longer_text_is_not_taken_for_the_heading() {
        let text = "system = '''\n[profile.night]\n'''\n";

        assert_eq!(saved(text), format!("{text}\n[profile.night]\n{KEYS}"));
    }

    #[test]
    fn values_are_replaced_in_any_form_of_a_profile() {
        for (form, new) in [
            (
                "profile.night.rpm = 1\nprofile.night.itpm = 2\nprofile.night.otpm = 3\n",
                "profile.night.rpm = 1000\nprofile.night.itpm = 450000\nprofile.night.otpm = 90000\n",
            ),
            (
                "[profile]\nnight = { rpm = 1, otpm = 0x1, itpm = 2 }\n",
                "[profile]\nnight = { rpm = 1000, otpm = 90000, itpm = 450000 }\n",
            ),
            (
                "[profile.night]\notpm = 3\nrpm = 1\nitpm = 2",
                "[profile.night]\notpm = 90000\nrpm = 1000\nitpm = 450000",
            ),
        ] {
            assert_eq!(saved(form), new);
        }
    }

    #[test]
    fn what_can_not_be_edited_is_refused() {
        for text in [
            "[profile\n",
            "profile = 1\n",
            "[profile]\nnight = 5\n",
            "[profile]\nnight = { rpm = 1 }\n",
            "profile = { day = {} }\n",
            "profile.night.rpm = 1\n",
            "[[profile]]\n",
        ] {
            let error = edited(text, "night", &LIMITS).expect_err(text);

            assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn any_name_of_a_profile_can_be_saved() {
        for name in ["a b", "a.b", "\"", "]", "ä", "a\nb", "-"] {
            let text = edited("", name, &LIMITS).unwrap_or_else(|error| panic!("{name:?}: {error}"));

            let table = parsed(&text).expect("it is TOML");
            assert_eq!(table["profile"][name]["rpm"].as_integer(), Some(1_000), "{text}");
            assert_eq!(edited(&text, name, &LIMITS).expect("it is saved"), text);
        }
    }
}
