"""Runs the program through a LiteLLM proxy, and against llmock, which judges how clients handle faults.

llmock must report no errors and no warnings, and each row must end as expected for the fault. LiteLLM passes requests
from the program to simulators. Each row must be answered once, and the simulators count the requests that reach them.

`.ci/judges` installs what this script needs, and calls the script.
"""

import argparse
import collections
import json
import os
import pathlib
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

from page_section import write_section

KEY = "sk-proxy-key-of-the-judge-0123456789"

# The faults that llmock plays. For each fault, the list contains the flags of llmock, the flags of the program, and the
# expected end of the run.
#
# If all requests fail, the run ends at its time limit, and its rows stay pending for the next run. llmock then reports
# that the client gave up ("gave_up"); this report does not count as an error of the program.
EACH = "each row is answered"
FAULTS = {
    "500, 503 and 529": (["--error-rate", "500=0.05", "--error-rate", "503=0.05", "--error-rate", "529=0.05"], [], EACH),
    "408, 409, 502 and 504": ([f"--error-rate={code}=0.05" for code in (408, 409, 502, 504)], [], EACH),
    "429 with retry-after": (["--error-rate", "429=0.05"], [], EACH),
    "120 requests a minute": (["--rpm", "120"], [], EACH),
    "10,000 tokens a minute": (["--tpm", "10000"], [], EACH),
    "400 and 422": (["--error-rate", "400=0.1", "--error-rate", "422=0.05"], [], "some rows fail"),
    "401": (["--error-rate", "401=0.05"], [], "the run stops"),
    "streams cut": (["--stream-fault", "truncate=0.1"], ["--stream", "on"], EACH),
    "connections cut": (["--stream-fault", "disconnect=0.1"], ["--stream", "on"], EACH),
    # If the broken event was the last event, llmock can't see that the client stopped reading. llmock then counts the
    # client's next try as a new call, and reports that the client ignored the fault. The report shows a fault of the
    # client only if the client made fewer further tries than there were faults.
    "malformed events": (["--stream-fault", "malformed=0.1"], ["--stream", "on"], EACH),
    # The time limit is 3 s. With 1 s, llmock itself was too slow on a busy machine: most requests that reached the time
    # limit had no injected fault.
    "silence of 20 s": (
        ["--stream-fault", "stall=0.05", "--stream-stall-seconds", "20"],
        ["--stream", "on", "--idle-timeout", "3s"],
        EACH,
    ),
    "500 each time": (["--error-rate", "500=1"], ["--max-time", "30s"], "the time ends"),
    "529 each time": (["--error-rate", "529=1"], ["--max-time", "30s"], "the time ends"),
}
ENDS = {EACH: (0,), "some rows fail": (3,), "the run stops": (5,), "the time ends": (4,)}
# llmock takes the faults of the first requests from a list. The pause between events lets llmock see which clients stop
# reading.
OUTAGES = {
    "500 for the first 24 requests": {"type": "fail", "status": 500},
    "529 for the first 24 requests": {"type": "fail", "status": 529},
    "429 for the first 24 requests, retry-after 3 s": {"type": "fail", "status": 429, "retry_after": 3},
    "a malformed event in each of the first 24 streams": {"type": "stream_fault", "kind": "malformed", "after_chunks": 2},
}
FAULTS |= {
    case: (["--stream-chunk-delay-ms", "50"], ["--stream", "on" if "streams" in case else "auto"], EACH) for case in OUTAGES
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Started:
    """A server that runs during a `with` block."""

    def __init__(self, command, url, folder, **more):
        self.command, self.url, self.folder, self.more = [str(part) for part in command], url, folder, more

    def __enter__(self):
        with open(self.folder / (pathlib.Path(self.command[0]).name + ".log"), "w") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **self.more
            )
        for _ in range(240):
            try:
                urllib.request.urlopen(self.url, timeout=2).close()
                return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.5)
        self.__exit__()
        raise SystemExit(f"{self.command[0]} did not start, see {log.name}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def environment(**more):
    ours = ("ANTHROPIC", "CLAUDE", "AWS", "LITELLM")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, **more}


class Runs:
    """Runs the program several times, each time in a separate folder. Keeps the results and the findings."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.table, self.findings = [], []

    def place(self, name):
        place = self.folder / re.sub(r"\W+", "-", name)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        return place

    def run(self, place, count, arguments, **variables):
        """Returns the run, the number of rows that are answered once, and the number of failed rows.

        A row must not have two lines.
        """
        rows = ({"custom_id": f"r{at}", "prompt": f"Hello {at}", "max_tokens": 60} for at in range(count))
        (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        command = [self.program, "run", "rows.jsonl", "-o", "out.jsonl", "--config", "providers.toml", "--yes", *arguments]
        ran = subprocess.run(
            command, cwd=place, env=environment(**variables), capture_output=True, text=True, timeout=900, stdin=subprocess.DEVNULL
        )
        (place / "said.txt").write_text(ran.stderr)
        answered, failed = (self.labels(place / name) for name in ("out.jsonl", "out.errors.jsonl"))
        if KEY in ran.stderr + ran.stdout:
            self.findings.append(f"{place.name}: the key is shown")
        return ran, answered, failed

    def labels(self, path):
        lines = path.read_text().splitlines() if path.exists() else []
        labels = collections.Counter(json.loads(line)["custom_id"] for line in lines)
        if any(number > 1 for number in labels.values()):
            self.findings.append(f"{path}: a row has two lines")
        return len(labels)

    def note(self, judge, case, cells, problems):
        self.table.append(f"| {judge} | {case} | " + " | ".join(map(str, cells)) + f" | {len(problems)} |\n")
        print(f"{judge}, {case}: {', '.join(map(str, cells))}, {len(problems)} findings", flush=True)
        for problem in problems:
            print("  ", problem, flush=True)
        self.findings += [f"{judge}, {case}: {problem}" for problem in problems]


def script(url, behavior):
    """Tells llmock how to answer the next requests."""
    body = json.dumps({"behaviors": [behavior]}).encode()
    request = urllib.request.Request(f"{url}/_llmock/scenario", body, {"content-type": "application/json"})
    urllib.request.urlopen(request, timeout=10).close()


def probes(url):
    """Returns the sequence numbers of the requests that the program sent only to see whether llmock answers."""
    with urllib.request.urlopen(f"{url}/_llmock/requests", timeout=30) as response:
        requests = json.load(response)["requests"]
    probe = {"max_tokens": 1, "messages": [{"role": "user", "content": "ping"}]}
    return {one["seq"] for one in requests if probe.items() <= (one["body"] or {}).items()}


def by_llmock(runs, llmock, only):
    for case, (flags, arguments, end) in FAULTS.items():
        if only and only not in case:
            continue
        place, count = runs.place(f"llmock {case}"), 240
        url = f"http://127.0.0.1:{free_port()}"
        with Started([llmock, "serve", "--port", url.rpartition(":")[2], *flags], f"{url}/docs", place):
            (place / "providers.toml").write_text(f'[providers.mock]\nkind = "messages"\nbase-url = "{url}/anthropic"\n')
            if case in OUTAGES:
                script(url, {"times": 24, **OUTAGES[case]})
            ran, answered, failed = runs.run(place, count, ["--provider", "mock", *arguments], ANTHROPIC_API_KEY=KEY)
            sent_as_probes = probes(url)
            report = subprocess.run([llmock, "report", "--url", url, "--strict", "--json"], capture_output=True, text=True)
        verdict = json.loads(report.stdout)
        tries = verdict["attempts"] - answered
        mistaken = {"gave_up"} if end == "the time ends" else set()
        if case == "malformed events" and tries >= verdict["faults_injected"]:
            mistaken.add("malformed_chunk_ignored")
        # After a failed probe (a test request), the program sends a row and does not repeat the probe. So llmock
        # reports that the client gave up the probe.
        found = [one for one in verdict["findings"] if one["code"] != "gave_up" or not sent_as_probes.issuperset(one["requests"])]
        counted = [one for one in found if one["code"] not in mistaken]
        problems = [f"{one['code']}: {one['title']}" for one in counted]
        if report.returncode and not verdict["findings"]:
            problems.append(f"llmock ended with {report.returncode}")
        if ran.returncode not in ENDS[end]:
            problems.append(f"exit {ran.returncode}, not {ENDS[end]}: {ran.stderr[-1000:]}")
        if end == EACH and answered != count or end == "some rows fail" and answered + failed != count:
            problems.append(f"{answered} of {count} rows are answered, {failed} failed")
        if not verdict["faults_injected"] and "a minute" not in case:
            problems.append("llmock made no fault")
        runs.note("llmock", case, [f"{answered} of {count}", failed, tries, ran.returncode], problems)


# The servers behind LiteLLM: for each model, the flags and faults of its simulator.
UPSTREAMS = {
    "claude-haiku-4-5": (["--rpm", "300"], []),
    # The headers of this simulator do not show its limits. Clients learn the limits only from the simulator's 429
    # responses.
    "claude-haiku-5-5": (["--rpm", "120", "--as", "messages"], []),
    "claude-sonnet-4-5": (["--rpm", "100000"], [
        {"status": 500, "share": 0.1, "first_attempts_only": True},
        {"status": 529, "share": 0.1, "draw": "attempt"},
    ]),
}


def reached(journal):
    """Returns how many requests a simulator answered with each status."""
    if not journal.exists():
        return collections.Counter()
    return collections.Counter(json.loads(line).get("status") for line in journal.read_text().splitlines())


def through_litellm(runs, litellm):
    folder = runs.place("litellm")
    upstreams, journals = {}, {}
    models = []
    for model, (flags, rules) in UPSTREAMS.items():
        place = runs.place(f"upstream {model}")
        (place / "faults.json").write_text(json.dumps({"seed": 1, "rules": rules}))
        port, journals[model] = free_port(), place / "journal.jsonl"
        upstreams[model] = Started(
            [runs.program, "simulate", "--port", port, "--tier", "none", *flags, "--latency", "zero",
             "--faults", place / "faults.json", "--journal", journals[model]],
            f"http://127.0.0.1:{port}/__sim/stats", place,
        )
        models.append({"model_name": model, "litellm_params": {
            "model": f"anthropic/{model}", "api_base": f"http://127.0.0.1:{port}", "api_key": "upstream", "max_retries": 0}})
    (folder / "litellm.json").write_text(json.dumps({
        "model_list": models, "general_settings": {"master_key": KEY}, "litellm_settings": {"num_retries": 0},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }))
    proxy_url = f"http://127.0.0.1:{free_port()}"
    proxy = Started(
        [litellm, "--config", folder / "litellm.json", "--port", proxy_url.rpartition(":")[2], "--host", "127.0.0.1"],
        f"{proxy_url}/health/liveliness", folder, env=environment(LITELLM_LOCAL_MODEL_COST_MAP="True"),
    )
    limits, hidden, faults = UPSTREAMS
    # Each case has a name, the model, the flags, the key, the number of rows, the exit code, and a text that the
    # messages contain.
    cases = [
        ("upstream with 300 requests a minute", limits, ["--stream", "off"], KEY, 400, 0, ""),
        ("the same, streams", limits, ["--stream", "on"], KEY, 400, 0, ""),
        ("upstream with 120 requests a minute, no headers", hidden, [], KEY, 240, 0, ""),
        ("upstream with 500 and 529", faults, ["--stream", "off"], KEY, 240, 0, ""),
        ("the same, streams", faults, ["--stream", "on"], KEY, 240, 0, ""),
        ("a model that the proxy lacks", "claude-opus-4-5", [], KEY, 20, 5, "claude-opus-4-5"),
        ("a wrong key", limits, [], KEY[:-1] + "8", 20, 5, "key"),
    ]
    with upstreams[limits], upstreams[hidden], upstreams[faults], proxy:
        for number, (case, model, arguments, key, count, code, said) in enumerate(cases):
            place = runs.place(f"litellm {number}")
            (place / "providers.toml").write_text(f'[providers.litellm]\nbase-url = "{proxy_url}"\n')
            before = sum((reached(journal) for journal in journals.values()), collections.Counter())
            arguments = ["--provider", "litellm", "--model", model, "--max-time", "8m", *arguments]
            ran, answered, failed = runs.run(place, count, arguments, LITELLM_PROXY_API_KEY=key)
            seen = sum((reached(journal) for journal in journals.values()), collections.Counter()) - before
            problems = []
            if ran.returncode != code or said not in ran.stderr:
                problems.append(f"exit {ran.returncode}, not {code}: {ran.stderr[-1500:]}")
            if code == 0 and (answered != count or seen[200] != count):
                problems.append(f"{answered} of {count} rows are answered, the upstream answered {seen[200]}")
            if seen.total() - seen[200] > count // 3:
                problems.append(f"{seen.total() - seen[200]} requests for {count} rows got no answer: {dict(seen)}")
            if code and (answered or failed or seen):
                problems.append(f"{answered} rows are answered, {failed} failed, the upstream saw {dict(seen)}")
            runs.note("LiteLLM", case, [f"{answered} of {count}", failed, seen.total() - seen[200], ran.returncode], problems)


def version(command, package):
    python = pathlib.Path(command).with_name("python")
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path, help="a folder for files")
    parser.add_argument("--litellm", type=pathlib.Path, help="the command litellm")
    parser.add_argument("--llmock", type=pathlib.Path, help="the command llmock")
    parser.add_argument("--only", help="only faults of llmock with this text")
    parser.add_argument("--page", type=pathlib.Path, help="the page that gets the results")
    given = parser.parse_args()
    runs = Runs(str(given.program.absolute()), given.folder.absolute())
    if given.llmock:
        by_llmock(runs, given.llmock.absolute(), given.only)
    if given.litellm:
        through_litellm(runs, given.litellm.absolute())
    if given.page:
        judges = f"Python {platform.python_version()}"
        judges += "".join(f", {command.name} {version(command, command.name)}" for command in (given.llmock, given.litellm) if command)
        write_section(given.page, "Providers: gateways and faults", f"""
Judges: {judges}.

llmock makes faults at random. With `report --strict`, llmock finds mistakes of the client. Such mistakes are a wait
that is too short, a retry that can't help, more than ten tries, tries without backoff, no time limit, and an answer
that was accepted although it was cut off. In other cases, LiteLLM passes the program's requests to simulators. Each row
must be answered once. If a run stops or a row fails, LiteLLM must not send unneeded requests to the simulators. If all
requests fail, the run ends at its time limit, and its rows stay pending. "Other tries" are the requests that got no
answer: requests that llmock saw, or requests that reached the simulators behind LiteLLM.

While an endpoint fails, the program probes it with a request of one word, which belongs to no row. A failed probe is
not sent again. llmock reports that the client gave up such a call; this finding is not counted.

| judge | what happens | rows answered | rows failed | other tries | exit code | findings |
|---|---|---|---|---|---|---|
{"".join(runs.table)}""")
    if runs.findings:
        raise SystemExit("\n".join(runs.findings))
    print("no findings")


sys.dont_write_bytecode = True
main()
