"""Measures how long the program takes to make a table of a million answers. jq, DuckDB and Polars read the same results file.

Each program makes a CSV of the columns id, text and error in the order of the input, on one core. The programs take turns,
several times. The other programs sort by `meta.index`, and claude-batch reads the input to know its order. All outputs must have the
same cells.
"""

import argparse
import csv
import datetime
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

WORDS = "the answer to this question is that a river runs, \"quietly\", through seven valleys\nand then é into 日本 the sea"

DUCKDB = """
import duckdb
c = duckdb.connect()
c.execute("set threads = 1")
c.execute('''copy (
    select custom_id as id,
        list_aggregate(list_transform(list_filter(result.message.content, lambda x: x.type = 'text'), lambda x: x.text),
            'string_agg', '') as text,
        null as error
    from read_ndjson('p.results.jsonl', columns = {
        'custom_id': 'VARCHAR',
        'result': 'STRUCT(message STRUCT(content STRUCT("type" VARCHAR, "text" VARCHAR)[]))',
        'meta': 'STRUCT("index" BIGINT)'})
    order by meta."index") to 'duckdb.csv' (header)''')
"""

POLARS = """
import polars as pl
block = pl.Struct({'type': pl.String, 'text': pl.String})
schema = {
    'custom_id': pl.String,
    'result': pl.Struct({'message': pl.Struct({'content': pl.List(block)})}),
    'meta': pl.Struct({'index': pl.Int64}),
}
content = pl.col('result').struct.field('message').struct.field('content')
text = content.list.eval(pl.element().struct.field('text')).list.join('')
index = pl.col('meta').struct.field('index')
rows = pl.scan_ndjson('p.results.jsonl', schema=schema)
rows = rows.select(index, pl.col('custom_id').alias('id'), text.alias('text'), pl.lit(None).alias('error'))
rows.sort('index').drop('index').sink_csv('polars.csv')
"""

# jq would need unbounded memory to sort the table. So jq writes the rows with their positions, and `sort` sorts the
# rows.
JQ = """
jq -r '[.meta.index, .custom_id, ([.result.message.content[] | select(.type == "text").text] | add), ""] | @json' \
    p.results.jsonl | sort -t, -k1.2n -S 100M | jq -r '.[1:] | @csv' > jq.csv
"""


def make_rows(folder, count):
    """Writes prompts, and a results file whose lines are in nearly the same order."""
    words, chance = WORDS.split(" "), random.Random(1)
    with open(folder / "p.jsonl", "w") as prompts, open(folder / "p.results.jsonl", "w") as results:
        waiting = []
        for row in range(count):
            prompt = {"custom_id": f"row-{row}", "prompt": f"Say something about river {row}.", "max_tokens": 200}
            prompts.write(json.dumps(prompt) + "\n")
            waiting.append(row)
            if len(waiting) == 300:
                results.write(line_of(waiting.pop(chance.randrange(300)), words, chance))
        chance.shuffle(waiting)
        for row in waiting:
            results.write(line_of(row, words, chance))


def line_of(row, words, chance):
    usage = {"input_tokens": 21, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 80}
    message = {
        "id": f"msg_{row:020}", "type": "message", "role": "assistant", "model": "claude-haiku-4-5-20251001",
        "content": [{"type": "text", "text": " ".join(chance.choice(words) for _ in range(60))}],
        "stop_reason": "end_turn", "stop_sequence": None, "usage": {**usage, "service_tier": "standard"},
    }
    meta = {
        "v": 1, "run": "20261126T130000Z-abcdef", "index": row, "key": f"k1:{row * 7919 + 1:032x}",
        "model": "claude-haiku-4-5", "lane": "online", "provider": "anthropic", "attempts": 1,
        "usage": {"input_tokens": 21, "cache_write_5m_tokens": 0, "cache_write_1h_tokens": 0, "cache_read_tokens": 0,
                  "output_tokens": 80, "web_searches": 0},
        "maybe_paid": 0, "quality": "ok", "latency_ms": 812, "cost_usd": 0.000421, "price_date": "2026-11-24",
        "request_id": f"req_{row:020}", "started_at": "2026-11-26T13:00:00.000Z",
        "ended_at": "2026-11-26T13:00:01.000Z",
    }
    line = {"custom_id": f"row-{row}", "result": {"type": "succeeded", "message": message}, "meta": meta}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"


def measured(command, folder, core):
    """Runs a command on one core. Returns its wall time and CPU time in seconds, and its peak memory in MB."""
    prefix = ["taskset", "-c", str(core)]
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    begun = time.monotonic()
    process = subprocess.Popen(prefix + command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[0]} ended with {status}")
    return time.monotonic() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000


def cells(path, has_header=True):
    with open(path, newline="") as file:
        rows = csv.reader(file)
        if has_header:
            next(rows)
        yield from rows


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("binary", type=Path, help="the program")
    arguments.add_argument("work", type=Path, help="a folder for files")
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--runs", type=int, default=5, help="how often each program runs; jq runs once")
    arguments.add_argument("--core", type=int, default=1)
    arguments.add_argument("--page", type=Path, help="where the page is written")
    args = arguments.parse_args()

    args.work.mkdir(parents=True, exist_ok=True)
    csv.field_size_limit(sys.maxsize)
    if not (args.work / "p.results.jsonl").exists():
        make_rows(args.work, args.rows)
    ours = [str(args.binary.resolve()), "results", "p.results.jsonl", "--input", "p.jsonl", "-o", "ours.csv"]
    programs = {
        "claude-batch": (ours, args.runs),
        "DuckDB": ([sys.executable, "-c", DUCKDB], args.runs),
        "Polars": ([sys.executable, "-c", POLARS], args.runs),
        "jq and sort": (["sh", "-c", JQ], 1),
    }
    figures = {name: [] for name in programs}
    for run in range(args.runs):
        for name, (command, runs) in programs.items():
            if run < runs:
                figures[name].append(measured(command, args.work, args.core))

    for name, output in {"DuckDB": "duckdb.csv", "Polars": "polars.csv", "jq and sort": "jq.csv"}.items():
        pairs = zip(cells(args.work / "ours.csv"), cells(args.work / output, name != "jq and sort"), strict=True)
        if any(one != other for one, other in pairs):
            raise SystemExit(f"the cells of {name} differ")
    table = [(name, *(statistics.median(column) for column in zip(*runs))) for name, runs in figures.items()]
    for row in table:
        print("{}: {:.2f} s, {:.2f} s of CPU, {:.0f} MB".format(*row))
    if args.page:
        write(args.page, args, table)


def write(page, args, table):
    import duckdb
    import polars

    jq = subprocess.run(["jq", "--version"], capture_output=True, text=True, check=True).stdout.strip().removeprefix("jq-")
    versions = {"DuckDB": f" {duckdb.__version__}", "Polars": f" {polars.__version__}", "jq and sort": f" (jq {jq})"}
    size = (args.work / "p.results.jsonl").stat().st_size / 1e9
    base = table[0]
    lines = [
        "# A table of a million answers",
        "",
        f"`.ci/judges` makes this page. {datetime.date.today()}, {platform.machine()}, one core, {args.rows:,} rows, a "
        f"results file of {size:.2f} GB",
        "in the system's cache. Each program writes a CSV of the columns id, text and error in the order of the input, "
        f"{args.runs} times",
        "in turn (jq only once). The figures are medians. The cells of all outputs are the same. claude-batch takes the "
        "order from the input,",
        "so it also reads the input. It also waits until its output is on the disk. The other programs sort by "
        "`meta.index`.",
        "",
        "| program | wall time | CPU time | most memory | CPU time, divided by the CPU time of claude-batch |",
        "|---|---|---|---|---|",
    ]
    for name, wall, cpu, memory in table:
        lines.append(
            f"| {name}{versions.get(name, '')} | {wall:.2f} s | {cpu:.2f} s | {memory:,.0f} MB | {cpu / base[2]:.2f} |"
        )
    page.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
