"""Says how each tool is installed and started, and how its output is read."""

import json
import pathlib
import subprocess

SCRIPTS = pathlib.Path(__file__).absolute().with_name("peers")


def ends(answered=(), failed=(), marked=()):
    return {"answered": set(answered), "failed": set(failed), "marked": set(marked)}


def json_lines(path):
    """Returns the complete lines of a file."""
    text = path.read_text(errors="replace") if path.exists() else ""
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


def said(*command):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True).stdout.strip()


class Script:
    """A script in the folder `peers`, and the Python installation that has the packages of the script."""

    cap = False

    def __init__(self, name, python, script, packages, *arguments):
        self.name, self.python, self.packages, self.arguments = name, python, packages, arguments
        self.script = SCRIPTS / script
        self.shown = " ".join(["python", script, *arguments])

    def version(self):
        code = "import importlib.metadata as m, sys; print(', '.join(p + ' ' + m.version(p) for p in sys.argv[1:]))"
        return said(self.python, "-c", code, *self.packages)

    def prepare(self, place, case):
        pass

    def command(self, simulator, case, is_again):
        return [self.python, self.script, *self.arguments]

    def ends(self, place, case):
        lines = json_lines(place / "out.jsonl")
        answered = [line["id"] for line in lines if isinstance(line.get("text"), str)]
        failed = [line["id"] for line in lines if line.get("error")]
        marked = [line["id"] for line in lines if line.get("finish_reason") in ("length", "max_tokens")]
        return ends(answered, set(failed) - set(answered), marked)


class Curator(Script):
    """Environment variables turn off the statistics of Curator and set the folder of its cache."""

    def command(self, simulator, case, is_again):
        variables = ["TELEMETRY_ENABLED=false", "CURATOR_CACHE_DIR=cache", "CURATOR_DISABLE_RICH_DISPLAY=1"]
        variables += ["LITELLM_LOCAL_MODEL_COST_MAP=True", "HF_HUB_OFFLINE=1", "HF_DATASETS_OFFLINE=1"]
        # Without this variable, Curator downloads a table of tokens. LiteLLM, a dependency of Curator, contains a copy
        # of this table.
        packages = said(self.python, "-c", "import litellm.litellm_core_utils.tokenizers as t; print(t.__path__[0])")
        variables += [f"TIKTOKEN_CACHE_DIR={packages}"]
        return ["env", *variables, *super().command(simulator, case, is_again)]


    def ends(self, place, case):
        known = super().ends(place, case)
        for path in (place / "cache").glob("*/failed_requests.jsonl"):
            known["failed"] |= {line["original_row"]["id"] for line in json_lines(path)}
        return known


class Batches(Script):
    """A script that uses batches. The results from the API show which rows failed and how each answer ended."""

    def ends(self, place, case):
        lines = json_lines(place / "out.jsonl")
        answers = {line["custom_id"]: line["result"]["message"] for line in lines if line["result"]["type"] == "succeeded"}
        failed = {line["custom_id"] for line in lines} - set(answers)
        return ends(answers, failed, [id for id, answer in answers.items() if answer["stop_reason"] == "max_tokens"])


class Promptfoo:
    name = "promptfoo"
    cap = False
    shown = "promptfoo eval -j 20 -o out.json (after a kill with --resume)"

    def __init__(self, program):
        self.program = program

    def version(self):
        return "promptfoo " + said(self.program, "--version").splitlines()[-1]

    def prepare(self, place, case):
        (place / "promptfooconfig.json").write_text(json.dumps({
            "prompts": ["{{prompt}}"],
            "providers": [{"id": "anthropic:messages:claude-haiku-4-5", "config": {"max_tokens": case.max_tokens}}],
            "tests": [{"vars": {"prompt": row["prompt"], "id": row["id"]}} for row in case.rows],
        }))

    def command(self, simulator, case, is_again):
        variables = [f"PROMPTFOO_{name}=1" for name in ("DISABLE_TELEMETRY", "DISABLE_UPDATE", "DISABLE_REMOTE_GENERATION", "DISABLE_SHARING")]
        variables += ["PROMPTFOO_CONFIG_DIR=state"]
        how = ["--resume"] if is_again else ["-c", "promptfooconfig.json"]
        more = ["-j", "20", "-o", "out.json", "--no-table", "--no-progress-bar", "--no-share"]
        return ["env", *variables, self.program, "eval", *how, *more]

    def ends(self, place, case):
        out = place / "out.json"
        if not out.exists():
            return ends()
        answered, failed, marked = set(), set(), set()
        for result in json.loads(out.read_text())["results"]["results"]:
            id, response = result["vars"]["id"], result.get("response") or {}
            if isinstance(response.get("output"), str):
                answered.add(id)
            else:
                failed.add(id)
            if response.get("finishReason") in ("length", "max_tokens"):
                marked.add(id)
        return ends(answered, failed - answered, marked)


class Parallel:
    """Runs GNU parallel with curl. Uses a request file for each row, a job log, and `--resume-failed`."""

    name = "GNU parallel + curl"
    cap = False
    shown = "parallel --jobs 20 [--delay S] --joblog log.tsv --resume-failed sh ask.sh {} :::: ids.txt"

    def version(self):
        return said("parallel", "--version").splitlines()[0] + ", " + " ".join(said("curl", "--version").split()[:2])

    def prepare(self, place, case):
        for folder in ("requests", "answers"):
            (place / folder).mkdir()
        for row in case.rows:
            request = {"model": "claude-haiku-4-5", "max_tokens": case.max_tokens}
            request["messages"] = [{"role": "user", "content": row["prompt"]}]
            (place / "requests" / f"{row['id']}.json").write_text(json.dumps(request))
        (place / "ids.txt").write_text("".join(row["id"] + "\n" for row in case.rows))

    def command(self, simulator, case, is_again):
        delay = ["--delay", case.told["DELAY"]] if "DELAY" in case.told else []
        options = ["--will-cite", "--jobs", "20", *delay, "--joblog", "log.tsv", "--resume-failed"]
        return ["parallel", *options, "sh", SCRIPTS / "ask.sh", "{}", "::::", "ids.txt"]

    def ends(self, place, case):
        answers = {}
        for path in (place / "answers").glob("*.json"):
            try:
                answers[path.stem] = json.loads(path.read_text())
            except ValueError:
                continue
        answered = {id for id, answer in answers.items() if answer["type"] == "message"}
        jobs = (place / "log.tsv").read_text().splitlines()[1:]
        failed = {job.rsplit(" ", 1)[-1] for job in jobs if job.split("\t")[6] != "0"}
        return ends(answered, failed - answered, [id for id in answered if answers[id]["stop_reason"] == "max_tokens"])


class Ours:
    """Runs claude-batch with the same limits as the other tools."""

    cap = True

    def __init__(self, program, *more):
        self.program, self.more = program, more
        self.name = " ".join(["claude-batch", *more])
        self.shown = " ".join(["claude-batch run rows.jsonl -o out.jsonl --rpm N --itpm N --otpm N", *more])

    def version(self):
        return said(self.program, "--version")

    def prepare(self, place, case):
        pass

    def command(self, simulator, case, is_again):
        names = {"RPM": "--rpm", "ITPM": "--itpm", "OTPM": "--otpm", "CAP": "--max-cost"}
        told = [part for name, flag in names.items() if name in case.told for part in (flag, case.told[name])]
        limits = told if "RPM" in case.told else ["--tier", "none", *told]
        few = ["-c", "20"] if case.few else []
        command = [self.program, "run", "rows.jsonl", "-o", "out.jsonl", "--max-tokens", case.max_tokens]
        return [*command, "--base-url", simulator.url, "--yes", *limits, *few, *self.more]

    def ends(self, place, case):
        lines = [line for line in json_lines(place / "out.jsonl")]
        failed = [line["custom_id"] for line in json_lines(place / "out.errors.jsonl")]
        marked = [line["custom_id"] for line in lines if line["meta"].get("quality") == "truncated"]
        return ends([line["custom_id"] for line in lines], failed, marked)
