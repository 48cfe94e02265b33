"""Makes the page that compares the tools, from the measured values."""

import collections
import datetime
import os
import platform
import re

HEAD = """# Other tools, measured

`tests/judges/peers.py` makes this page. `.ci/judges peers` installs each tool by its name and starts it. It runs each
tool against `claude-batch simulate` on the same machine, and counts what the simulator saw and charged. All tools get
the same rows, model and limits. Each number was measured twice. If the two values differ, both are given. If a tool has
settings for limits, these settings have the limits of the simulator. To resume, each tool uses its cache, checkpoints
or log. [tests/judges/peers](../tests/judges/peers) has the scripts. Each part can be measured again without the others.
The page shows the latest measurement of each part.

The simulator is a part of this project. It follows the documented rules of the API;
[src/sim/mod.rs](../src/sim/mod.rs) lists them. No statement on this page comes only from the documentation of a tool.
"""

# The shortest time that the limits of these cases allow, in seconds. This time does not include the duration of the
# last answer.
BOUNDS = {"requests bind": 50.0, "output binds": 50.0}


def both(values):
    """Joins the values to one text, in which each value appears only once."""
    texts = list(dict.fromkeys(map(str, values)))
    return " and ".join(texts) if texts else "not measured"


def is_late(found):
    return bool(found.get("too_long"))


def time_cell(case, runs):
    cells = []
    for found in runs:
        if is_late(found):
            cells.append(f"not done after {found['most_seconds']} s")
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


def outage(tools, measured):
    for name in tools:
        # A run without requests is left out: its tool started so late that the first call was during the outage.
        runs = [found for found in measured.get((name, "outage"), []) if found["requests"]]
        if runs:
            yield name, [
                lost_cell(runs),
                both(found["statuses"].get("529", 0) for found in runs),
                both(f"{found['seconds']:.0f} s" if found["seconds"] else "–" for found in runs),
            ]


def faults(tools, measured):
    for name in tools:
        runs = measured.get((name, "mixed"), [])
        if not runs:
            continue
        others = [sum(not is_refused(row) and not is_truncated(row) for row in found["lost"]) for found in runs]
        named = [sum(map(is_refused, found["failed"])) for found in runs]
        per_refused = [f"{found['refused_bodies'] / 10:.0f}" for found in runs]
        kept = [10 - sum(map(is_truncated, found["lost"])) for found in runs]
        # A request in a batch is not counted as a request for a message.
        per_refused = ["1"] if name == "Message Batches by hand" else per_refused
        paid = [1 + found["billed_again"] // 10 for found in runs]
        marked = [len(found["marked"]) for found in runs]
        yield name, [both(others), both(named), both(per_refused), both(kept), both(marked), both(paid)]


def is_refused(row):
    return int(row[1:]) % 10 == 3


def is_truncated(row):
    return int(row[1:]) % 10 == 7


def memory(tools, measured):
    for name in tools:
        small, large = (measured.get((name, f"memory {count}"), []) for count in (500, 2500))
        if not small:
            continue
        sizes = [size_cell(found) for found in large]
        said = measured.get((name, "mixed"), small)
        is_told = both("yes" if re.search(r"\$ ?\d", found["said_before"]) else "no" for found in said)
        cap = measured.get((name, "cap"), [])
        charged = both(f"${found['billed_usd']:.4f} in {found['seconds']:.0f} s" for found in cap) if cap else "–"
        huge = measured.get((name, "memory 20000"), [])
        more = f" (20,000 rows: {both(found['peak_mb'] for found in huge)})" if huge else ""
        yield name, [both(found["peak_mb"] for found in small), both(sizes) + more, is_told, charged]


def size_cell(found):
    return f"{found['peak_mb']} (not done after {found['most_seconds']} s)" if is_late(found) else found["peak_mb"]


def table(heads, rows):
    lines = ["| tool | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    return "\n" + "\n".join(lines + [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows]) + "\n"


def write_page(page, found_list):
    """Writes all sections of the page. For each tool, case and turn, the last measurement is used."""
    latest = {(found["tool"], found["case"], found["turn"]): found for found in found_list}
    measured, tools = collections.defaultdict(list), {}
    for (tool, case, _), found in sorted(latest.items(), key=lambda item: item[0][2]):
        measured[tool, case].append(found)
    for found in found_list:
        tools[found["tool"]] = found
    order = [name for name in ORDER if name in tools] + [name for name in tools if name not in ORDER]
    versions = [(name, [tools[name]["version"], f"`{tools[name]['shown']}`"]) for name in order]
    load = f"{os.cpu_count()} processors with a load of {os.getloadavg()[2]:.0f}, work of other programs included"
    where = f"Last run: {datetime.date.today()}, Python {platform.python_version()}, {platform.system()}, {load}"
    sections = [
        ("Versions and commands", f"{where}.\n" + table(["version", "command"], versions).replace("---:", "---") + VERSIONS),
        ("Time and refusals under limits", SPEED + table(SPEED_HEADS, speed(order, measured)) + SPEED_READ),
        ("A kill in the middle", KILL + table(KILL_HEADS, kill(order, measured)) + KILL_READ),
        ("An outage", OUTAGE + table(OUTAGE_HEADS, outage(order, measured)) + OUTAGE_READ),
        ("Rows that fail, and truncated answers", FAULTS + table(FAULT_HEADS, faults(order, measured)) + FAULTS_READ),
        ("Memory and money", MEMORY + table(MEMORY_HEADS, memory(order, measured))),
    ]
    text = HEAD + "".join(f"\n## {heading}\n\n{said.strip()}\n" for heading, said in sections)
    page.write_text(text, encoding="utf-8")


ORDER = [
    "claude-batch", "claude-batch --lane batch", "own script", "own script, append", "Message Batches by hand", "lm-deluge",
    "async-batch-llm", "curator", "promptfoo", "GNU parallel + curl",
]
# The texts below the tables are about the measurement of 2026-11-27. After a new measurement, compare these texts with
# the tables.
VERSIONS = """
- **own script** is [own_script.py](../tests/judges/peers/own_script.py): asyncio, the official SDK with
  `max_retries=5`, and a semaphore of 20. With the argument `append`, the script writes each answer as soon as it
  arrives, and skips rows that have an answer.
- **Message Batches by hand** is [batches_by_hand.py](../tests/judges/peers/batches_by_hand.py). This script
  creates a batch, polls the batch, and downloads the results.
- **promptfoo** is the version that `npm install promptfoo` chose with Node 20.20.2.
- **curator** needs an older SDK than the other tools, so it is installed apart from them. The tools can reach only the
  simulator, so Curator reads the copy of its table of tokens in LiteLLM.
- **async-batch-llm** runs with `cooldown_seconds=30`, as its guide recommends for limits per minute. By default, one
  429 pauses a run for 300 s. In this measurement, a run may take at most 240 s.
- **GNU parallel** starts curl for each row, with `--retry 6 --retry-all-errors`. Under limits, `--delay` sets the time
  between two requests: 0.25 s if the limit on requests binds, and 0.5 s if the limit on output tokens binds.
- **lm-deluge** has one limit for input and output together, and reserves `max_tokens` of each request. Its setting is
  the sum of both limits. The settings of **async-batch-llm** are also this sum, and the true length of the answers.
- All tools have at most 20 requests in flight. Under limits, `claude-batch` chooses the number itself.
"""
SPEED = """
There are two cases. In the first case, *requests bind* (the limit on requests slows the run down): 440 rows, 240
requests a minute, answers of 40 tokens. In the second case, *output binds* (the limit on output tokens slows the run
down): 220 rows, 12,000 output tokens a minute, answers of 100 tokens, `max_tokens` 1,000. All of the first minute's
limit can be used at the start, so each case takes at least about 50 s. This time is the *bound*. The time is measured
from the first request to the last answer. The time to start the tool does not count. The API counts output tokens when
they are produced. So in the second case, a client with many requests in flight can need less time than the bound. A row
is lost if it has no answer at the end.
"""
KILL = """
The input has 200 rows. There are no limits, and at most 20 requests are in flight. Each tool is killed with `kill -9`
after 80 answers (for batches: as soon as a batch is created), and then the same command is run again. The simulator
counts the answers that it charged a second time. An answer in flight at the kill is charged, but nobody receives it, so
each online tool pays for up to 20 rows again. Chance decides how many of these 20 requests are in flight at the moment
of the kill.
"""
SPEED_HEADS = ["requests bind: time ÷ bound", "429s", "rows lost", "output binds: time ÷ bound", "429s", "rows lost"]
SPEED_READ = """
In the case in which output binds, promptfoo was the fastest tool. The tool async-batch-llm and the own script were also
faster than `claude-batch`, but many of their requests were refused. In the case in which requests bind, lm-deluge was
as fast as `claude-batch`. The own script finished earlier, but only because it gave up rows.
"""
KILL_HEADS = ["rows paid twice (of 200)", "rows lost"]
KILL_READ = ""
OUTAGE = """
The input has 600 rows, at most 20 requests are in flight, and each answer takes 2.4 s. Every request is answered with
529 from second 30 to second 75 after the start of the simulator. Without the outage, the rows take at least 72 s.
"""
OUTAGE_HEADS = ["rows lost (of 600)", "529s", "first request to last answer"]
OUTAGE_READ = """
`claude-batch` sends only a few requests during an outage, and raises their number slowly after the outage. So
`claude-batch` finished later than GNU parallel and lm-deluge, which sent more requests. In the other tools, rows ended
without an answer when their retries were used up. With more than 5 retries, the own script would have tried for longer.
Three tools can ask for such rows again in a second run: the own script with `append`, async-batch-llm, and promptfoo
with `--retry-errors`. This was not measured. Some tools are missing in this table: they started so late that their
first call was during the outage.
"""
FAULTS = """
The input has 100 rows. One row of ten is always refused with 400, and the answer to another row of ten ends at
`max_tokens`. *Named* is the number of refused rows that the output of the tool names. *Kept* is the number of truncated
answers in the output. *Marked* is the number of truncated answers that have a stop reason or a mark in the output.
*Paid* is the number of times that truncated answers were charged.
"""
FAULT_HEADS = [
    "other rows lost (of 80)", "refused rows named (of 10)", "requests per refused row", "truncated answers kept (of 10)",
    "marked", "times paid",
]
FAULTS_READ = """
The own script and the script for async-batch-llm keep only the text of an answer. They could be changed to keep the
stop reason too. By default, Curator treats a truncated answer as a failure, sends the request ten more times, and
drops the row.
"""
MEMORY = """
The rows have 10 kB each and are answered at once. The memory is the sum over all processes of a tool, sampled every 0.1
s. *Dollars named* says whether the tool had printed an amount in dollars when its first request arrived. *Cap* is the
amount that was charged for 200 rows with a cap of $0.0200. Without a cap, these rows would cost $0.0424. A dash means
that no setting for a cap was found. `claude-batch` reserves the highest cost of each request, so its cost stays below
the cap. Near the cap, it sends fewer requests at a time. In these runs, `claude-batch` chooses the number of requests
in flight itself. The other tools have at most 20 requests in flight. During a run, Curator shows a running estimate of
the total; at the end, lm-deluge shows the cost.
"""
MEMORY_HEADS = ["500 rows (MB)", "2,500 rows (MB)", "dollars named before the first request", "charged with a cap of $0.0200"]
