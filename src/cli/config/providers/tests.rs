//! Tests of providers in whole configurations: presets with their variables, tables, chains, and every error.

use clap::Parser;

use super::{AuthStyle, ProviderConfig};
use crate::cli::args::{Cli, Command, Settings};
use crate::cli::batches::without_fallback;
use crate::cli::config::Config;
use crate::cli::config::address::BaseUrlSource;
use crate::cli::config::credential::KeySource;
use crate::cli::config::recorded::taken_back;
use crate::cli::config::world::World;
use crate::domain::{LaneChoice, PromptCache, RateLimits, Tier};

/// Environment variables with their values.
type Variables = &'static [(&'static str, &'static str)];

/// An environment with one configuration file.
struct Place {
    folder: tempfile::TempDir,
    world: World,
}

impl Place {
    fn new(file: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let config = folder.path().join("home").join("claude-batch");
        std::fs::create_dir_all(&config).expect("the folder is ours");
        std::fs::write(config.join("claude-batch.toml"), file).expect("the folder is ours");
        let work = folder.path().join("work");
        std::fs::create_dir(&work).expect("the folder is ours");
        let home = folder.path().join("home").into_os_string();
        let mut world = World { working_folder: work, ..World::default() };
        world.variables.insert("XDG_CONFIG_HOME".into(), home.clone());
        world.variables.insert("APPDATA".into(), home);
        world.variables.extend(variables.iter().map(|(name, value)| (name.into(), value.into())));
        Self { folder, world }
    }

    fn config(&self, args: &[&str]) -> Result<Config, String> {
        let typed = ["claude-batch", "run", "a.jsonl"].iter().chain(args);
        let Command::Run(run) = Cli::try_parse_from(typed).map_err(|error| error.to_string())?.command else {
            panic!("it is run")
        };
        Config::of_run(&run, &self.world).map_err(|error| format!("{error:#}"))
    }

    fn error(&self, args: &[&str]) -> String {
        self.config(args).expect_err("it is a mistake")
    }
}

fn provider(file: &str, variables: &[(&str, &str)], args: &[&str]) -> ProviderConfig {
    Place::new(file, variables).config(args).expect("the settings are right").provider
}

fn error(file: &str, variables: &[(&str, &str)], args: &[&str]) -> String {
    Place::new(file, variables).error(args)
}

fn address(provider: &ProviderConfig) -> String {
    provider.base_url.as_ref().map(|base| base.url.join("/v1/messages")).unwrap_or_default()
}

fn variable(name: &str) -> KeySource {
    KeySource::Variable(name.to_owned())
}

/// Each case has the variables of a platform, the address that follows from them, and the source and header of the key.
#[test]
fn each_preset_is_reached_with_the_usual_variables_of_its_platform() {
    const AWS: (&str, &str) = ("AWS_REGION", "us-east-1");
    let cases: [(&str, Variables, &str, KeySource, Option<AuthStyle>); 9] = [
        ("anthropic", &[("ANTHROPIC_API_KEY", "k")], "", KeySource::ApiKeyVariable, None),
        (
            "aws",
            &[AWS, ("ANTHROPIC_AWS_WORKSPACE_ID", "wrkspc_1"), ("ANTHROPIC_AWS_API_KEY", "k")],
            "https://aws-external-anthropic.us-east-1.api.aws/v1/messages",
            variable("ANTHROPIC_AWS_API_KEY"),
            Some(AuthStyle::Bearer),
        ),
        (
            "bedrock",
            &[("AWS_DEFAULT_REGION", "eu-west-1"), ("AWS_BEARER_TOKEN_BEDROCK", "k")],
            "https://bedrock-runtime.eu-west-1.amazonaws.com/anthropic/v1/messages",
            variable("AWS_BEARER_TOKEN_BEDROCK"),
            Some(AuthStyle::Bearer),
        ),
        (
            "bedrock-mantle",
            &[AWS, ("ANTHROPIC_AWS_API_KEY", "k")],
            "https://bedrock-mantle.us-east-1.api.aws/anthropic/v1/messages",
            variable("ANTHROPIC_AWS_API_KEY"),
            Some(AuthStyle::Bearer),
        ),
        (
            "google",
            &[("ANTHROPIC_GOOGLE_CLOUD_PROJECT", "p-1"), ("ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID", "w_1")],
            "https://claude.googleapis.com/v1/projects/p-1/locations/global/workspaces/w_1/invoke/v1/messages",
            KeySource::Google,
            Some(AuthStyle::Bearer),
        ),
        (
            "foundry",
            &[("ANTHROPIC_FOUNDRY_RESOURCE", "res-1"), ("ANTHROPIC_FOUNDRY_API_KEY", "k")],
            "https://res-1.services.ai.azure.com/anthropic/v1/messages",
            variable("ANTHROPIC_FOUNDRY_API_KEY"),
            Some(AuthStyle::ApiKey),
        ),
        (
            "openrouter",
            &[("OPENROUTER_API_KEY", "k")],
            "https://openrouter.ai/api/v1/messages",
            variable("OPENROUTER_API_KEY"),
            Some(AuthStyle::Bearer),
        ),
        (
            "litellm",
            &[("LITELLM_PROXY_API_BASE", "https://proxy.example.invalid"), ("LITELLM_PROXY_API_KEY", "k")],
            "https://proxy.example.invalid/v1/messages",
            variable("LITELLM_PROXY_API_KEY"),
            Some(AuthStyle::Bearer),
        ),
        (
            "messages",
            &[("CLAUDE_BATCH_BASE_URL", "http://127.0.0.1:1")],
            "http://127.0.0.1:1/v1/messages",
            KeySource::Missing,
            Some(AuthStyle::ApiKey),
        ),
    ];
    for (name, variables, url, key, auth) in cases {
        let found = provider("", variables, &["--provider", name]);

        assert_eq!((&*found.name, address(&found).as_str()), (name, url));
        assert_eq!((found.key, found.auth), (key, auth), "{name}");
    }
}

#[test]
fn addresses_in_variables_replace_addresses_of_regions() {
    let cases = [
        ("aws", "ANTHROPIC_AWS_BASE_URL", "https://x.example.invalid", "https://x.example.invalid/v1/messages"),
        // The official SDK adds a path to the address in `ANTHROPIC_BEDROCK_BASE_URL`, so the program does the same.
        (
            "bedrock",
            "ANTHROPIC_BEDROCK_BASE_URL",
            "https://x.example.invalid",
            "https://x.example.invalid/anthropic/v1/messages",
        ),
        (
            "bedrock-mantle",
            "ANTHROPIC_BEDROCK_MANTLE_BASE_URL",
            "https://x.example.invalid/anthropic/",
            "https://x.example.invalid/anthropic/v1/messages",
        ),
        (
            "google",
            "ANTHROPIC_GOOGLE_CLOUD_BASE_URL",
            "https://x.example.invalid",
            "https://x.example.invalid/v1/messages",
        ),
        (
            "foundry",
            "ANTHROPIC_FOUNDRY_BASE_URL",
            "https://x.example.invalid/anthropic",
            "https://x.example.invalid/anthropic/v1/messages",
        ),
    ];
    for (name, variable, url, expected) in cases {
        let found = provider("", &[(variable, url), ("ANTHROPIC_AWS_WORKSPACE_ID", "w")], &["--provider", name]);

        assert_eq!(address(&found), expected, "{name}");
        assert_eq!(found.base_url.map(|base| base.source), Some(BaseUrlSource::Platform));
    }
}

#[test]
fn what_is_missing_is_named_with_its_variables_and_its_key() {
    let cases: [(&str, Variables, &[&str]); 6] = [
        ("aws", &[], &["a region: set AWS_REGION or AWS_DEFAULT_REGION, or region in [providers.aws]", "a workspace"]),
        ("bedrock", &[], &["the provider bedrock needs a region; set AWS_REGION"]),
        ("google", &[("GOOGLE_CLOUD_PROJECT", "p")], &["a workspace; set ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID"]),
        ("foundry", &[], &["a resource; set ANTHROPIC_FOUNDRY_RESOURCE"]),
        ("litellm", &[], &["an address; set LITELLM_PROXY_API_BASE, or give base-url in [providers.litellm]"]),
        ("messages", &[], &["an address; give base-url in [providers.messages]", "--base-url"]),
    ];
    for (name, variables, parts) in cases {
        let first = error("", variables, &["--provider", name]);
        let second = error("", variables, &["--fallback", name]);

        assert!(parts.iter().all(|part| first.contains(part)), "{first}");
        assert!(second.contains(parts[0]), "{second}");
    }
}

#[test]
fn a_place_cannot_lead_to_another_server() {
    for region in ["x.example.invalid/", "a b", "../x", "us-east-1#", "@x", "-x", "a.b"] {
        let message = error("", &[("AWS_REGION", region)], &["--provider", "bedrock"]);
        assert!(message.starts_with("AWS_REGION: ") && message.contains("can't be a region"), "{message}");
    }
    let project = "[providers.google]\nworkspace = 'w'\nproject = '..'\n";
    assert!(error(project, &[], &["--provider", "google"]).contains("claude-batch.toml:3: project: \"..\""));
    let other = error("[providers.openrouter]\nregion = 'x'\n", &[], &["--provider", "openrouter"]);
    assert!(other.contains("claude-batch.toml:2: region: providers of the kind openrouter have no region"), "{other}");
}

#[test]
fn the_workspace_is_sent_as_a_header() {
    let file = "[providers.aws]\nregion = 'eu-west-1'\nworkspace = 'wrkspc_9'\nheaders = { x-team = 'a' }\n";

    let found = provider(file, &[("AWS_REGION", "us-east-1")], &["--provider", "aws", "--header", "x-team: b"]);

    assert_eq!(address(&found), "https://aws-external-anthropic.eu-west-1.api.aws/v1/messages");
    let headers: Vec<_> = found.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().ok())).collect();
    assert_eq!(headers, [("anthropic-workspace-id", Some("wrkspc_9")), ("x-team", Some("b"))]);
    assert_eq!(headers.len(), found.headers.len());
    assert!(found.headers.iter().all(|(name, value)| value.is_sensitive() == (name == "x-team")));
}

#[test]
fn models_get_the_prefix_or_the_name_of_the_table() {
    let us = "[providers.bedrock]\nmodel-prefix = 'us.anthropic.'\nmodels = { claude-opus-5 = 'mine' }\n";
    let variables = [("AWS_REGION", "us-east-1")];
    let global = provider("", &variables, &["--provider", "bedrock"]);
    let regional = provider(us, &variables, &["--provider", "bedrock"]);
    let router = provider("", &[], &["--provider", "openrouter"]);

    assert_eq!(global.rules.model("claude-haiku-4-5"), "global.anthropic.claude-haiku-4-5-20251001-v1:0");
    assert_eq!(global.rules.model("claude-opus-5"), "global.anthropic.claude-opus-5");
    assert_eq!(global.rules.model("global.anthropic.x"), "global.anthropic.x");
    assert_eq!(regional.rules.model("claude-haiku-4-5"), "us.anthropic.claude-haiku-4-5-20251001-v1:0");
    assert_eq!(regional.rules.model("claude-opus-5"), "mine");
    assert_eq!((global.price_factor, regional.price_factor), (1.0, 1.1));
    assert_eq!(router.rules.model("claude-haiku-4-5"), "anthropic/claude-haiku-4.5");
}

#[test]
fn a_table_changes_what_is_left_out_what_is_refused_and_which_features_exist() {
    let file = "[providers.bedrock]\nregion = 'r'\ndrop = ['metadata', 'inference_geo']\nfeatures = { strict-tools = true }\nlimits = { rpm = 5, otpm = '2k' }\nprice-factor = 2\n";

    let found = provider(file, &[], &["--provider", "bedrock"]);

    let paths = |paths: &[crate::domain::MemberPath]| paths.iter().map(|path| path.to_string()).collect::<Vec<_>>();
    let refused = paths(&found.rules.refuse);
    assert_eq!(paths(&found.rules.drop), ["metadata", "inference_geo"]);
    assert!(!refused.iter().any(|path| path == "inference_geo" || path == "tools[].strict"), "{refused:?}");
    assert!(refused.iter().any(|path| path == "output_config.format") && found.features.strict_tools);
    assert_eq!(found.limits, RateLimits { rpm: Some(5), itpm: None, otpm: Some(2_000) });
    assert!(!found.features.batches && found.price_factor == 2.0);
}

#[test]
fn a_key_of_the_table_comes_before_variables_and_after_flags() {
    let file = "[providers.own]\nkind = 'messages'\nbase-url = 'http://127.0.0.1:1'\napi-key-env = 'MY_KEY'\n";
    let key = [("ANTHROPIC_API_KEY", "a"), ("MY_KEY", "b")];
    let typed = ["--provider", "own", "--api-key-cmd", "print-key"];

    assert_eq!(provider(file, &key, &["--provider", "own"]).key, variable("MY_KEY"));
    assert_eq!(provider(file, &key, &typed).key, KeySource::Command("print-key".into()));
    let unset = provider(file, &key[..1], &["--provider", "own"]);
    assert_eq!(unset.key, KeySource::Missing);
    assert!(unset.key_ways.starts_with("set MY_KEY, which [providers.own] names"), "{}", unset.key_ways);
}

#[test]
fn the_key_of_the_claude_api_is_only_used_for_kinds_that_speak_it_at_a_configured_address() {
    let file = "base-url = 'https://gateway.example.invalid'\napi-key-cmd = 'print-key'\nheader = 'x-a: b'\n[providers.local]\nkind = 'messages'\nbase-url = 'http://127.0.0.1:1'\n";
    let variables =
        [("ANTHROPIC_API_KEY", "a"), ("ANTHROPIC_BASE_URL", "https://env.example.invalid"), ("AWS_REGION", "r")];

    let local = provider(file, &variables, &["--provider", "local"]);
    assert_eq!(
        (local.key.clone(), address(&local).as_str()),
        (KeySource::ApiKeyVariable, "http://127.0.0.1:1/v1/messages")
    );
    assert_eq!((local.auth, local.headers.len()), (None, 0));
    for name in ["openrouter", "bedrock", "foundry", "aws", "google", "litellm"] {
        let places = [
            ("ANTHROPIC_AWS_WORKSPACE_ID", "w"),
            ("ANTHROPIC_FOUNDRY_RESOURCE", "f"),
            ("ANTHROPIC_GOOGLE_CLOUD_PROJECT", "p"),
            ("ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID", "w"),
            ("LITELLM_PROXY_API_BASE", "https://l.example.invalid"),
        ];
        let found = provider(file, &[&variables[..], &places[..]].concat(), &["--provider", name]);
        assert!(!matches!(found.key, KeySource::ApiKeyVariable | KeySource::Command(_)), "{name}: {:?}", found.key);
        assert!(!address(&found).contains("gateway") && !address(&found).contains("env.example"), "{name}");
    }
    let default = provider(file, &variables, &[]);
    assert_eq!(address(&default), "https://env.example.invalid/v1/messages");
}

#[test]
fn without_a_key_for_bedrock_aws_credentials_are_used() {
    let found = provider("", &[("AWS_REGION", "us-east-1")], &["--provider", "bedrock"]);

    assert_eq!(found.key, KeySource::Aws { region: "us-east-1".into() });
    for way in ["AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "api-key-cmd in [providers.bedrock]", "--api-key-cmd"]
    {
        assert!(found.key_ways.contains(way), "{way}: {}", found.key_ways);
    }
}

#[test]
fn a_chain_has_its_providers_in_order_and_flags_are_for_the_first_provider() {
    let file = "fallback = ['openrouter', 'local:qwen3']\nfallback-on = ['limit=2m', 'account']\n[providers.local]\nkind = 'messages'\nbase-url = 'http://127.0.0.1:1'\n";
    let place = Place::new(file, &[("OPENROUTER_API_KEY", "k")]);

    let config = place.config(&["--base-url", "https://first.example.invalid"]).expect("the chain is right");
    let off = place.config(&["--fallback", "off"]).expect("it is switched off");

    let chain: Vec<_> =
        config.fallback.chain.iter().map(|one| (&*one.name, address(one), one.model.as_deref())).collect();
    assert_eq!(
        chain,
        [
            ("openrouter", "https://openrouter.ai/api/v1/messages".to_owned(), None),
            ("local", "http://127.0.0.1:1/v1/messages".to_owned(), Some("qwen3")),
        ]
    );
    assert_eq!((config.fallback.on.limit.map(|limit| limit.as_secs()), config.fallback.on.account), (Some(120), true));
    assert!(!config.fallback.on.overload && off.fallback.chain.is_empty());
    assert_eq!(config.fallback.typed(), "openrouter,local:qwen3");
    assert!(place.folder.path().exists());
}

#[test]
fn chains_that_cannot_work_are_refused() {
    let twice = error("", &[], &["--fallback", "openrouter,openrouter:x"]);
    let first = error("", &[], &["--fallback", "anthropic"]);
    let unknown = error("", &[], &["--fallback", "opnrouter"]);
    let provider = error("", &[], &["--provider", "bedrok"]);
    let idle = error("", &[], &["--fallback-on", "overload"]);
    let vendor = error("", &[("AWS_REGION", "r")], &["--fallback", "bedrock:gpt-4o"]);

    assert!(twice.contains("--fallback names openrouter twice"), "{twice}");
    assert!(first.contains("anthropic is the first provider"), "{first}");
    assert!(unknown.contains("--fallback: there is no provider \"opnrouter\"; the providers are"), "{unknown}");
    assert!(provider.contains("--provider") && provider.contains("did you mean bedrock?"), "{provider}");
    assert!(provider.contains("the providers are anthropic, aws, bedrock,"), "{provider}");
    assert!(idle.contains("name one with --fallback"), "{idle}");
    assert!(vendor.contains("--fallback bedrock:gpt-4o: this is a model of OpenAI"), "{vendor}");
    assert!(Place::new("", &[]).config(&["--fallback", "openrouter:gpt-4o"]).is_ok(), "it has models of all vendors");
    assert!(Place::new("", &[]).config(&["--simulate", "--fallback", "openrouter"]).is_ok(), "all of them are played");
}

#[test]
fn what_a_provider_lacks_is_refused_if_it_was_typed() {
    let open = ["--provider", "openrouter"];
    let with = |more: &[&'static str]| [&open[..], more].concat();
    let file = "tier = 2\nprompt-cache = '1h'\nlane = 'auto'\n";
    let found =
        Place::new(file, &[("CLAUDE_BATCH_BASE_URL", "http://127.0.0.1:1")]).config(&["--provider", "messages"]);
    let config = found.expect("a file may set them for other providers");

    assert_eq!((config.tier, config.prompt_cache, config.lane), (Tier::None, PromptCache::Off, LaneChoice::Online));
    assert!(error("", &[], &with(&["--tier", "2"])).contains("does not have the tiers of the Claude API; give --rpm"));
    assert!(Place::new("", &[]).config(&with(&["--tier", "none"])).is_ok());
    for lane in ["batch", "auto"] {
        let message = error("", &[], &with(&["--lane", lane, "-o", "x.jsonl"]));
        assert!(message.contains("the provider openrouter has no Message Batches"), "{message}");
    }
    let cache = error(
        "",
        &[("CLAUDE_BATCH_BASE_URL", "http://127.0.0.1:1")],
        &["--provider", "messages", "--prompt-cache", "1h"],
    );
    assert!(cache.contains("has no prompt cache"), "{cache}");
    let aws = [("AWS_REGION", "r"), ("ANTHROPIC_AWS_WORKSPACE_ID", "w")];
    let tier = Place::new("", &aws).config(&["--provider", "aws", "--tier", "2"]).map(|config| config.tier);
    assert_eq!(tier, Ok(Tier::Two));
}

#[test]
fn wrong_tables_are_refused_with_file_and_line() {
    let cases = [
        ("[providers.x]\n", "claude-batch.toml:1: [providers.x] needs a kind; give one of anthropic, aws"),
        ("[providers.bedrok]\n", "did you mean [providers.bedrock]?"),
        ("[providers.x]\nkind = 'openruter'\n", "claude-batch.toml:2: kind: \"openruter\" is not a kind; give one of"),
        ("[providers.x]\nkind = 'openruter'\n", "did you mean openrouter?"),
        (
            "[providers.aws]\n\nbase_url = 'x'\n",
            "claude-batch.toml:3: unknown key \"base_url\" in [providers.aws]; did you mean \"base-url\"?",
        ),
        ("[providers.aws]\nzzz = 1\n", "the keys are kind, base-url"),
        ("[providers.aws]\nauth = 'basic'\n", "claude-batch.toml:2: auth: \"basic\" is not one of x-api-key, bearer"),
        ("[providers.aws]\napi-key-env = 'A'\napi-key-cmd = 'b'\n", "keep only one of api-key-env"),
        ("[providers.aws]\napi-key-env = 'sk-ant-secret'\n", "give the name of a variable"),
        ("[providers.aws]\napi-key-ttl = '0s'\n", "claude-batch.toml:2: api-key-ttl: give a time above zero"),
        (
            "[providers.aws]\nheaders = { authorization = 'x' }\n",
            "headers: the program makes authorization from the API key",
        ),
        ("[providers.aws]\nheaders = 'x'\n", "headers: give a table"),
        ("[providers.aws]\nmodels = ['x']\n", "models: give a table"),
        ("[providers.aws]\nmodel-prefix = 'a b'\n", "model-prefix: it contains a space"),
        ("[providers.aws]\ndrop = ['messages']\n", "drop: every request needs messages"),
        ("[providers.aws]\ndrop = ['a..b']\n", "drop: \"a..b\" is not a member"),
        ("[providers.aws]\nlimits = { tpm = 5 }\n", "limits: \"tpm\" is not one of rpm, itpm, otpm"),
        ("[providers.aws]\nlimits = { rpm = 0 }\n", "limits: rpm: "),
        ("[providers.aws]\nprice-factor = -1\n", "price-factor: -1 is not between 0 and 100"),
        ("[providers.aws]\nfeatures = { batch = false }\n", "\"batch\" is not one of batches, count-tokens"),
        ("[providers.aws]\nfeatures = { batches = 'no' }\n", "features: batches: give true or false"),
        ("[providers.aws]\nkind = 3\n", "claude-batch.toml:2: kind"),
        ("[providers.'a b']\nkind = 'aws'\n", "can't be the name of a provider"),
        ("[providers]\naws = 1\n", "claude-batch.toml:2: a provider must be a table"),
        ("providers = 1\n", "claude-batch.toml:1: a provider must be a table"),
        ("[profile.x.providers.aws]\nregion = 'r'\n", "[providers.NAME] is not a part of a profile"),
    ];
    for (file, part) in cases {
        let message = error(file, &[], &[]);
        assert!(message.contains(part), "{file}: {message}");
        assert!(!message.contains("sk-ant"), "{message}");
    }
    let plain_http = "[providers.x]\nkind = 'messages'\nbase-url = 'http://x.example.invalid'\n";
    let message = error(plain_http, &[], &["--provider", "x"]);
    assert!(message.contains("claude-batch.toml:3: base-url") && message.contains("--allow-http"), "{message}");
}

#[test]
fn a_file_in_the_working_folder_can_neither_have_providers_nor_choose_one() {
    let place = Place::new("", &[]);
    let own = |text: &str| std::fs::write(place.world.working_folder.join("claude-batch.toml"), text).expect("ours");
    for (text, part) in [
        (
            "# a\n[providers.anthropic]\nbase-url = 'https://evil.example.invalid'\n",
            "claude-batch.toml:2: [providers.NAME] can't be set by a file in the working folder",
        ),
        ("provider = 'openrouter'\n", "claude-batch.toml:1: provider can't be set by a file in the working folder"),
        ("fallback = 'openrouter'\n", "claude-batch.toml:1: fallback can't be set"),
    ] {
        own(text);
        let message = place.error(&[]);
        assert!(message.contains(part) && !message.contains("evil"), "{message}");
    }
    own("[providers.mine]\nkind = 'messages'\nbase-url = 'http://127.0.0.1:1'\n");
    let named =
        place.config(&["--config", "claude-batch.toml", "--provider", "mine"]).expect("the user named the file");
    assert_eq!(address(&named.provider), "http://127.0.0.1:1/v1/messages");
}

#[test]
fn paths_in_a_table_are_relative_to_its_file() {
    let file = "[providers.aws]\napi-key-file = 'k'\nprices = 'p.toml'\nregion = 'r'\nworkspace = 'w'\n";
    let place = Place::new(file, &[]);
    let folder = place.folder.path().join("home").join("claude-batch");
    assert!(place.error(&["--provider", "aws"]).contains("claude-batch.toml:3: prices: can't read"));
    std::fs::write(folder.join("p.toml"), "text").expect("the folder is ours");

    let found = place.config(&["--provider", "aws"]).expect("both files are named").provider;

    assert_eq!(found.key, KeySource::File(folder.join("k")));
    assert_eq!(found.prices.map(|file| (file.path, file.text)), Some((folder.join("p.toml"), "text".to_owned())));
}

#[test]
fn what_is_typed_for_the_first_provider_never_reaches_the_claude_api_as_a_fallback() {
    let file = "base-url = \"https://gateway.example.invalid\"\napi-key-cmd = \"print-key-of-gateway\"\n";
    let place = Place::new(file, &[("OPENROUTER_API_KEY", "k"), ("CLAUDE_BATCH_HEADER", "x-env: secret")]);
    let chain = ["--provider", "openrouter", "--fallback", "anthropic"];
    let typed = ["--base-url", "https://typed.example.invalid", "--api-key-cmd", "print-typed-key"];
    let more = ["--api-key-ttl", "5m", "--header", "x-team: secret"];

    let config = place.config(&[&chain[..], &typed, &more].concat()).expect("the settings are right");

    let (first, second) = (&config.provider, &config.fallback.chain[0]);
    assert_eq!(address(first), "https://typed.example.invalid/v1/messages");
    assert_eq!(first.key, KeySource::Command("print-typed-key".to_owned()));
    assert_eq!(address(second), "https://gateway.example.invalid/v1/messages");
    assert_eq!(second.key, KeySource::Command("print-key-of-gateway".to_owned()));
    assert_eq!((second.key_ttl, &second.headers[..]), (None, &[][..]));
}

#[test]
fn a_message_names_a_recorded_provider_that_is_gone() {
    let recorded = |name: &str, value: &str| {
        let json = serde_json::json!({ name: value });
        taken_back(json.as_object().expect("it is an object"), "manifest.json").expect("a run can record it")
    };
    let place = Place::new("", &[]);
    let of = |recorded| Config::of_recorded(Settings::default(), recorded, &place.world).expect_err("it is gone");

    let first = format!("{:#}", of(recorded("provider", "mine")));
    let next = format!("{:#}", of(recorded("fallback", "mine:model")));

    assert!(
        first.starts_with("--provider, which the earlier run recorded and which a new --provider replaces: "),
        "{first}"
    );
    assert!(
        next.starts_with("--fallback, which the earlier run recorded and which a new --fallback replaces: "),
        "{next}"
    );
}

#[test]
fn collecting_batches_needs_nothing_of_the_other_providers() {
    let json = serde_json::json!({ "fallback": "gone,openrouter", "fallback-on": "overload" });
    let recorded =
        taken_back(json.as_object().expect("it is an object"), "manifest.json").expect("a run can record it");
    let place = Place::new("", &[("CLAUDE_BATCH_FALLBACK_ON", "limit=1m")]);

    let config = Config::of_recorded(without_fallback(Settings::default()), recorded, &place.world);

    assert!(config.expect("the first provider is enough").fallback.chain.is_empty());
}
