//! Checks where the crates of the program come from, and which crates run code during the build. The tests also check
//! the contents of the package.
//!
//! `.ci/supply` checks more, with additional tools. The checks here need only cargo and no network.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::super::page::{Seen, Size};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The largest number of lines that `cargo tree` is allowed to print. One line is the program itself.
const MOST_CRATES: usize = 225;

pub fn page(_: Size) -> Vec<Seen> {
    let mut seen = vec![inclusions()];
    // Some machines on which the tests run have no cargo, because the tests were built on another machine.
    if !matches!(cargo(&["--version"]), Ok(output) if output.status.success()) {
        seen.push(Seen::new("crates and package", "as listed", "not run: there is no cargo".to_owned()));
        return seen;
    }
    seen.extend([crates(), sources(), package()]);
    seen
}

fn cargo(args: &[&str]) -> std::io::Result<Output> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Command::new(cargo).args(args).current_dir(ROOT).output()
}

#[track_caller]
fn told(args: &[&str]) -> String {
    let output = cargo(args).expect("cargo starts");
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

fn crates() -> Seen {
    let told = told(&["tree", "--offline", "--locked", "-e", "normal", "--prefix", "none"]);
    // If a crate was already listed, its line ends with a star.
    let lines: BTreeSet<&str> = told.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    assert!(lines.len() > 1 && lines.len() <= MOST_CRATES, "{} crates by default, at most {MOST_CRATES}", lines.len());
    assert!(read("Cargo.toml").contains("\nunsafe_code = \"forbid\"\n"), "Cargo.toml forbids unsafe code");
    Seen::new(
        "crates listed by `cargo tree`",
        "at most 225; unsafe code is forbidden",
        format!("{} crates", lines.len()),
    )
}

/// Checks where crates come from, and which crates have a build script. `.deny.toml` lists the crates that are allowed
/// to have a build script.
fn sources() -> Seen {
    let host = told(&["-vV"]);
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo tells its host");
    let told = told(&["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", host]);
    let metadata: Value = serde_json::from_str(&told).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    let ours = |package: &&Value| package["name"] == "claude-batch";
    let others: Vec<&Value> = packages.iter().filter(|package| !ours(package)).collect();
    for package in &others {
        let source = package["source"].as_str().unwrap_or("a folder");
        assert!(
            source.starts_with("registry+") && source.ends_with("/crates.io-index"),
            "{}: {source}",
            package["name"]
        );
    }
    let has_script = |package: &&&Value| {
        let targets = package["targets"].as_array().into_iter().flatten();
        let mut kinds = targets.flat_map(|target| target["kind"].as_array().into_iter().flatten());
        kinds.any(|kind| kind == "custom-build")
    };
    let scripts: Vec<&str> = others.iter().filter(has_script).filter_map(|package| package["name"].as_str()).collect();
    let rules: toml::Table = toml::from_str(&read(".deny.toml")).expect("TOML");
    let allowed = rules["bans"]["build"]["allow-build-scripts"].as_array().expect("a list");
    for script in &scripts {
        let is_allowed = allowed.iter().any(|name| name.as_str() == Some(script));
        assert!(is_allowed, "{script} has a build script that .deny.toml does not list");
    }
    Seen::new(
        "all crates for this system, including those for tests and builds",
        "all are from crates.io; only crates listed in .deny.toml have a build script",
        format!("{} crates, {} with a build script", others.len(), scripts.len()),
    )
}

fn package() -> Seen {
    let told = told(&["package", "--offline", "--locked", "--allow-dirty", "--list"]);
    let files: Vec<String> = told.lines().map(|line| line.replace('\\', "/")).collect();
    let beside = [".cargo_vcs_info.json", "Cargo.lock", "Cargo.toml", "Cargo.toml.orig", "CHANGELOG.md", "README.md"];
    let is_expected =
        |file: &&String| beside.contains(&file.as_str()) || file.starts_with("src/") || file.starts_with("LICENSE-");
    let strangers: Vec<&String> = files.iter().filter(|file| !is_expected(file)).collect();
    assert!(strangers.is_empty(), "the package contains {strangers:?}, which do not belong there");
    for needed in ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "CHANGELOG.md", "Cargo.lock", "src/main.rs"] {
        assert!(files.iter().any(|file| file == needed), "the package lacks {needed}");
    }
    let what = "files of the package";
    Seen::new(what, "only src/, Cargo's own files, licences, README and CHANGELOG", format!("{} files", files.len()))
}

/// Checks the files that sources include. All included files must be below `src/`.
fn inclusions() -> Seen {
    let mut found = 0;
    for file in files_below(&Path::new(ROOT).join("src")).iter().filter(|file| file.extension() == Some("rs".as_ref()))
    {
        let text = fs::read_to_string(file).expect("a source can be read");
        for name in included(&text) {
            let target = file.parent().expect("the file is in a folder").join(name);
            let target = target.canonicalize().unwrap_or_else(|error| panic!("{}: {name}: {error}", file.display()));
            let src = Path::new(ROOT).join("src").canonicalize().expect("the sources are there");
            assert!(target.starts_with(src), "{} includes {name}, which the package lacks", file.display());
            found += 1;
        }
    }
    Seen::new("files that sources include", "all are in src/", format!("{found} files"))
}

/// Returns the names in `include…!("…")` and `#[path = "…"]`.
fn included(text: &str) -> Vec<&str> {
    let starts = ["include_str!(", "include_bytes!(", "include!(", "path = "];
    let rests = starts.iter().flat_map(|start| text.split(start).skip(1));
    rests
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
        .filter(|name| name.contains('.'))
        .collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder can be read").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
