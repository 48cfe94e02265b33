"""Runs this program and other tools against the simulator of this program, and measures each tool from outside.

Each tool runs twice in each case, in a folder of its own, with a simulator of its own. Several tools run at the same
time, because they mostly wait for the simulator. `.ci/judges peers` installs the tools, and calls this script.
"""

import argparse
import concurrent.futures
import json
import pathlib
import sys

import peers_tools
from peers_page import write_page
from peers_run import Case, measure

LATENCY = ["--latency", "600ms,120"]


def rows(count, words="Say something about the number", extra=""):
    return [{"id": f"r{at:05}", "prompt": f"{words} {at}.{extra}"} for at in range(count)]


def mixed():
    """Of ten rows, one row is always refused with 400, and the answer to another row is always truncated."""
    marks = {3: " [refused]", 7: " [long]"}
    return [{**row, "prompt": row["prompt"] + marks.get(at % 10, "")} for at, row in enumerate(rows(100))]


NO_LIMITS = ["--tier", "none"]
CASES = [
    Case(
        "requests bind", rows(440),
        ["--tier", "none", "--rpm", "240", "--itpm", "100000", "--otpm", "50000", "--output-tokens", "40", *LATENCY],
        told={"RPM": 240, "ITPM": 100_000, "OTPM": 50_000, "EXPECTED": 40, "DELAY": 0.25},
    ),
    Case(
        "output binds", rows(220),
        ["--tier", "none", "--rpm", "4000", "--itpm", "100000", "--otpm", "12000", "--output-tokens", "100", *LATENCY],
        max_tokens=1000, told={"RPM": 4000, "ITPM": 100_000, "OTPM": 12_000, "EXPECTED": 100, "DELAY": 0.5},
    ),
    # Answers differ in length and latency, so that they end at different moments.
    Case(
        "kill", rows(200), [*NO_LIMITS, "--output-tokens", "mean=60,sigma=0.6", "--batch-time", "10s"],
        max_tokens=2000, kill_at=80, few=True,
    ),
    Case(
        "mixed", mixed(), [*NO_LIMITS, "--output-tokens", "40", *LATENCY],
        faults=[
            {"status": 400, "share": 1, "contains": "[refused]"},
            {"kind": "request_errored", "share": 1, "contains": "[refused]"},
        ],
        answers=[{"truncated": True, "contains": "[long]"}], most_seconds=150,
    ),
    # The tools start within 30 s. Without the outage, 20 requests in flight take about 80 s.
    Case(
        "outage", rows(600), [*NO_LIMITS, "--output-tokens", "40", "--latency", "2s,100"],
        faults=[{"status": 529, "share": 1, "from": "30s", "until": "75s"}], most_seconds=420, few=True,
    ),
    Case("cap", rows(200), [*NO_LIMITS, "--output-tokens", "40", *LATENCY], told={"CAP": 0.02}),
    Case("memory 500", rows(500, extra=" word" * 2000), [*NO_LIMITS, "--output-tokens", "40", "--latency", "zero"]),
    Case("memory 2500", rows(2500, extra=" word" * 2000), [*NO_LIMITS, "--output-tokens", "40", "--latency", "zero"]),
    Case("memory 20000", rows(20_000, extra=" word" * 2000), [*NO_LIMITS, "--output-tokens", "40", "--latency", "zero"]),
]


def tools(program, given):
    script = peers_tools.Script
    streams = script("async-batch-llm", given.packages, "async_batch_llm_script.py", ["async-batch-llm", "anthropic"])
    streams.cap = True
    return [
        peers_tools.Ours(program),
        peers_tools.Ours(program, "--lane", "batch"),
        script("own script", given.packages, "own_script.py", ["anthropic"]),
        script("own script, append", given.packages, "own_script.py", ["anthropic"], "append"),
        peers_tools.Batches("Message Batches by hand", given.packages, "batches_by_hand.py", ["anthropic"]),
        script("lm-deluge", given.packages, "lm_deluge_script.py", ["lm-deluge"]),
        streams,
        peers_tools.Curator("curator", given.curator, "curator_script.py", ["bespokelabs-curator"]),
        peers_tools.Promptfoo(given.promptfoo),
        peers_tools.Parallel(),
    ]


# Tools that send batches. Such tools are left out of some cases, because limits per minute do not apply to batches.
BATCHES = {"claude-batch --lane batch", "Message Batches by hand"}


def applies(tool, case):
    # With 20,000 rows, the other tools take too long.
    if case.name == "memory 20000":
        return tool.name == "claude-batch"
    if case.name == "cap":
        return tool.cap and tool.name not in BATCHES
    if tool.name in BATCHES:
        return case.name in ("kill", "mixed") and not (tool.name.startswith("claude") and case.name == "mixed")
    return tool.name != "own script, append" or case.name == "kill"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path, help="a folder for files")
    parser.add_argument("--packages", required=True, help="the Python with anthropic, async-batch-llm and lm-deluge")
    parser.add_argument("--curator", required=True, help="the Python with bespokelabs-curator")
    parser.add_argument("--promptfoo", required=True, help="the command promptfoo")
    parser.add_argument("--only-tool", help="only tools with this text")
    parser.add_argument("--only-case", help="only cases with this text")
    parser.add_argument("--page", type=pathlib.Path, help="the page that gets the results")
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--at-once", type=int, default=3)
    given = parser.parse_args()
    program, folder = str(given.program.absolute()), given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    work = [
        (tool, case, turn)
        for case in CASES
        for turn in range(given.times)
        for tool in tools(program, given)
        if applies(tool, case) and (given.only_tool or "") in tool.name and (given.only_case or "") in case.name
    ]
    kept = folder / "measured.jsonl"

    def one(part):
        tool, case, turn = part
        found = measure(program, tool, case, folder / str(turn))
        shown = {name: value for name, value in found.items() if name not in ("said_before", "stats", "statuses")}
        shown |= {name: len(found[name]) for name in ("lost", "failed", "marked")}
        print(f"{case.name}, {tool.name}: {shown}", flush=True)
        about = {"tool": tool.name, "version": tool.version(), "shown": tool.shown, "most_seconds": case.most_seconds}
        return {**about, "case": case.name, "turn": turn, **found}

    # The page also uses earlier measurements in this folder. Therefore it is possible to repeat only some of the
    # measurements.
    with concurrent.futures.ThreadPoolExecutor(given.at_once) as threads, kept.open("a") as out:
        for found in threads.map(one, work):
            out.write(json.dumps(found) + "\n")
            out.flush()
    if given.page:
        write_page(given.page, [json.loads(line) for line in kept.read_text().splitlines()])


sys.dont_write_bytecode = True
main()
