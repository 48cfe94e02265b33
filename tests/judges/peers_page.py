"""Writes the page about the comparison from what was measured."""

import collections
import datetime
import platform
import re

from page_section import write_section

HEAD = """# Other tools, measured

Made by `.ci/judges peers`. It installs each tool by its name, runs it against `claude-batch simulate` on the same machine,
and counts what the simulator saw and charged. All tools get the same rows, model and limits. Each number was measured
twice, and both values are given if they differ. The tools are used as their documentation recommends: they are told the
limits if they have a setting for them, and they use their cache, checkpoints or log to resume.
[tests/judges/peers](../tests/judges/peers) has the scripts.

The simulator is a part of this project. It follows the documented rules of the API; [src/sim/mod.rs](../src/sim/mod.rs)
lists them. Tools of which only their documentation is known are not in these tables.
"""

# The seconds that the limits of these cases allow at best, without the last answer.
BOUNDS = {"requests bind": 50.0, "output binds": 50.0}


def both(values):
    """Returns both values, or one if they are equal."""
    texts = list(dict.fromkeys(map(str, values)))
    return " and ".join(texts) if texts else "not measured"


def is_late(found):
    return bool(found.get("too_long"))


def time_cell(case, runs):
    cells = []
    for found in runs:
        if is_late(found):
            cells.append(f"not done after {found.get('most_seconds', 240)} s")
        else:
            cells.append(f"{found['seconds'] / BOUNDS[case]:.2f}")
    return both(cells)


def lost_cell(runs):
    return both(len(found["lost"]) for found in runs)


def speed(tools, measured):
    for name in tools:
        cells = []
        for case in BOUNDS:
            runs = measured.get((name, case), [])
            if runs:
                cells += [time_cell(case, runs), both(found["refused"] for found in runs), lost_cell(runs)]
        if cells:
            yield name, cells


def kill(tools, measured):
    for name in tools:
        runs = measured.get((name, "kill"), [])
        if runs:
            yield name, [
                both(found["billed_again"] for found in runs),
                lost_cell(runs),
            ]


def faults(tools, measured):
    for name in tools:
        runs, outage = measured.get((name, "mixed"), []), measured.get((name, "outage"), [])
        if not runs:
            continue
        good = [sum(int(row[1:]) % 10 not in (3, 7) for row in found["lost"]) for found in runs]
        named = [f"{len(found['failed'])}" for found in runs]
        per_refused = [f"{found['refused_bodies'] / 10:.0f}" for found in runs]
        if name == "Message Batches by hand":
            per_refused = ["1"]
        marked = [len(found["marked"]) for found in runs]
        yield name, [
            lost_cell(outage) if outage else "–",
            both(good),
            both(named),
            both(per_refused),
            both(marked),
            both(1 + found["billed_again"] // 10 for found in runs),
        ]


def memory(tools, measured):
    for name in tools:
        small, large = (measured.get((name, f"memory {count}"), []) for count in (500, 5000))
        if not small:
            continue
        sizes = [f"not done after {found.get('most_seconds', 240)} s, {found['peak_mb']}" if is_late(found) else found["peak_mb"] for found in large]
        said = measured.get((name, "mixed"), small)
        is_told = both("yes" if re.search(r"\$ ?\d", found.get("said_before", "")) else "no" for found in said)
        cap = measured.get((name, "cap"), [])
        charged = both(f"${found['billed_usd']:.4f}" for found in cap) if cap else "no cap used"
        yield name, [both(found["peak_mb"] for found in small), both(sizes), is_told, charged]


def table(heads, rows):
    lines = ["| tool | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    return "\n".join(lines + [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows]) + "\n"


def write_page(page, found_list):
    """Writes all sections. The runs are those of the last measurement of each tool, case and turn."""
    latest = {(found["tool"], found["case"], found["turn"]): found for found in found_list}
    measured, tools = collections.defaultdict(list), {}
    for (tool, case, _), found in sorted(latest.items(), key=lambda item: item[0][2]):
        measured[tool, case].append(found)
    for found in found_list:
        tools[found["tool"]] = found
    order = [name for name in ORDER if name in tools] + [name for name in tools if name not in ORDER]
    page.write_text(HEAD, encoding="utf-8")
    versions = [(name, [tools[name]["version"], f"`{tools[name]['shown']}`"]) for name in order]
    write_section(page, "Versions and commands", f"Python {platform.python_version()}, {platform.system()}, a machine with two processors that other work shared.\n\n" + table(["version", "command"], versions).replace("---:", "---") + VERSIONS)
    write_section(page, "Time and refusals under limits", SPEED + table([
        "requests bind: time ÷ bound", "429s", "rows lost", "output binds: time ÷ bound", "429s", "rows lost",
    ], speed(order, measured)))
    write_section(page, "A kill in the middle", KILL + table(["rows paid twice (of 200)", "rows lost"], kill(order, measured)))
    write_section(page, "Failures and truncated answers", FAULTS + table([
        "outage: rows lost", "400: other rows lost", "400: failed rows named (of 10)", "tries of such a row",
        "truncated: answers marked (of 10)", "times paid for such a row",
    ], faults(order, measured)))
    write_section(page, "Memory and money", MEMORY + table([
        "500 rows (MB)", "5,000 rows (MB)", "dollars named before the first request", "charged with a cap of $0.0200",
    ], memory(order, measured)))


ORDER = [
    "claude-batch", "claude-batch --lane batch", "own script", "own script, append", "Message Batches by hand", "lm-deluge",
    "async-batch-llm", "curator", "promptfoo", "GNU parallel + curl",
]
VERSIONS = """
- **own script** is [own_script.py](../tests/judges/peers/own_script.py): asyncio, the official SDK with `max_retries=5`, and
  a semaphore of 20. With `append` it writes each answer as it comes, and skips rows that have an answer.
- **Message Batches by hand** is [batches_by_hand.py](../tests/judges/peers/batches_by_hand.py): create, poll, results.
- **promptfoo** is the latest version that npm installs with Node 20.
- **curator** needs an older SDK than the other tools, so it is installed apart.
- **async-batch-llm** runs with `cooldown_seconds=30`, as its guide recommends for limits per minute. With its default of
  300 s, one 429 paused both runs under limits for 300 s.
- All tools have at most 20 requests in flight, except `claude-batch`, which chooses the number itself (in the kill, 20).
"""
SPEED = """
Two cases. *Requests bind*: 440 rows, 240 requests a minute, answers of 40 tokens. *Output binds*: 220 rows, 12,000 output
tokens a minute, answers of 100 tokens, `max_tokens` 1,000. The first minute's limit can be used at once, so each case
takes at least about 50 s (the *bound*). The time is measured from the first request to the last answer, without the
start of the tool. The API counts output as it is produced, so a client with requests in flight can go below the bound
in the second case. A row is lost if it has no answer at the end. A time below 1 with lost rows is the time of fewer
answers.

"""
KILL = """
200 rows without limits, at most 20 in flight. `kill -9` after 80 answers (for batches: as soon as a batch is created), then
the same command again. The simulator counts the answers that it charged a second time. An answer in flight at the kill
is charged, but nobody receives it, so each online tool pays for up to 20 rows again. How many of the 20 are in flight at
the moment of the kill depends on chance.

"""
FAULTS = """
*Outage*: 200 rows; every request is answered with 529 for 45 s after the start of the simulator, and the tools start at
once. *400 and truncated*: 100 rows; every tenth row is always refused with 400, and every tenth answer ends at
`max_tokens`. *Named* means that the tool's own output names the failed row. *Marked* means that the output of the tool or
of its script has the stop reason or a mark.

"""
MEMORY = """
Rows of 10 kB without limits and latency. The memory is that of all processes of the tool together, sampled every 0.1 s.
*Dollars named* looks at what the tool had printed when its first request arrived. *Cap*: 200 rows that would cost $0.0424,
with a cap of $0.02, if the tool has one.

"""
