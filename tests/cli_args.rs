//! Tests the command line: parsing, the order in which settings override each other, inputs, and keys.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{CommandFactory, Parser};
use claude_batch::answer::{OnInvalid, OnRefusal, OnTruncate};
use claude_batch::cli::args::values::{
    Concurrency, Fsync, HaltRule, Headroom, InputFormat, NoticeForm, NoticeRule, Order, OutputFormat, StreamMode,
};
use claude_batch::cli::args::{Cli, Command, Settings};
use claude_batch::cli::config::address::BaseUrlSource;
use claude_batch::cli::config::credential::{Credential, KeySource, credential};
use claude_batch::cli::config::world::World;
use claude_batch::cli::config::{Config, InputArg, OutputArg, folder, inputs};
use claude_batch::domain::{ErrorClass, LaneChoice, Money, PromptCache, RateLimits, Tier};
use claude_batch::journal::Owners;
use claude_batch::report::{ProgressKind, SummaryKind, Verbosity};
use secrecy::ExposeSecret;
use tempfile::TempDir;

#[test]
fn without_flags_the_defaults_apply() {
    let config = Place::new().run(&["prompts.jsonl"]).expect("an input is all it needs");

    assert_eq!(config.inputs, [InputArg::Path("prompts.jsonl".into())]);
    assert_eq!((config.tier, config.limits), (Tier::Auto, RateLimits::NONE));
    assert_eq!((config.max_retries, config.retry_for), (8, Duration::from_secs(1_800)));
    assert_eq!((config.timeout, config.idle_timeout), (Duration::from_secs(600), Duration::from_secs(60)));
    assert_eq!((config.halt, config.grace, config.retry_ambiguous), (HaltRule::FirstTen, None, true));
    assert_eq!((config.headroom, config.concurrency), (Headroom::Auto, Concurrency::Auto));
    assert_eq!(
        (config.dialect.api_version.as_str(), config.output, config.provider.key),
        ("2023-06-01", None, KeySource::Missing)
    );
    assert_eq!((config.verbosity, config.progress), (Verbosity::Normal, ProgressKind::Auto));
    assert_eq!(config.summary, SummaryKind::Text);
}

#[test]
fn a_stream_of_json_ends_with_json_unless_something_else_is_wanted() {
    let kind = |flags: &[&str]| Place::new().run(&[&["prompts.jsonl"], flags].concat()).expect("good flags").summary;

    assert_eq!(kind(&["--progress", "json"]), SummaryKind::Json);
    assert_eq!(kind(&["--progress", "json", "--summary", "text"]), SummaryKind::Text);
    assert_eq!(kind(&["--progress", "plain"]), SummaryKind::Text);
    assert_eq!(kind(&["--summary", "none"]), SummaryKind::None);
}

#[test]
fn a_small_chart_needs_a_terminal_that_shows_its_characters() {
    let has_blocks = |variables: &[(&str, &str)]| {
        let mut place = Place::new();
        for (name, value) in variables {
            place.world.variables.insert(name.into(), value.into());
        }
        place.run(&["prompts.jsonl"]).expect("good flags").has_blocks
    };

    assert!(has_blocks(&[]) && has_blocks(&[("LANG", "de_DE.UTF-8"), ("TERM", "xterm")]));
    assert!(!has_blocks(&[("TERM", "dumb")]) && !has_blocks(&[("LANG", "C")]));
    assert!(!has_blocks(&[("LC_ALL", "POSIX"), ("LANG", "de_DE.UTF-8")]));
    assert!(has_blocks(&[("LC_ALL", ""), ("LC_CTYPE", "C.UTF-8"), ("LANG", "C")]));
}

#[test]
fn every_key_of_the_file_is_a_flag_and_every_flag_is_a_key() {
    let text = fixture("every-key.toml");
    let keys = text.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key).collect::<Vec<_>>();
    let command = Cli::command();
    let run = command.find_subcommand("run").expect("there is run");
    let flags = run.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| arg.get_long());

    for flag in flags.filter(|flag| !matches!(*flag, "config" | "profile" | "help")) {
        assert!(keys.contains(&flag), "{flag}");
    }
}

#[test]
fn a_file_sets_everything_it_names() {
    let mut place = Place::new();
    place.user_file(&fixture("every-key.toml"));
    place.world.variables.insert("SLACK_URL".into(), "https://chat.example.invalid/T1/B1".into());
    let files = [
        ("system.txt", "Be brief."),
        ("prices.toml", "p"),
        ("faults.json", "{}"),
        ("ca.pem", "PEM"),
        ("schema.json", r#"{"required":["a"]}"#),
    ];
    for (name, text) in files {
        fs::write(place.user_folder().join(name), text).expect("the folder is there");
    }

    let config = place.run(&["tickets.csv"]).expect("the file is good");

    assert_eq!((config.source.format, config.source.id_column.as_deref()), (InputFormat::Csv, Some("ticket")));
    assert_eq!((config.source.limit, config.source.skip, config.source.strict), (Some(100), 5, true));
    assert_eq!(config.request.system.as_deref(), Some("Be brief."));
    assert_eq!((config.request.max_tokens, config.stream), (Some(2_048), StreamMode::Off));
    assert_eq!(config.request.params.get("temperature"), Some("0.5"));
    assert_eq!(config.request.params.get("stop_sequences"), Some(r#"["END"]"#));
    assert_eq!(config.dialect.betas, ["a-2026-01-01", "b-2026-01-01"]);
    assert_eq!(config.provider.headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["x-team"]);
    assert_eq!(config.output, Some(OutputArg::Path("out.jsonl".into())));
    assert_eq!((config.form.format, config.form.order), (Some(OutputFormat::Tsv), Some(Order::Done)));
    assert!(config.form.fields.len() == 2 && config.form.raw_cells && config.form.null);
    assert_eq!((config.tier, config.limits), (Tier::Two, RateLimits::new(900, 400_000, 80_000)));
    assert_eq!(config.headroom, Headroom::Percent(5.0));
    assert_eq!((config.max_retries, config.retry_ambiguous, config.halt), (3, false, HaltRule::Share(0.05)));
    assert_eq!((config.grace, config.max_cost), (Some(Duration::from_secs(10)), Some(Money::from_dollars(40.0))));
    assert_eq!((config.max_requests, config.max_time), (Some(10_000), Some(Duration::from_secs(28_800))));
    assert_eq!(config.prompt_cache, PromptCache::Hour);
    assert_eq!((config.lane, config.batch_rows.get(), config.detach), (LaneChoice::Batch, 5_000, true));
    assert_eq!(config.deadline.map(|at| at.as_second()), Some(6 * 3_600), "the world of this test begins in 1970");
    assert_eq!(config.prices.map(|file| file.text).as_deref(), Some("p"));
    assert_eq!((config.simulate, config.simulate_faults, config.ca_pem), (false, None, Some(b"PEM".to_vec())));
    assert_eq!((config.no_proxy, config.ca_file), (true, Some(place.user_folder().join("ca.pem"))));
    let base_url = config.provider.base_url.expect("the user's file may set it");
    assert_eq!(
        (base_url.url.join("").as_str(), base_url.source),
        ("https://gateway.example/claude", BaseUrlSource::File)
    );
    assert_eq!(
        (config.fsync, config.progress, config.summary, config.verbosity),
        (Fsync::Always, ProgressKind::Plain, SummaryKind::Json, Verbosity::Verbose)
    );
    assert_eq!(config.provider.key, KeySource::File(place.user_folder().join("key.txt")));
    assert_eq!((&*config.provider.name, config.provider.key_ttl), ("anthropic", Some(Duration::from_secs(600))));
    let chain: Vec<_> = config.fallback.chain.iter().map(|one| (&*one.name, one.model.as_deref())).collect();
    assert_eq!(chain, [("openrouter", None), ("gateway", Some("claude-haiku-4-5"))]);
    let gateway = &config.fallback.chain[1];
    assert_eq!((gateway.limits, gateway.price_factor), (RateLimits::new(100, 50_000, 10_000), 1.1));
    assert_eq!((config.fallback.on.limit, config.fallback.on.endpoint), (Some(Duration::from_secs(120)), false));
    assert_eq!(config.owners, Owners::Any);
    assert_eq!(config.reuse, ["old.jsonl", "earlier"].map(|name| place.user_folder().join(name)));
    assert!(config.dedupe && config.reuse_any_origin);
    assert_eq!(
        format!("{:?}", config.watch.notify),
        "[Url(NoticeUrl(https://hooks.example.invalid/…)), Url(NoticeUrl(https://chat.example.invalid/…))]"
    );
    assert_eq!(config.watch.notify_on, [NoticeRule::Finish, NoticeRule::Limit(80)]);
    assert_eq!((config.watch.notify_format, config.watch.log), (NoticeForm::Json, Some("events.jsonl".into())));
    let answers = &config.answers;
    assert!(
        answers.schema.as_ref().is_some_and(|schema| schema.check("{}").is_err() && schema.check(r#"{"a":1}"#).is_ok())
    );
    assert_eq!((answers.require.len(), answers.on_invalid, answers.max_follow_ups), (1, OnInvalid::Retry, 3));
    assert_eq!(answers.on_truncate, OnTruncate::Grow { max_tokens: Some(8_192) });
    assert_eq!(answers.on_refusal, OnRefusal::Model("claude-opus-5".to_owned()));
    assert!(config.fresh && !config.retry_failed && config.dry_run && config.yes && config.http2);
}

#[test]
fn each_layer_of_settings_overrides_the_layer_below() {
    let mut place = Place::new();
    place.user_file("tier = 1\n[profile.night]\ntier = 4\n");
    let tier = |place: &Place, args: &[&str]| place.run(args).map(|config| config.tier).expect("the layers are good");

    assert_eq!(tier(&place, &["a.jsonl"]), Tier::One);
    place.folder_file("tier = 2\n");
    assert_eq!(tier(&place, &["a.jsonl"]), Tier::Two);
    place.set("CLAUDE_BATCH_PROFILE", "night");
    assert_eq!(tier(&place, &["a.jsonl"]), Tier::Four);
    place.set("CLAUDE_BATCH_TIER", "build");
    assert_eq!(tier(&place, &["a.jsonl"]), Tier::Build);
    assert_eq!(tier(&place, &["a.jsonl", "--tier", "scale"]), Tier::Scale);
}

#[test]
fn the_older_name_of_a_sync_policy_still_works() {
    let place = Place::new();
    place.user_file("fsync = \"batch\"\n");

    for args in [&["a.jsonl"][..], &["a.jsonl", "--fsync", "batch"], &["a.jsonl", "--fsync", "group"]] {
        assert_eq!(place.run(args).expect("all are taken").fsync, Fsync::Group, "{args:?}");
    }
    assert_eq!(place.run(&["a.jsonl", "--fsync", "always"]).expect("it is taken").fsync, Fsync::Always);
}

#[test]
fn a_flag_can_turn_off_what_a_file_turned_on() {
    let place = Place::new();
    place.user_file("strict = true\nverbose = true\n");

    let config = place.run(&["a.jsonl", "--strict=false"]).expect("the layers are good");

    assert_eq!((config.source.strict, config.verbosity), (false, Verbosity::Verbose));
}

#[test]
fn mistakes_in_a_file_name_file_line_and_remedy() {
    for (text, expected) in [
        ("# x\n\ntier = \"9\"\n", ["claude-batch.toml:3: tier: \"9\" is not valid; give auto", "scale"]),
        ("teir = 2\n", ["claude-batch.toml:1: unknown key \"teir\"", "did you mean \"tier\"?"]),
        ("max_cost = 2\n", ["claude-batch.toml:1: unknown key \"max_cost\"", "did you mean \"max-cost\"?"]),
        ("timeout = 90\n", ["claude-batch.toml:1: timeout: \"90\"", "give the number with a unit, such as 90s"]),
        ("rpm = 0\n", ["claude-batch.toml:1: rpm: \"0\"", "from 1"]),
        ("rpm = -5\n", ["claude-batch.toml:1: rpm: \"-5\"", "from 1"]),
        ("rpm = 1e309\n", ["claude-batch.toml:1: rpm: ", "from 1"]),
        ("tier = [1, 2]\n", ["claude-batch.toml:1: tier: ", "is not allowed here"]),
        ("model = \"a\"\ntier = \n", ["claude-batch.toml:2: ", ""]),
        ("profile = \"night\"\n", ["claude-batch.toml:1: a profile must be a table", "[profile.night]"]),
        ("config = \"x\"\n", ["claude-batch.toml:1: config can't be set in a file", "--config"]),
        ("[profile.night]\nteir = 2\n", ["claude-batch.toml:2: unknown key", "tier"]),
        ("param = { messages = [] }\n", ["claude-batch.toml:1: param: ", "from the rows"]),
    ] {
        let place = Place::new();
        place.user_file(text);

        let message = place.error(&["a.jsonl"]);

        assert!(expected.iter().all(|part| message.contains(part)), "{text:?}: {message}");
    }
}

#[test]
fn a_file_in_the_working_folder_can_not_say_where_the_key_goes_or_comes_from() {
    for line in [
        "base-url = 'https://evil.example'",
        "header = { X-A = 'b' }",
        "api-key-file = 'k'",
        "api-key-cmd = 'curl evil.example'",
        "allow-http = true",
        "ca-file = 'ca.pem'",
        "[profile.x]\nbase-url = 'https://evil.example'",
    ] {
        let place = Place::new();
        place.folder_file(line);

        let message = place.error(&["a.jsonl"]);

        assert!(message.contains("claude-batch.toml:") && message.contains("in the working folder"), "{message}");
    }
}

#[test]
fn a_file_in_the_working_folder_can_not_name_files_outside_it() {
    for line in ["system = '@/etc/hostname'", "template = '@../secret'"] {
        let place = Place::new();
        place.folder_file(line);

        assert!(place.error(&["a.jsonl"]).contains("only to files inside that folder"), "{line}");
    }
}

#[test]
fn a_json_file_with_a_list_of_blocks_is_the_system_prompt_as_blocks() {
    let place = Place::new();
    let blocks = r#"[{"type":"text", "text":"Be brief."},
        {"type":"text","text":"{x","cache_control":{"type":"ephemeral"}}]"#;
    for (name, text) in [
        ("blocks.json", &*format!("\u{feff}{blocks}\n")),
        ("list.txt", blocks),
        ("text.json", "Be brief: []"),
        ("object.json", "{\"type\":\"text\"}"),
        ("bad.json", "[{\"type\":\"text\",\"text\":\"a\"},\n  {\"text\":\"b\"}]"),
        ("broken.json", "[be brief]"),
    ] {
        fs::write(place.path(name), text).expect("the folder is there");
    }
    let system = |name: &str| {
        let request = place.run(&["a.csv", "-s", &format!("@{name}")]).expect("it is good").request;
        (request.system, request.params.get("system").map(str::to_owned))
    };
    let given = format!("system={blocks}");

    assert_eq!(system("blocks.json"), (None, Some(blocks.to_owned())));
    assert_eq!(system("list.txt"), (Some(blocks.to_owned()), None));
    assert_eq!(system("text.json"), (Some("Be brief: []".to_owned()), None));
    assert_eq!(system("object.json"), (Some("{\"type\":\"text\"}".to_owned()), None));
    let by_param = place.run(&["a.csv", "--param", &given]).expect("it is good");
    assert_eq!(by_param.request.params.get("system"), Some(blocks));
    let error = place.error(&["a.csv", "-s", "@bad.json"]);
    assert!(error.starts_with("--system: bad.json:2:3: block 2 has no type; write a block such as"), "{error}");
    assert!(place.error(&["a.csv", "-s", "@broken.json"]).contains("broken.json:1:2: this is not JSON"));
    let twice = place.error(&["a.csv", "-s", "Be brief.", "--param", &given]);
    assert!(twice.contains("with --system and with --param system; keep one"), "{twice}");
    place.folder_file("system = '@blocks.json'\n");
    assert_eq!(place.run(&["a.csv"]).expect("it is good").request.params.get("system"), Some(blocks));
}

#[test]
fn a_byte_order_mark_in_a_file_is_no_part_of_its_text() {
    let place = Place::new();
    let utf16: Vec<u8> = "\u{feff}Hi {{name}}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(place.path("marked.txt"), "\u{feff}[Hi] {{name}}\n").expect("the folder is there");
    fs::write(place.path("wide.txt"), utf16).expect("the folder is there");
    let texts = |place: &Place, args: &[&str]| {
        let config = place.run(args).expect("it is good");
        (config.source.template_text, config.request.system)
    };
    let expected = Some("[Hi] {{name}}\n".to_owned());

    let typed = texts(&place, &["a.csv", "-t", "@marked.txt", "-s", "@marked.txt"]);
    let error = place.error(&["a.csv", "-t", "@wide.txt"]);
    place.folder_file("template = '@marked.txt'\nsystem = '@marked.txt'\n");

    assert_eq!(typed, (expected.clone(), expected.clone()));
    assert_eq!(texts(&place, &["a.csv"]), (expected.clone(), expected));
    for part in ["--template: can't read wide.txt", "looks like UTF-16 text", "iconv -f UTF-16 -t UTF-8"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn every_flag_is_either_allowed_or_refused_in_a_file_in_the_working_folder() {
    let command = Cli::command();
    let run = command.find_subcommand("run").expect("there is run");
    let flags = run.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| arg.get_long());
    let flags: Vec<_> = flags.filter(|flag| *flag != "help").collect();
    let lists = [&folder::FREE[..], &folder::CAPS, &folder::REFUSED];

    for flag in &flags {
        let found = lists.iter().filter(|list| list.contains(flag)).count();

        assert_eq!(found, 1, "{flag}: put it in one of the lists of src/cli/config/folder.rs");
    }
    let unknown: Vec<_> = lists.concat().into_iter().filter(|name| !flags.contains(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?} are not flags");
}

#[test]
fn a_file_in_the_working_folder_sets_allowed_settings_and_the_run_says_so() {
    let place = Place::new();
    fs::write(place.path("prompt.txt"), "Translate: {{text}}").expect("the folder is there");
    place.folder_file("model = 'm'\ntier = 2\ntemplate = '@./prompt.txt'\nsystem = '@@handle'\n[profile.x]\nrpm = 5\n");

    let config = place.run(&["a.csv"]).expect("the file is good");

    assert_eq!((config.request.model.as_deref(), config.tier), (Some("m"), Tier::Two));
    assert_eq!(config.source.template_text.as_deref(), Some("Translate: {{text}}"));
    assert_eq!(config.request.system.as_deref(), Some("@handle"));
    assert_eq!(config.notes, ["claude-batch.toml in the working folder sets model, system, template, tier"]);
    let config = place.run(&["a.csv", "--profile", "x"]).expect("the file is good");
    assert!(config.notes[0].contains("sets model, rpm, system"), "{:?}", config.notes);
}

#[test]
fn a_cap_in_a_file_of_the_working_folder_does_not_count_as_a_cap_of_the_user() {
    let place = Place::new();
    place.folder_file("max-cost = 1_000_000\nmax-requests = 5\n");

    let config = place.run(&["a.jsonl", "--max-requests", "3"]).expect("the file is good");

    assert_eq!((config.max_cost, config.max_requests), (Some(Money::from_dollars(1e6)), Some(3)));
    assert!(!config.has_own_max_cost, "an expensive run asks first");
    assert!(
        config.notes[0].ends_with("; its max-requests has no effect, because your own value is lower (3)"),
        "{:?}",
        config.notes
    );
}

#[test]
fn a_file_given_by_flag_replaces_both_files_and_must_exist() {
    let place = Place::new();
    place.folder_file("tier = 2\n");
    fs::write(place.path("other.toml"), "rpm = 7\n").expect("the folder is there");

    let config = place.run(&["a.jsonl", "--config", "other.toml"]).expect("the file is good");

    assert_eq!((config.tier, config.limits.rpm), (Tier::Auto, Some(7)));
    assert!(place.error(&["a.jsonl", "--config", "none.toml"]).contains("none.toml: no such file"));
}

#[test]
fn the_error_for_an_unknown_profile_lists_the_known_profiles() {
    let place = Place::new();
    place.user_file("[profile.night]\ntier = 4\n");

    assert!(place.error(&["a.jsonl", "--profile", "day"]).contains("no profile \"day\"; choose night"));
}

#[test]
fn a_wrong_variable_is_named() {
    let mut place = Place::new();
    place.set("CLAUDE_BATCH_RETRY_FOR", "90");

    assert_eq!(
        place.error(&["a.jsonl"]),
        "CLAUDE_BATCH_RETRY_FOR: \"90\" is not valid; give the number with a unit, such as 90s"
    );
}

#[test]
fn a_variable_that_sets_nothing_gives_a_warning() {
    let mut place = Place::new();
    place.set("CLAUDE_BATCH_TEIR", "2");

    let config = place.run(&["a.jsonl"]).expect("it is only a warning");

    assert_eq!(config.warnings, ["the variable CLAUDE_BATCH_TEIR has no effect, because no setting has this name"]);
}

#[test]
fn switches_and_lists_come_from_variables_too() {
    let mut place = Place::new();
    place.set("CLAUDE_BATCH_STRICT", "yes");
    place.set("CLAUDE_BATCH_HTTP2", "0");
    place.set("CLAUDE_BATCH_PARAM", "top_k=5\ntop_p=0.5");
    place.set("CLAUDE_BATCH_MAX_CONCURRENCY", "4");

    let config = place.run(&["a.jsonl"]).expect("the variables are good");

    assert!(config.source.strict && !config.http2);
    assert_eq!((config.request.params.get("top_k"), config.request.params.get("top_p")), (Some("5"), Some("0.5")));
    assert!(matches!(config.concurrency, Concurrency::Fixed(number) if number.get() == 4));
}

#[test]
fn the_key_is_refused_as_an_argument_and_never_echoed() {
    for args in [
        vec!["run", "a.jsonl", "--api-key", "sk-secret"],
        vec!["run", "a.jsonl", "--api-key=sk-secret"],
        vec!["run", "--key", "sk-secret", "a.jsonl"],
        vec!["run", "--token=sk-secret"],
        vec!["resume", "e.jsonl", "--api-key", "sk-secret"],
        vec!["run", "--api-key"],
        vec!["run", "--header", "x-api-key: sk-secret"],
    ] {
        let error = Cli::try_parse_from(["claude-batch"].iter().chain(&args)).expect_err("it is refused");

        let message = error.to_string();
        assert_eq!(error.exit_code(), 2);
        assert!(message.contains("ANTHROPIC_API_KEY") && !message.contains("sk-secret"), "{args:?}: {message}");
    }
}

#[test]
fn a_key_in_a_file_or_variable_of_ours_is_refused_and_never_echoed() {
    let mut place = Place::new();
    place.user_file("api-key = 'sk-secret'\n");
    let of_file = place.error(&["a.jsonl"]);
    place.user_file("");
    place.set("CLAUDE_BATCH_API_KEY", "sk-secret");
    let of_variable = place.error(&["a.jsonl"]);

    for message in [of_file, of_variable] {
        assert!(message.contains("ANTHROPIC_API_KEY") && !message.contains("sk-secret"), "{message}");
    }
}

#[test]
fn messages_about_typing_mistakes_say_what_to_type() {
    for (args, expected) in [
        (vec!["run", "--tier", "5"], "[possible values: auto, none, 1, 2, 3, 4, start, build, scale]"),
        (vec!["run", "--tpm", "5"], "use --itpm and --otpm"),
        (vec!["run", "--prompt-cache", "2h"], "[possible values: auto, off, 5m, 1h]"),
        (vec!["run", "--lane", "fast"], "[possible values: online, batch, auto]"),
        (vec!["run", "--batch-rows", "100001"], "from 1 to 100000"),
        (vec!["run", "--deadline", "soon"], "'mon 9:00'"),
        (vec!["run", "--teir", "2"], "--tier"),
        (vec!["run", "--timeout", "90"], "give the number with a unit, such as 90s"),
        (vec!["run", "--rpm", "-5"], "from 1"),
        (vec!["run", "--rpm", "1e309"], "from 1"),
        (vec!["run", "--rpm", "0"], "from 1"),
        (vec!["run", "--max-cost", "-1"], "above zero"),
        (vec!["run", "--param", "a=b"], "text needs quotes"),
        (vec!["run", "-q", "-v"], "cannot be used with"),
        (vec!["run", "--fresh", "--retry-failed"], "cannot be used with"),
        (vec!["resume"], "ERRORS"),
        (vec!["resume", "e.jsonl", "--only", "slow"], "rate_limit"),
        (vec!["resume", "e.jsonl", "--id", "x"], "--id"),
        (vec!["run", "--schema", "s.json", "--expect", "json"], "cannot be used with"),
        (vec!["run", "--on-truncate", "grow=0"], "grow=N"),
        (vec!["resume", "e.jsonl", "-t", "x"], "-t"),
    ] {
        let error = Cli::try_parse_from(["claude-batch"].iter().chain(&args)).expect_err("it is a mistake");

        assert_eq!(error.exit_code(), 2, "{args:?}");
        assert!(error.to_string().contains(expected), "{args:?}: {error}");
    }
}

#[test]
fn short_flags_and_aliases_mean_the_same_as_the_long_flags() {
    let args = ["a.jsonl", "-vv", "-n", "3", "-c", "5", "-o", "-", "--budget", "2", "-m", "m", "--tier", "SCALE"];

    let config = Place::new().run(&args).expect("the flags are good");

    assert_eq!((config.source.limit, config.output, config.tier), (Some(3), Some(OutputArg::Stdout), Tier::Scale));
    assert_eq!((config.max_cost, config.verbosity), (Some(Money::from_dollars(2.0)), Verbosity::Verbose));
    assert_eq!(Place::new().run(&["a.jsonl", "-q"]).expect("it is good").verbosity, Verbosity::Quiet);
}

#[test]
fn answers_of_batches_need_a_file() {
    let place = Place::new();

    for args in [&["--lane", "batch"][..], &["a.jsonl", "-o", "-", "--lane", "auto"]] {
        let message = place.error(args);
        assert!(message.starts_with("--lane ") && message.ends_with("name the results file with -o"), "{message}");
    }
    assert!(place.run(&["--lane", "batch", "-o", "answers.csv"]).is_ok());
    assert!(place.run(&["a.jsonl", "--lane", "batch"]).is_ok(), "the file is beside the input");
}

#[test]
fn the_flags_of_a_lane_are_checked_together() {
    let place = Place::new();

    assert!(
        place.error(&["a.jsonl", "--detach"]).starts_with("--detach: with --lane online, the run submits no batches")
    );
    assert!(place.run(&["a.jsonl", "--detach", "--lane", "auto"]).expect("it has batches").detach);
    assert!(place.run(&["a.jsonl", "--deadline", "6h"]).expect("a deadline needs no batches").deadline.is_some());
    let past = place.error(&["a.jsonl", "--deadline", "1969-12-31T23:00Z"]);
    assert!(past.contains("is in the past, because it is 1970-01-01 00:00:00 now"), "{past}");
    place.user_file("deadline = 1970-01-02T00:00:00Z\n");
    assert_eq!(place.run(&["a.jsonl"]).expect("TOML has dates").deadline.map(|at| at.as_second()), Some(86_400));
    place.user_file("detach = true\n");
    assert!(!place.run(&["a.jsonl"]).expect("only runs with batches can be left").detach);
}

#[test]
fn resume_takes_classes_but_no_pipe() {
    let place = Place::new();
    let args = parse(&["resume", "e.errors.jsonl", "--only", "timeout,network", "--tier", "3"]);
    let Command::Resume(resume) = &args else { panic!("it is resume") };

    let config = Config::of_resume(resume, Settings::default(), &place.world).expect("the flags are good");

    assert_eq!(resume.only, [ErrorClass::Timeout, ErrorClass::Network]);
    assert_eq!((config.tier, config.inputs), (Tier::Three, vec![InputArg::Path("e.errors.jsonl".into())]));
    let Command::Resume(pipe) = parse(&["resume", "-"]) else { panic!("it is resume") };
    assert!(
        Config::of_resume(&pipe, Settings::default(), &place.world)
            .expect_err("it can't be")
            .to_string()
            .contains("must be a file")
    );
}

#[test]
fn settings_files_do_not_change_rows_that_are_resumed() {
    let place = Place::new();
    place.user_file(
        "template = \"{{ custom_id }}\"\nsystem = \"Be brief.\"\nmodel = \"m\"\nlimit = 1\nparam = [\"a=1\"]\n",
    );
    let Command::Resume(resume) = parse(&["resume", "e.errors.jsonl"]) else { panic!("it is resume") };

    let config = Config::of_resume(&resume, Settings::default(), &place.world).expect("the file is good");

    assert_eq!((config.source.template_text, config.source.limit), (None, None));
    assert_eq!((config.request.system, config.request.model), (None, None));
    assert!(config.request.params.0.is_empty());
    assert_eq!((config.overrides.system, config.overrides.model), (None, None));
    let Command::Resume(resume) = parse(&["resume", "e.errors.jsonl", "-m", "x", "--max-tokens", "9"]) else {
        panic!("it is resume")
    };
    let typed = Config::of_resume(&resume, Settings::default(), &place.world).expect("the flags are good");
    assert_eq!((typed.overrides.model.as_deref(), typed.overrides.max_tokens), (Some("x"), Some(9)));
    assert_eq!((typed.overrides.system, typed.request.model), (None, None));
}

#[test]
fn a_pipe_is_an_input_and_a_terminal_is_not() {
    let mut place = Place::new();

    let piped = place.run(&[]).expect("a pipe is an input");
    place.world.stdin_is_terminal = true;

    assert_eq!((piped.inputs, piped.output), (vec![InputArg::Stdin], Some(OutputArg::Stdout)));
    assert!(place.error(&[]).contains("claude-batch run prompts.jsonl"));
    assert!(place.error(&["-", "-", "-o", "x"]).contains("twice"));
}

#[test]
fn patterns_that_the_shell_left_are_expanded_in_order() {
    let place = Place::new();
    for name in ["b.jsonl", "a.jsonl", ".hidden.jsonl", "c.csv"] {
        fs::write(place.path(name), "").expect("the folder is there");
    }
    let expand = |given: &str| inputs(&[given.into()], InputFormat::Auto, &place.world);

    assert_eq!(expand("?.jsonl").expect("two match"), ["a.jsonl", "b.jsonl"].map(|name| InputArg::Path(name.into())));
    assert!(expand("*.tsv").expect_err("none matches").to_string().contains("no file matches *.tsv"));
    assert!(place.error(&["?.jsonl"]).contains("-o"));
}

#[cfg(unix)]
#[test]
fn a_file_whose_name_looks_like_a_pattern_is_used_as_that_file() {
    let place = Place::new();
    ["a*.jsonl", "ab.jsonl"].iter().for_each(|name| fs::write(place.path(name), "").expect("the folder is there"));

    let found = inputs(&["a*.jsonl".into()], InputFormat::Auto, &place.world).expect("the file is there");

    assert_eq!(found, [InputArg::Path("a*.jsonl".into())]);
}

#[test]
fn a_text_can_come_from_a_file() {
    let place = Place::new();
    fs::write(place.path("t.txt"), "Translate: {{text}}\n").expect("the folder is there");

    let config = place.run(&["a.csv", "-t", "@t.txt", "-s", "@@handle"]).expect("the file is there");

    assert_eq!(config.source.template_text.as_deref(), Some("Translate: {{text}}\n"));
    assert_eq!(config.request.system.as_deref(), Some("@handle"));
    let message = place.error(&["a.csv", "-t", "@none.txt"]);
    assert!(message.contains("--template: can't read none.txt"), "{message}");
}

#[test]
fn a_rehearsal_has_no_address_and_faults_and_scripted_answers_need_a_rehearsal() {
    let mut place = Place::new();
    place.set("ANTHROPIC_BASE_URL", "https://gateway.example");

    let config = place.run(&["a.jsonl", "--simulate"]).expect("it is good");

    assert_eq!((config.simulate, config.provider.base_url), (true, None));
    for flag in ["--simulate-faults", "--simulate-answers"] {
        assert!(
            place
                .error(&["a.jsonl", flag, "f"])
                .contains(&format!("{flag}: only the built-in server uses it; add --simulate"))
        );
    }
    assert!(place.error(&["a.jsonl", "--simulate", "--base-url", "https://x.example"]).contains("leave one out"));
}

#[test]
fn the_address_records_where_it_was_set() {
    let mut place = Place::new();
    place.user_file("base-url = 'https://file.example'\n");
    let found = |place: &Place, args: &[&str]| {
        let base_url = place.run(args).expect("it is good").provider.base_url.expect("there is one");
        (base_url.url.join(""), base_url.source)
    };

    assert_eq!(found(&place, &["a"]), ("https://file.example".to_owned(), BaseUrlSource::File));
    place.set("ANTHROPIC_BASE_URL", "https://env.example/");
    assert_eq!(found(&place, &["a"]), ("https://env.example".to_owned(), BaseUrlSource::Environment));
    let named = ["a", "--base-url", "http://localhost:1"];
    assert_eq!(found(&place, &named), ("http://localhost:1".to_owned(), BaseUrlSource::Named));
    assert!(place.error(&["a", "--base-url", "http://x.example"]).contains("--allow-http"));
}

#[test]
fn the_key_comes_from_the_command_line_then_the_environment_then_the_file() {
    let mut place = Place::new();
    place.user_file("api-key-cmd = 'print-key'\n");
    let source = |place: &Place, args: &[&str]| place.run(args).expect("it is good").provider.key;

    assert_eq!(source(&place, &["a"]), KeySource::Command("print-key".to_owned()));
    place.set("ANTHROPIC_AUTH_TOKEN", "tok");
    assert_eq!(source(&place, &["a"]), KeySource::AuthTokenVariable);
    place.set("ANTHROPIC_API_KEY", "sk-1");
    assert_eq!(source(&place, &["a"]), KeySource::ApiKeyVariable);
    assert_eq!(source(&place, &["a", "--api-key-file", "k"]), KeySource::File("k".into()));
}

#[test]
fn if_both_variables_are_set_the_key_wins_and_a_warning_is_given() {
    let mut place = Place::new();
    place.set("ANTHROPIC_API_KEY", "sk-1\n");
    place.set("ANTHROPIC_AUTH_TOKEN", "tok");

    let (key, warnings) = credential(&KeySource::ApiKeyVariable, &place.world).expect("it is a key");
    let (token, _) = credential(&KeySource::AuthTokenVariable, &place.world).expect("it is a token");

    assert!(matches!(key, Credential::ApiKey(key) if key.expose_secret() == "sk-1"));
    assert!(matches!(token, Credential::Bearer(token) if token.expose_secret() == "tok"));
    assert_eq!(warnings.len(), 1);
}

#[test]
fn without_a_key_the_message_names_both_remedies() {
    let message = credential(&KeySource::Missing, &World::default()).expect_err("there is none").to_string();

    assert!(message.contains("ANTHROPIC_API_KEY") && message.contains("--simulate"), "{message}");
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_can_read_gives_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    fs::write(place.path("key"), "sk-1\n").expect("the folder is there");
    let warnings = |mode| {
        fs::set_permissions(place.path("key"), fs::Permissions::from_mode(mode)).expect("the file is ours");
        credential(&KeySource::File("key".into()), &place.world).expect("it is a key").1
    };

    assert_eq!(warnings(0o600), Vec::<String>::new());
    assert!(warnings(0o644)[0].contains("chmod 600"));
}

#[cfg(unix)]
#[test]
fn a_command_prints_the_key_without_a_shell() {
    let place = Place::new();
    let run = |command: &str| credential(&KeySource::Command(command.to_owned()), &place.world);

    let (key, _) = run("echo sk-1").expect("echo prints");
    assert!(matches!(key, Credential::ApiKey(key) if key.expose_secret() == "sk-1"));
    let unexpanded = run("echo sk-secret;id").expect("a shell would have run two commands").0;
    assert!(matches!(unexpanded, Credential::ApiKey(key) if key.expose_secret() == "sk-secret;id"));
    assert!(run("false").expect_err("it fails").to_string().contains("failed"));
    assert!(run("no-such-program-here").expect_err("it is not there").to_string().contains("can't run"));
}

#[test]
fn colours_are_used_on_terminals_unless_no_color_is_set() {
    let mut place = Place::new();
    place.world.stderr_is_terminal = true;

    assert!(place.world.is_colored());
    place.set("NO_COLOR", "1");
    assert!(!place.world.is_colored());
}

#[test]
fn the_help_of_run_shows_groups_examples_and_exit_codes() {
    let mut command = Cli::command();
    let run = command.find_subcommand_mut("run").expect("there is run");

    let help = run.render_long_help().to_string();

    for part in ["Input:", "Output:", "Speed:", "Faults:", "Money:", "Key:", "Examples:", "129, 130, 143"] {
        assert!(help.contains(part), "{part}");
    }
    assert!(!help.contains("--tpm") && !help.contains("--api-key "));
}

/// A working folder, a home and an environment for one test.
struct Place {
    folder: TempDir,
    world: World,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let home = folder.path().join("home");
        fs::create_dir_all(home.join(".config").join("claude-batch")).expect("the folder is ours");
        let mut world = World { working_folder: folder.path().join("work"), ..World::default() };
        fs::create_dir(&world.working_folder).expect("the folder is ours");
        for (name, path) in [("HOME", home.clone()), ("APPDATA", home.join(".config"))] {
            world.variables.insert(name.into(), path.into());
        }
        Self { folder, world }
    }

    fn set(&mut self, name: &str, value: &str) {
        let variables: &mut BTreeMap<OsString, OsString> = &mut self.world.variables;
        variables.insert(name.into(), value.into());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.working_folder.join(name)
    }

    fn user_folder(&self) -> PathBuf {
        self.folder.path().join("home").join(".config").join("claude-batch")
    }

    fn user_file(&self, text: &str) {
        fs::write(self.user_folder().join("claude-batch.toml"), text).expect("the folder is there");
    }

    fn folder_file(&self, text: &str) {
        fs::write(self.path("claude-batch.toml"), text).expect("the folder is there");
    }

    fn run(&self, args: &[&str]) -> anyhow::Result<Config> {
        let Command::Run(run) = parse(&[&["run"], args].concat()) else { panic!("it is run") };
        Config::of_run(&run, &self.world)
    }

    fn error(&self, args: &[&str]) -> String {
        format!("{:#}", self.run(args).expect_err("it is a mistake"))
    }
}

fn parse(args: &[&str]) -> Command {
    let args = ["claude-batch"].iter().chain(args);
    Cli::try_parse_from(args).map(|cli| cli.command).expect("the command line is well formed")
}

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cli").join(name);
    fs::read_to_string(path).expect("the fixture is there")
}
