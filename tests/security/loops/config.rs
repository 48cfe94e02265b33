//! Tests configuration files that another user has possibly written: `claude-batch.toml` in the working folder, and the
//! file in the home folder.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use clap::{CommandFactory, Parser};
use claude_batch::cli::args::{Cli, Command, RunArgs};
use claude_batch::cli::config::world::World;
use claude_batch::cli::config::{Config, folder};
use claude_batch::domain::Money;

use super::super::hostile::{Hostile, Then, response};
use super::super::page::{Seen, Size};
use super::super::support::{Api, CANARY, Folder, Said};

/// The content of files that are secret or outside the folder. The program must not send or show this text.
const SECRET: &str = "OUTSIDE-4f1c9a77d2";
/// A text that the program is allowed to send.
const INSIDE: &str = "inside the folder";

/// Runs this loop. Returns the results as lines for `benches/SECURITY.md`.
pub fn page(size: Size) -> Vec<Seen> {
    vec![
        Seen::new(
            "each flag as a key in a configuration file of the working folder, with generated values",
            "each key takes effect as allowed, or is refused with its name, file and line",
            keys(size),
        ),
        Seen::new(
            "paths in a configuration file of the working folder",
            "a file inside the folder is used, all other files are refused; nothing from outside is sent or shown",
            [paths(size.pick(1_000, 20_000)), sent(size)].join("; "),
        ),
        Seen::new("caps in the user's settings and in the folder's file", "the lower cap always applies", caps()),
        Seen::new(
            "a configuration file that is a link to secrets in many syntaxes, a pipe, a device, a folder, or too large",
            "no hang, and nothing from the file is shown",
            [links(size.pick(500, 10_000)), odd_files()].join("; "),
        ),
        Seen::new("a `.env` file beside the configuration file", "not read", dotenv()),
        Seen::new(
            "the user's own file, when others can write to it",
            "no setting about the key is taken from the file",
            [open_files(), of_another_user()].join("; "),
        ),
    ]
}

/// A home folder, and a working folder. The folder above the working folder contains a secret.
struct Place {
    root: tempfile::TempDir,
    world: World,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        let mut world = World { working_folder: root.path().join("work"), ..World::default() };
        fs::create_dir_all(root.path().join("home/.config/claude-batch")).expect("a folder");
        fs::create_dir(&world.working_folder).expect("a folder");
        fs::write(root.path().join("secret.txt"), SECRET).expect("a file");
        for (name, folder) in [("HOME", "home"), ("APPDATA", "home/.config")] {
            world.variables.insert(name.into(), root.path().join(folder).into());
        }
        Self { root, world }
    }

    fn work(&self, name: &str) -> PathBuf {
        self.world.working_folder.join(name)
    }

    fn own_file(&self) -> PathBuf {
        self.root.path().join("home/.config/claude-batch/claude-batch.toml")
    }

    fn folder_file(&self, text: &str) {
        fs::write(self.work("claude-batch.toml"), text).expect("a file");
    }

    fn config(&self, args: &[&str]) -> Result<Config, String> {
        Config::of_run(&typed(args), &self.world).map_err(|error| format!("{error:#}"))
    }
}

fn typed(args: &[&str]) -> RunArgs {
    let args = ["claude-batch", "run", "a.jsonl"].iter().chain(args);
    match Cli::try_parse_from(args).expect("the arguments are well formed").command {
        Command::Run(run) => *run,
        _ => unreachable!("the subcommand is run"),
    }
}

/// Returns the text as a TOML string.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text is JSON")
}

/// Values of flags. Each value is valid for at least one flag.
const VALUES: [&str; 32] = [
    "true",
    "false",
    "0",
    "1",
    "3",
    "\"2\"",
    "2.5",
    "\"10s\"",
    "\"5%\"",
    "\"x\"",
    "\"\"",
    "\"a=1\"",
    "\"X-A: b\"",
    "\"csv\"",
    "\"json\"",
    "\"text != 1\"",
    "\"plain\"",
    "\"off\"",
    "\"always\"",
    "\"never\"",
    "\"2026-01-01\"",
    "\"https://evil.example.invalid\"",
    "\"out.jsonl\"",
    "\"@prompt.txt\"",
    "[\"a\", \"b\"]",
    "[\"id\", \"text\"]",
    "\"csv\"",
    "\"input\"",
    "{ temperature = 1 }",
    "{ X-A = \"b\" }",
    "1979-05-27",
    "\"mon-fri 9:00-18:00 headroom=50%\"",
];

fn keys(size: Size) -> String {
    let place = Place::new();
    fs::write(place.work("prompt.txt"), "{{prompt}}").expect("a file");
    let shown = |config: &Config| format!("{:?}", Config { notes: Vec::new(), ..config.clone() });
    let plain = shown(&place.config(&[]).expect("no file is there"));
    let mut rng = fastrand::Rng::new();
    let (mut tried, mut refused, mut free) = (0, 0, 0);
    let command = Cli::command();
    let run = command.find_subcommand("run").expect("there is a subcommand run");
    for flag in run.get_arguments().filter(|flag| flag.get_long().is_some_and(|name| name != "help")) {
        let name = flag.get_long().expect("the flag has a long name");
        let mut has_effect = false;
        for key in flag.get_all_aliases().unwrap_or_default().into_iter().chain([name]) {
            // Whether the program rejects a flag depends only on the name of the flag, so the short version tries only
            // a few values.
            let is_sampled = size == Size::Share && !folder::may_set(name);
            for value in VALUES.into_iter().filter(|_| !is_sampled || rng.u8(..8) == 0) {
                for (file, args, line) in [
                    (format!("{key} = {value}\n"), &[][..], 1),
                    (format!("# a\n\n[profile.p]\n# b\n{key} = {value}\n"), &["--profile", "p"], 5),
                    (format!("\n[profile.p]\n{key} = {value}\n"), &[], 3),
                ] {
                    place.folder_file(&file);
                    tried += 1;
                    match place.config(args) {
                        Ok(config) => {
                            assert!(folder::may_set(name), "{file} took effect");
                            has_effect |= shown(&config) != plain;
                            let is_told = config.notes.iter().any(|note| note.contains(key));
                            assert_eq!(is_told, line != 3, "{file}: {:?}", config.notes);
                        }
                        Err(message) => {
                            let place = format!("claude-batch.toml:{line}: ");
                            let is_named =
                                [key, name].iter().any(|name| message.starts_with(&format!("{place}{name}")));
                            assert!(is_named || name == "profile" && message.starts_with(&place), "{file}: {message}");
                            if !folder::may_set(name) && !flag.is_hide_set() && name != "config" && name != "profile" {
                                assert!(message.contains("by a file in the working folder"), "{file}: {message}");
                                assert!(message.contains("your own configuration folder"), "{file}: {message}");
                            }
                        }
                    }
                }
            }
        }
        assert_eq!(has_effect, folder::may_set(name), "{name}");
        *(if has_effect { &mut free } else { &mut refused }) += 1;
    }
    format!("{tried} files: {free} flags took effect, {refused} were refused each time")
}

/// Makes the files of a hostile folder. Returns the names that the test builds paths from.
fn furnish(place: &Place) -> Vec<String> {
    let (work, secret) = (&place.world.working_folder, place.root.path().join("secret.txt"));
    for folder in ["sub", "sub/deep", ".hidden", "ünï", "a b"] {
        fs::create_dir_all(work.join(folder)).expect("a folder");
        fs::write(work.join(folder).join("plain.txt"), INSIDE).expect("a file");
        fs::write(work.join(folder).join(".secret"), SECRET).expect("a file");
    }
    fs::write(work.join("plain.txt"), INSIDE).expect("a file");
    fs::write(work.join(".secret"), SECRET).expect("a file");
    fs::write(work.join("bytes"), [SECRET.as_bytes(), b"\xff"].concat()).expect("a file");
    let mut large = fs::File::create(work.join("large")).expect("a file");
    large.write_all(SECRET.as_bytes()).expect("the file can be written");
    large.set_len((16 << 20) + 1).expect("a file may have a hole");
    #[cfg(unix)]
    special(work, &secret);
    let names = [
        "plain.txt",
        "sub",
        "deep",
        ".hidden",
        "ünï",
        "a b",
        ".secret",
        "bytes",
        "large",
        "hard",
        "link",
        "up",
        "chain",
        "in",
        "fifo",
        "socket",
        "device",
        "null",
        "..",
        ".",
        "...",
        "",
        "secret.txt",
        "work",
        "none",
        "loop",
        "\u{202e}",
        "\0",
        "plain.txt\n",
        "proc",
        "sub/deep/plain.txt",
        "ünï/plain.txt",
        "./a b/./plain.txt",
        "sub//plain.txt",
    ];
    let absolute = [secret, work.join("plain.txt"), "/proc/self/environ".into(), "/dev/stdin".into()];
    names.iter().map(ToString::to_string).chain(absolute.map(|path| path.display().to_string())).collect()
}

#[cfg(unix)]
fn special(work: &Path, secret: &Path) {
    use std::os::unix::fs::symlink;
    fs::hard_link(secret, work.join("hard")).expect("a hard link");
    for (name, target) in [
        ("link", "../secret.txt"),
        ("up", ".."),
        ("chain", "sub/chain"),
        ("sub/chain", "../chain2"),
        ("chain2", "../secret.txt"),
        ("in", "plain.txt"),
        ("sub/in", "../sub"),
        ("sub/up", "../.."),
        ("device", "/dev/zero"),
        ("null", "/dev/null"),
        ("loop", "loop"),
        ("proc", "/proc/self"),
        ("sub/link", secret.to_str().expect("text")),
    ] {
        symlink(target, work.join(name)).expect("a link");
    }
    for fifo in ["fifo", "sub/fifo"] {
        let made = std::process::Command::new("mkfifo").arg(work.join(fifo)).status();
        assert!(made.is_ok_and(|status| status.success()), "a FIFO");
    }
    drop(std::os::unix::net::UnixListener::bind(work.join("socket")).expect("a socket"));
}

/// Returns whether a path leads to an ordinary text file inside the folder.
fn is_inside(work: &Path, path: &str) -> bool {
    let parts: Vec<_> = Path::new(path).components().collect();
    let plain = |part: &Component<'_>| match part {
        Component::Normal(name) => !name.to_string_lossy().starts_with('.'),
        part => *part == Component::CurDir,
    };
    let joined: PathBuf = parts.iter().filter(|part| **part != Component::CurDir).collect();
    let real = fs::canonicalize(work.join(&joined));
    let root = fs::canonicalize(work).expect("the file exists");
    parts.iter().all(plain)
        && real.is_ok_and(|real| {
            real == root.join(&joined) && real.is_file() && fs::read(real).is_ok_and(|text| text == INSIDE.as_bytes())
        })
}

fn paths(count: usize) -> String {
    let place = Place::new();
    let names = furnish(&place);
    let seed = fastrand::u64(..);
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut used, mut refused) = (0, 0);
    for _ in 0..count {
        let parts: Vec<_> = (0..rng.usize(1..5)).map(|_| rng.choice(&names).expect("some").as_str()).collect();
        let path =
            format!("{}{}", rng.choice(["", "", "", "./", "/", "//", "sub/", "up/"]).expect("some"), parts.join("/"));
        if path.starts_with('@') {
            continue;
        }
        let key = rng.choice(["system", "template"]).expect("some");
        let in_profile = rng.bool();
        place.folder_file(&format!(
            "{}{key} = {}\n",
            if in_profile { "[profile.p]\n" } else { "" },
            quoted(&format!("@{path}"))
        ));

        let found = place.config(if in_profile { &["--profile", "p"] } else { &[] });

        let expected = is_inside(&place.world.working_folder, &path);
        match found {
            Ok(config) => {
                let text = config.request.system.or(config.source.template_text);
                assert!(expected && text.as_deref() == Some(INSIDE), "seed {seed}, {path:?}: {text:?}");
                used += 1;
            }
            Err(message) => {
                assert!(!expected && !message.contains(SECRET), "seed {seed}, {path:?}: {message}");
                let line = if in_profile { 2 } else { 1 };
                assert!(message.starts_with(&format!("claude-batch.toml:{line}: {key}: ")), "{path:?}: {message}");
                refused += 1;
            }
        }
    }
    assert!(used > 0 && refused > used, "{used} {refused}");
    format!("{count} generated paths: {used} inside and used, {refused} refused")
}

/// Runs the real program against a server that keeps the body of every request.
fn sent(size: Size) -> String {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let kept = bodies.clone();
    let server = Hostile::new(move |asked, connection| {
        kept.lock().expect("no thread panicked with the lock").extend_from_slice(&asked.body);
        connection.write_all(&response(400, &[], b"{}")).map(|()| Then::Keep)
    });
    let place = Place::new();
    furnish(&place);
    fs::write(place.work("a.jsonl"), "{\"prompt\":\"hi\"}\n").expect("a file");
    let outer = Folder::new();
    let mut paths = vec![
        "plain.txt",
        "sub/deep/plain.txt",
        "../secret.txt",
        "link",
        "up/secret.txt",
        "chain",
        "fifo",
        "device",
        "hard",
        "socket",
    ];
    if size == Size::Full {
        paths.extend([
            "sub/up/secret.txt",
            "sub/link",
            "null",
            "loop",
            "large",
            "bytes",
            ".secret",
            ".hidden/plain.txt",
            "proc/environ",
        ]);
    }
    let mut used = 0;
    for (at, path) in paths.iter().enumerate() {
        place.folder_file(&format!("system = {}\n", quoted(&format!("@{path}"))));
        let results = format!("r{at}.jsonl");
        let args = ["run", "a.jsonl", "-o", &results, "--base-url", &server.url, "--max-retries", "0"];
        let mut command = outer.command(&args);
        let said = Said::of(
            command
                .current_dir(&place.world.working_folder)
                .env("ANTHROPIC_API_KEY", CANARY)
                .output()
                .expect("the program starts"),
        );

        let all = [said.out.as_bytes(), said.err.as_bytes(), &bodies.lock().expect("no thread panicked with the lock")]
            .concat();
        assert!(!String::from_utf8_lossy(&all).contains(SECRET), "{path}: {}", said.err);
        if is_inside(&place.world.working_folder, path) {
            said.ends_with(3).tells(&["claude-batch.toml in the working folder sets system"]);
            used += 1;
        } else {
            said.ends_with(2).tells(&["claude-batch.toml:1: system: can't read"]);
        }
    }
    let bodies = bodies.lock().expect("no thread panicked with the lock");
    assert_eq!(
        (server.requests(), bodies.windows(INSIDE.len()).filter(|part| *part == INSIDE.as_bytes()).count()),
        (used, used as usize)
    );
    format!(
        "{} runs of the program: {used} sent the text, {} exit 2 without a request",
        paths.len(),
        paths.len() as u64 - used
    )
}

fn caps() -> String {
    let mut place = Place::new();
    let own = place.own_file();
    let mut tried = 0;
    for (key, unit) in [("max-cost", ""), ("max-requests", ""), ("max-time", "s")] {
        let variable = format!("CLAUDE_BATCH_{}", key.replace('-', "_").to_uppercase());
        for (source, own_value) in [("none", 0)].into_iter().chain(
            ["flag", "variable", "file", "profile"]
                .into_iter()
                .flat_map(|source| [1, 2, 3].map(|value| (source, value))),
        ) {
            for plain in [None, Some(1), Some(2), Some(3)] {
                for profile in [None, Some(1), Some(2), Some(3)] {
                    let line = |value: Option<u64>| {
                        value.map(|value| format!("{key} = \"{value}{unit}\"\n")).unwrap_or_default()
                    };
                    let own_value = (source != "none").then_some(own_value);
                    let of = |wanted: &str| line(own_value.filter(|_| source == wanted));
                    fs::write(&own, format!("{}[profile.p]\n{}", of("file"), of("profile"))).expect("a file");
                    place.folder_file(&format!("{}[profile.p]\n{}", line(plain), line(profile)));
                    place.world.variables.remove(OsStr::new(&variable));
                    let text = format!("{}{unit}", own_value.unwrap_or_default());
                    let flag = format!("--{key}={text}");
                    let mut args = vec!["--profile", "p"];
                    match source {
                        "flag" => args.push(&flag),
                        "variable" => drop(place.world.variables.insert(variable.clone().into(), text.into())),
                        _ => {}
                    }

                    let config = place.config(&args).expect("the files are good");

                    let found = match key {
                        "max-cost" => config.max_cost.map(|cost| {
                            (1..4).find(|value| Money::from_dollars(*value as f64) == cost).expect("one of those")
                        }),
                        "max-requests" => config.max_requests,
                        _ => config.max_time.map(|time| time.as_secs()),
                    };
                    let expected = own_value.into_iter().chain(profile.or(plain)).min();
                    assert_eq!(found, expected, "{key}: {source} {own_value:?}, folder {plain:?}, profile {profile:?}");
                    assert_eq!(config.has_own_max_cost, key == "max-cost" && own_value.is_some(), "{source}");
                    tried += 1;
                }
            }
        }
    }
    format!(
        "{tried} combinations of a user's cap (none, flag, variable, file, profile) and a folder's cap (file, profile)"
    )
}

/// Contents of secret files, in the forms in which other programs write them. `S` is the secret. In the test, the
/// configuration file in the folder is a link to a secret file.
#[cfg(unix)]
const SYNTAXES: [&str; 24] = [
    "S",
    "root:S:0:0::/:/bin/sh\n",
    "key = S\n",
    "key = \"S\"\n",
    "S = 1\n",
    "\"S\" = 1\n",
    "tier = \"S\"\n",
    "rpm = \"S\"\n",
    "max-cost = \"S\"\n",
    "progress = ['S']\n",
    "header = 'X: S'\n",
    "token = \"S\"\n",
    "api-key = \"S\"\n",
    "[S]\nx = 1\n",
    "[[S]]\n",
    "[registry]\ntoken = \"S\"\n",
    "{\"password\": \"S\"}\n",
    "machine x login y password S\n",
    "PASSWORD='S'\n",
    "-----BEGIN PRIVATE KEY-----\nS\n-----END PRIVATE KEY-----\n",
    "a = 1\na = \"S\"\n",
    "x = \"S\n",
    "x = '''S\n",
    "tier = 2\nmodel.S = 3\n",
];

#[cfg(unix)]
fn links(count: usize) -> String {
    let place = Place::new();
    let secret = place.root.path().join("other.conf");
    std::os::unix::fs::symlink(&secret, place.work("claude-batch.toml")).expect("a link");
    let seed = fastrand::u64(..);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut refused = 0;
    for at in 0..count.max(SYNTAXES.len()) {
        // The first texts are the contents of `SYNTAXES`. Each later text joins one to three of these contents. Each
        // content is cut at a random position, and its two parts are swapped.
        let text = match SYNTAXES.get(at) {
            Some(text) => text.replace('S', SECRET),
            None => {
                let parts = (0..rng.usize(1..4)).map(|_| {
                    let part = rng.choice(SYNTAXES).expect("some");
                    let cut = rng.usize(..=part.len());
                    format!("{}{}", &part[cut..], &part[..cut])
                });
                parts.collect::<String>().replace('S', SECRET)
            }
        };
        fs::write(&secret, &text).expect("a file");

        match place.config(&[]) {
            Ok(config) => assert!(!config.notes.concat().contains(SECRET), "seed {seed}: {text}"),
            Err(message) => {
                assert!(!message.contains(SECRET), "seed {seed}, {text}: {message}");
                assert!(message.contains("claude-batch.toml"), "{text}: {message}");
                refused += 1;
            }
        }
    }
    format!("links to {} files with a secret: {refused} refused, shown in 0", count.max(SYNTAXES.len()))
}

#[cfg(not(unix))]
fn links(_count: usize) -> String {
    "links: not run: needs Unix".to_owned()
}

#[cfg(unix)]
fn odd_files() -> String {
    use std::os::unix::fs::symlink;
    let outer = Folder::new();
    type Make = fn(&Path);
    let cases: [(&str, Make); 9] = [
        ("it is not an ordinary file", |at| {
            assert!(std::process::Command::new("mkfifo").arg(at).status().is_ok_and(|status| status.success()));
        }),
        ("it is not an ordinary file", |at| symlink("/dev/zero", at).expect("a link")),
        ("it is not an ordinary file", |at| symlink("/dev/tty", at).expect("a link")),
        ("it is not an ordinary file", |at| {
            drop(std::os::unix::net::UnixListener::bind(at).expect("a socket"));
        }),
        ("it is a folder", |at| fs::create_dir(at).expect("a folder")),
        ("symbolic link", |at| symlink("claude-batch.toml", at).expect("a link")),
        ("larger than 1 MiB", |at| fs::write(at, "#".repeat((1 << 20) + 1)).expect("a file")),
        ("not UTF-8", |at| fs::write(at, b"model = '\xff'").expect("a file")),
        ("claude-batch.toml:1: ", |at| fs::write(at, format!("a = {}", "[".repeat(500_000))).expect("a file")),
    ];
    for (expected, make) in &cases {
        let place = Place::new();
        fs::write(place.work("a.jsonl"), "{\"prompt\":\"hi\"}\n").expect("a file");
        make(&place.work("claude-batch.toml"));

        let mut child = outer.command(&["run", "a.jsonl", "--dry-run"]);
        let mut child = child.current_dir(&place.world.working_folder).spawn().expect("the program starts");
        let begun = std::time::Instant::now();
        while child.try_wait().expect("the state of the process can be read").is_none() {
            assert!(begun.elapsed() < std::time::Duration::from_secs(60), "the program hangs: {expected}");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }

        Said::of(child.wait_with_output().expect("the program has ended"))
            .ends_with(2)
            .tells(&["claude-batch.toml", expected]);
    }
    format!("{} odd files refused without waiting", cases.len())
}

#[cfg(not(unix))]
fn odd_files() -> String {
    "odd files: not run: needs Unix".to_owned()
}

fn dotenv() -> String {
    let (folder, api, other) = (Folder::with_rows(1), Api::quick(), Hostile::always(response(400, &[], b"{}")));
    let evil = format!("base-url = \"{}\"\nyes = true\n", other.url);
    folder.write("evil.toml", &evil);
    let text = format!(
        "CLAUDE_BATCH_CONFIG=evil.toml\nCLAUDE_BATCH_BASE_URL={url}\nANTHROPIC_BASE_URL={url}\nHTTP_PROXY={url}\n\
         ANTHROPIC_API_KEY=x\nCLAUDE_BATCH_API_KEY_CMD=touch pwned\n",
        url = other.url
    );
    for name in [".env", ".env.local", ".envrc", ".claude-batch.toml", "claude-batch.local.toml"] {
        folder.write(name, &text);
    }

    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);

    assert_eq!((api.books().requests, other.requests(), folder.path("pwned").exists()), (1, 0, false));
    "5 files with 6 variables: 0 read".to_owned()
}

/// Tests the settings of a configuration file: settings about the key, and other settings. With `is_suspect`, the
/// program does not trust this file, because another user has possibly written it.
#[cfg(unix)]
fn judge(place: &Place, is_suspect: bool) -> u64 {
    let lines = [
        ("base-url", "'https://evil.example.invalid'"),
        ("header", "'X-A: b'"),
        ("api-key-file", "'k'"),
        ("api-key-cmd", "'printf x'"),
        ("allow-http", "true"),
        ("no-proxy", "true"),
        ("ca-file", "'/dev/null'"),
        ("provider", "'openrouter'"),
        ("fallback", "'openrouter'"),
    ];
    assert_eq!(lines.map(|(key, _)| key).len(), folder::ABOUT_THE_KEY.len());
    for (key, value) in lines {
        // The existing file is overwritten, so it keeps its owner and mode.
        fs::write(place.own_file(), format!("{key} = {value}\n")).expect("the file can be written");
        let found = place.config(&[]);
        let is_refused = found.as_ref().is_err_and(|message| {
            message.contains(&format!("claude-batch.toml:1: {key} is not taken from a file that may not be yours"))
        });
        assert_eq!(is_refused, is_suspect, "{key}: {:?}", found.err());
        let trusted = place.config(&["--trust-owner"]).err().unwrap_or_default();
        assert!(!trusted.contains("may not be yours"), "{key}: {trusted}");
    }
    fs::write(place.own_file(), "tier = 2\n").expect("the file can be written");
    let warnings = place.config(&[]).expect("anybody may set the tier").warnings;
    assert_eq!(warnings.iter().any(|text| text.contains("is read, but")), is_suspect, "{warnings:?}");
    lines.len() as u64 + 1
}

#[cfg(unix)]
fn open_files() -> String {
    use std::os::unix::fs::PermissionsExt;
    let mut tried = 0;
    for (file, folder, is_suspect) in [
        (0o600, 0o700, false),
        (0o644, 0o755, false),
        (0o664, 0o775, false),
        (0o666, 0o755, true),
        (0o602, 0o700, true),
        (0o600, 0o777, true),
        (0o600, 0o1777, true),
    ] {
        let place = Place::new();
        fs::write(place.own_file(), "").expect("a file");
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
        set(&place.own_file(), file);
        set(place.own_file().parent().expect("a folder"), folder);

        tried += judge(&place, is_suspect);
    }
    format!("7 pairs of modes, {tried} settings")
}

#[cfg(unix)]
fn of_another_user() -> String {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::process::CommandExt;
    const ANOTHER: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        return "another owner: not run: needs root".to_owned();
    }
    for is_file in [true, false] {
        let place = Place::new();
        fs::write(place.own_file(), "").expect("a file");
        let owned = if is_file { place.own_file() } else { place.own_file().parent().expect("a folder").to_owned() };
        chown(owned, Some(ANOTHER), None).expect("root may");

        judge(&place, true);
    }
    // The program runs as another user, who can't open the home folder.
    let place = Place::new();
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    fs::write(place.own_file(), "tier = 2\n").expect("a file");
    set(place.root.path(), 0o755);
    set(&place.root.path().join("home"), 0o700);
    chown(&place.world.working_folder, Some(ANOTHER), None).expect("root may");
    fs::write(place.work("a.jsonl"), "{\"prompt\":\"hi\"}\n").expect("a file");
    let outer = Folder::new();
    let run = || {
        let mut command = outer.command(&["run", "a.jsonl", "--dry-run"]);
        command.current_dir(&place.world.working_folder).env("XDG_CONFIG_HOME", place.root.path().join("home/.config"));
        command.uid(ANOTHER).output().map(Said::of)
    };
    let Ok(closed) = run() else {
        return "another owner of file or folder; as another user: not run: that user can't reach the program"
            .to_owned();
    };
    closed.ends_with(0).tells(&["is not read: this user may not open its folder"]);
    place.folder_file("tier = 2\n");
    set(&place.work("claude-batch.toml"), 0o600);
    run().expect("the program starts").ends_with(2).tells(&["can't read claude-batch.toml", "Permission denied"]);
    "another owner of file or folder; as another user: a home that can't be opened gives a warning, a file that \
     can't be read is refused"
        .to_owned()
}

#[cfg(not(unix))]
fn open_files() -> String {
    "modes: not run: needs Unix".to_owned()
}

#[cfg(not(unix))]
fn of_another_user() -> String {
    "another owner: not run: needs Unix".to_owned()
}
