//! The table of commands with mistakes, and the files that these commands need.

/// A wrong use of the program.
pub struct Wrong {
    /// What is typed after the name of the program.
    pub typed: String,
    /// The text that the first line of the message must contain: the place of the mistake.
    pub place: &'static str,
    /// Environment variables that are set; `None` means that the variable is removed.
    pub variables: Vec<(&'static str, Option<String>)>,
}

impl Wrong {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, Some(value.to_owned())));
        self
    }

    fn without(mut self, name: &'static str) -> Self {
        self.variables.push((name, None));
        self
    }
}

fn wrong(typed: &str, place: &'static str) -> Wrong {
    Wrong { typed: typed.to_owned(), place, variables: Vec::new() }
}

/// Returns a case that calls `run` with a wrong value.
fn run(flags: &str, place: &'static str) -> Wrong {
    wrong(&format!("run prompts.jsonl --simulate {flags}"), place)
}

/// Returns a case that calls `run` with this configuration file.
fn file(name: &str, place: &'static str) -> Wrong {
    wrong(&format!("run prompts.jsonl --simulate --config {name}.toml"), place)
}

/// Returns the files of the table.
pub fn files() -> Vec<(&'static str, Vec<u8>)> {
    let row = |id: &str| format!("{{\"custom_id\":\"{id}\",\"prompt\":\"Say {id}.\"}}\n");
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("prompts.jsonl", (row("a") + &row("b")).into()),
        ("done.jsonl", (row("a") + &row("b")).into()),
        ("failing.jsonl", (row("a") + &row("b")).into()),
        ("faults.json", text("{\"rules\":[{\"status\":400}]}")),
        ("bad-faults.json", text("{\"rules\":[\n  {\"statsu\":500}]}")),
        ("header.csv", text("id,\"unclosed\n")),
        ("binary.jsonl", vec![0x7f, b'E', b'L', b'F', 0, 1, 2, 0xff, 0xfe]),
        ("broken.jsonl", text("{\"prompt\": \"a\n{\"prompt\": \"b\n")),
        ("array.json", text("[\n  {\"prompt\": \"a\"}\n]\n")),
        ("twice.jsonl", (row("a") + &row("b") + &row("a")).into()),
        ("tickets.csv", text("subject,body\na,b\n")),
        ("same.csv", text("body,body\na,b\n")),
        ("mixed.jsonl", (row("a") + "{\"no prompt\": 1}\n").into()),
        (
            "gpt.jsonl",
            text(
                "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}}\n",
            ),
        ),
        ("notes.xyz", text("one\ntwo\n")),
        ("bad.schema.json", text("{\"type\": \"objekt\"}")),
        ("text.schema.json", text("be brief")),
        ("prices.toml", text("[[price]]\nmodel = \"m\"\ninput = -1.0\noutput = 1.0\n")),
        ("empty.key", Vec::new()),
        ("blank.key", text("s3cret s3cret\n")),
        ("key.toml", text("# settings\n\nteir = 2\n")),
        ("type.toml", text("tier = [1, 2]\n")),
        ("value.toml", text("timeout = 90\n")),
        ("table.toml", text("profile = \"night\"\n")),
        ("syntax.toml", text("tier = \n")),
        ("profiles.toml", text("[profile.night]\nrpm = 50\n")),
        ("kind.toml", text("[providers.own]\nbase-url = \"http://127.0.0.1:9\"\n")),
        ("provider.toml", text("[providers.own]\nkind = \"mesages\"\n")),
        ("secret.toml", text("header = { \"X Team\" = \"s3cret\" }\n")),
        ("page.txt", text("not a page\n")),
    ]
}

/// Returns all wrong uses.
pub fn uses() -> Vec<Wrong> {
    [
        commands(),
        flags(),
        values(),
        inputs(),
        templates(),
        answers(),
        outputs(),
        configuration(),
        keys(),
        providers(),
        runs(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn commands() -> Vec<Wrong> {
    vec![
        wrong("rnu prompts.jsonl", "\"rnu\""),
        wrong("prompts.jsonl", "\"prompts.jsonl\""),
        wrong("estimate prompts.jsonl", "\"estimate\""),
        wrong("batches colect prompts.jsonl", "\"colect\""),
        wrong("'\u{1b}[2J'", "claude-batch"),
        wrong("resume", "resume"),
        wrong("report", "report"),
        wrong("ctl prompts.jsonl", "ctl"),
        wrong("batches adopt", "batches adopt"),
        wrong("models claude-haiku-4-5 claude-opus-5", "models"),
    ]
}

fn flags() -> Vec<Wrong> {
    vec![
        run("--teir 2", "--teir"),
        run("--temperature 0", "--temperature"),
        run("--top-p=0.9", "--top-p"),
        run("--stop-sequences END", "--stop-sequences"),
        run("--thinking", "--thinking"),
        run("--workers 8", "--workers"),
        run("--retries 3", "--retries"),
        wrong("run -i prompts.jsonl --simulate", "-i"),
        run("--out answers.csv", "--out"),
        run("--limit-rpm 50", "--limit-rpm"),
        run("--resume", "--resume"),
        wrong("status --max-cost 5", "--max-cost"),
        run("--qwertz", "--qwertz"),
        run("--tier 1 --tier 2", "--tier"),
        run("--schema bad.schema.json --expect json", "--schema"),
        run("--fresh --retry-failed", "--fresh"),
        run("-q -v", "--quiet"),
        run("--fresh --rerun truncated", "--rerun"),
        run("--tpm 50000", "--tpm"),
        run("--base-url http://127.0.0.1:9", "--simulate"),
        wrong("run prompts.jsonl --simulate-faults faults.json", "--simulate-faults"),
        run("--on-invalid retry", "--on-invalid"),
        run("--fallback-on overload", "--fallback-on"),
        run("--detach", "--detach"),
        wrong("limits --ask", "limits"),
    ]
}

fn values() -> Vec<Wrong> {
    let long = "x".repeat(5_000);
    vec![
        run("--tier 9", "--tier"),
        run("--tier", "--tier"),
        run("--lane bach", "--lane"),
        run("--rpm 0", "--rpm"),
        run("--rpm -5", "--rpm"),
        run(&format!("--rpm {long}"), "--rpm"),
        run("--max-retries -1", "--max-retries"),
        run("--max-retries many", "--max-retries"),
        run("--max-tokens 0", "--max-tokens"),
        run("-n 0", "--limit"),
        run("--timeout 30", "--timeout"),
        run("--timeout 0s", "--timeout"),
        run("--max-time yesterday", "--max-time"),
        run("--max-cost free", "--max-cost"),
        run("--max-cost 0.0000001", "--max-cost"),
        run("--headroom 99%", "--headroom"),
        run("-c 0", "--concurrency"),
        run("--halt fail=0", "--halt"),
        run("--strict=maybe", "--strict"),
        run("--param top_k", "--param"),
        run("--param stop=END", "--param"),
        run("--param model=haiku", "--param"),
        run("--param messages=[]", "--param"),
        run("--param temperature=0 --param temperature=1", "--param"),
        run("--header X-Team", "--header"),
        run("--header 'X-Api-Key: s3cret'", "--header"),
        run("--map-model gpt-4o", "--map-model"),
        run("--notify hooks.example.invalid/s3cret", "--notify"),
        run("--notify env:NO_SUCH_URL", "--notify"),
        run("--notify-on done", "--notify-on"),
        run("--deadline soon", "--deadline"),
        run("--lane batch --deadline 2001-01-01", "--deadline"),
        run("--schedule 'mon 9 headroom=50%'", "--schedule"),
        run("--schedule 'mon 9:00-10:00 headroom=lots'", "--schedule"),
        wrong("run prompts.jsonl --base-url https://user:s3cret@api.example.invalid", "--base-url"),
        wrong("run prompts.jsonl --base-url http://api.example.invalid", "--base-url"),
        wrong("run prompts.jsonl --base-url ftp://api.example.invalid", "--base-url"),
        wrong("run prompts.jsonl --ca-file nofile.pem", "nofile.pem"),
        run("--prices prices.toml", "prices.toml"),
        run("--simulate-faults bad-faults.json", "bad-faults.json"),
        run("-m haiku", "--model"),
        run("-m claude-sonnet-latest", "--model"),
        run("-m ''", "--model"),
        run("--on-refusal model=opus", "--on-refusal"),
        run("-m claude-haiku-9 --max-cost 5", "--max-cost"),
        wrong("limits -m foo", "--model"),
        wrong("models foo", "foo"),
        wrong("simulate --port 99999", "--port"),
    ]
}

fn inputs() -> Vec<Wrong> {
    vec![
        wrong("run nofile.jsonl --simulate", "nofile.jsonl"),
        wrong("run folder --simulate", "folder"),
        wrong("run 'no*.jsonl' --simulate", "no*.jsonl"),
        wrong("run - - --simulate", "(-)"),
        wrong("run prompts.jsonl done.jsonl --simulate", "2 inputs"),
        wrong("run header.csv --simulate", "header.csv"),
        wrong("run same.csv -t '{{body}}' --simulate", "same.csv"),
        wrong("run binary.jsonl --simulate", "binary.jsonl"),
        wrong("run broken.jsonl --simulate", "broken.jsonl"),
        wrong("run array.json --simulate", "array.json"),
        wrong("run twice.jsonl --simulate", "twice.jsonl:3"),
        wrong("run mixed.jsonl --strict --simulate", "--strict"),
        wrong("run gpt.jsonl --simulate", "gpt-4o"),
        wrong("run notes.xyz --simulate", "notes.xyz"),
        wrong("run prompts.jsonl --format xml --simulate", "--format"),
        wrong("check nofile.jsonl", "nofile.jsonl"),
        wrong("plan nofile.jsonl", "nofile.jsonl"),
    ]
}

fn templates() -> Vec<Wrong> {
    vec![
        wrong("run tickets.csv --simulate", "tickets.csv"),
        wrong("run tickets.csv --simulate -t '{{bdoy}}'", "tickets.csv"),
        wrong("run tickets.csv --simulate -t '{{body'", "template"),
        wrong("run tickets.csv --simulate -t 'Classify this.'", "template"),
        wrong("run tickets.csv --simulate -t '{{ body|uper }}'", "template"),
        wrong("run tickets.csv --simulate -t @nofile.txt", "nofile.txt"),
        wrong("run tickets.csv --simulate -t '{{body}}' --id subjct", "--id"),
        wrong("run tickets.csv --simulate -t '{{body}}' -s '{{lang}}'", "--system"),
    ]
}

fn answers() -> Vec<Wrong> {
    vec![
        run("--schema nofile.json", "nofile.json"),
        run("--schema bad.schema.json", "bad.schema.json"),
        run("--schema text.schema.json", "text.schema.json"),
        run("--expect xml", "--expect"),
        run("--require 'text =='", "--require"),
        run("--on-truncate grow=0", "--on-truncate"),
        run("--on-refusal stop", "--on-refusal"),
    ]
}

fn outputs() -> Vec<Wrong> {
    vec![
        run("-o prompts.jsonl", "prompts.jsonl"),
        run("-o nowhere/out.jsonl", "nowhere"),
        run("-o folder", "folder"),
        run("-o page.txt", "page.txt"),
        run("-o out.xlsx", "out.xlsx"),
        run("-o out.csv --output-format tsv", "out.csv"),
        run("-o out.csv --fields id,txet", "--fields"),
        wrong("run tickets.csv -t '{{body}}' --simulate -o out.csv --fields input.none", "--fields"),
        run("--lane batch -o -", "--lane"),
        run("--log folder", "--log"),
        run("--errors prompts.jsonl", "prompts.jsonl"),
    ]
}

fn configuration() -> Vec<Wrong> {
    vec![
        wrong("run prompts.jsonl --simulate --config nofile.toml", "--config"),
        file("key", "key.toml:3"),
        file("type", "type.toml:1"),
        file("value", "value.toml:1"),
        file("table", "table.toml:1"),
        file("syntax", "syntax.toml:1"),
        file("kind", "kind.toml:1"),
        file("provider", "provider.toml:2"),
        file("secret", "secret.toml:1"),
        wrong("run prompts.jsonl --simulate --config profiles.toml --profile nihgt", "--profile"),
        wrong("run prompts.jsonl --simulate --profile night", "--profile"),
        wrong("run prompts.jsonl --simulate", "CLAUDE_BATCH_TIER").with("CLAUDE_BATCH_TIER", "9"),
        wrong("run prompts.jsonl --simulate", "CLAUDE_BATCH_MAX_TIME").with("CLAUDE_BATCH_MAX_TIME", "5"),
        wrong("run prompts.jsonl --simulate", "CLAUDE_BATCH_HEADER").with("CLAUDE_BATCH_HEADER", "s3cret"),
    ]
}

fn keys() -> Vec<Wrong> {
    let real = |typed: &str, place| wrong(&format!("run prompts.jsonl {typed}"), place);
    vec![
        real("", "API key").without("ANTHROPIC_API_KEY"),
        real("", "ANTHROPIC_API_KEY").with("ANTHROPIC_API_KEY", "s3cret s3cret"),
        real("--api-key sk-ant-api03-s3cret-s3cret", "--api-key"),
        real("--api-key-file nofile.key", "nofile.key"),
        real("--api-key-file empty.key", "empty.key"),
        real("--api-key-file blank.key", "blank.key"),
        real("--api-key-file folder", "folder"),
        real("--api-key-cmd no-such-program-here", "--api-key-cmd"),
        real("--api-key-file empty.key --api-key-cmd 'echo x'", "--api-key-file"),
        real("--api-key-cmd 'echo x' --api-key-ttl 0s", "--api-key-ttl"),
    ]
}

fn providers() -> Vec<Wrong> {
    vec![
        run("--provider bedrok", "bedrok"),
        wrong("run prompts.jsonl --provider litellm", "litellm"),
        run("--fallback a,,b", "--fallback"),
        run("--fallback openruoter", "openruoter"),
        run("--fallback anthropic", "--fallback"),
        run("--fallback openrouter --fallback-on overlaod", "--fallback-on"),
        wrong("providers bedrok", "bedrok"),
    ]
}

fn runs() -> Vec<Wrong> {
    vec![
        wrong("resume nofile.errors.jsonl --simulate", "nofile.errors.jsonl"),
        wrong("resume prompts.jsonl --simulate", "prompts.jsonl"),
        wrong("resume done.simulated.results.jsonl --simulate", "done.simulated.results.jsonl"),
        wrong("resume failing.simulated.errors.jsonl --simulate --only tiemout", "--only"),
        wrong("resume - --simulate", "-"),
        wrong("run prompts.jsonl --simulate --rerun truncated", "--rerun"),
        wrong("run prompts.jsonl --simulate --reuse nofile.jsonl", "--reuse"),
        wrong("run prompts.jsonl --simulate --reuse tickets.csv", "--reuse"),
        wrong("results nofile.jsonl", "nofile.jsonl"),
        wrong("results prompts.jsonl", "prompts.jsonl"),
        wrong("results done.jsonl -o done.jsonl", "done.jsonl"),
        wrong("results done.jsonl --fields id,txet", "--fields"),
        wrong("results done.jsonl --include okay", "--include"),
        wrong("status nofile.jsonl", "nofile.jsonl"),
        wrong("status prompts.jsonl", "prompts.jsonl"),
        wrong("report prompts.jsonl", "prompts.jsonl"),
        wrong("report done.jsonl -o page.txt", "page.txt"),
        wrong("ctl done.jsonl pause", "done.jsonl"),
        wrong("ctl done.jsonl puase", "puase"),
        wrong("ctl done.jsonl set headroom=lots", "headroom"),
        wrong("ctl done.jsonl set colour=red", "colour"),
        wrong("ctl done.jsonl set", "set"),
        wrong("ctl prompts.jsonl pause", "prompts.jsonl"),
        wrong("batches list nofile.jsonl", "nofile.jsonl"),
        wrong("batches collect prompts.jsonl", "prompts.jsonl"),
        wrong("batches cancel prompts.jsonl", "prompts.jsonl"),
    ]
}
