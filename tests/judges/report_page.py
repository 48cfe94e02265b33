"""Judges the report page of a run in Chromium. The four runs are: a run without rows, a run of one row, a run
of 318 rows, and a run of two hours. Each page is tested at 400, 900 and 1600 pixels, in light and dark colours, on
paper, and without scripts.

This judge fails if a page sends a request, writes to the console, scrolls sideways, or looks different without scripts.
It also fails if axe-core finds a fault. It needs Chromium, the Python package playwright, and the npm package axe-core:

    apt-get install chromium
    python3 -m venv V && V/bin/pip install playwright
    npm install --prefix V axe-core
    V/bin/python tests/judges/report_page.py target/debug/claude-batch WORK --axe V/node_modules/axe-core/axe.min.js

The pictures are in WORK/pictures. `--picture FILE` also writes the picture of the README.
"""

import argparse
import json
import math
import random
import shutil
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

WIDTHS = (400, 900, 1600)
HOSTILE = "<img src=x onerror=alert(1)>\"'&\u202e\u001b[31m</title><script>alert(2)</script>"


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("binary", type=Path, help="the program")
    arguments.add_argument("work", type=Path, help="a folder for files, which is emptied")
    arguments.add_argument("--axe", type=Path, required=True, help="axe.min.js of the npm package axe-core")
    arguments.add_argument("--chromium", default=shutil.which("chromium") or "chromium", help="the browser")
    arguments.add_argument("--picture", type=Path, help="where the picture of the README is written")
    args = arguments.parse_args()
    work = args.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    (work / "pictures").mkdir(parents=True)

    pages = make_pages(args.binary.resolve(), work)
    findings = look(pages, work / "pictures", args)
    for finding in findings:
        print(f"FINDING: {finding}", file=sys.stderr)
    if findings:
        raise SystemExit(f"{len(findings)} findings")
    print(f"{len(pages)} pages, no findings")


def make_pages(binary, work):
    """Makes the pages with the program. Returns a map from the name of a page to its path."""
    pages = {}
    for name, rows in (("one", 1), ("rows", 318)):
        folder = work / name
        folder.mkdir()
        lines = (json.dumps({"custom_id": f"row-{n}", "prompt": f"Say the number {n}."}) for n in range(rows))
        (folder / "prompts.jsonl").write_text("\n".join(lines) + "\n")
        run(binary, folder, "run", "prompts.jsonl", "-o", "out.jsonl", "--simulate", "--max-tokens", "64")
        pages[name] = report(binary, folder)

    hours = work / "two-hours"
    shutil.copytree(work / "rows", hours)
    make_two_hours(hours)
    pages["two-hours"] = report(binary, hours)

    bare = work / "bare"
    bare.mkdir()
    shutil.copy(hours / "out.jsonl", bare)
    shutil.copy(hours / "out.errors.jsonl", bare)
    run(binary, bare, "report", "out.jsonl", "-o", "page.html")
    pages["bare"] = bare / "page.html"

    empty = work / "empty"
    empty.mkdir()
    (empty / "out.jsonl").write_text("")
    (empty / "out.jsonl.run").mkdir()
    pages["empty"] = report(binary, empty)
    return pages


def report(binary, folder):
    run(binary, folder, "report", "out.jsonl")
    page = folder / "out.jsonl.run" / "report.html"
    if page.stat().st_mode & 0o077:
        raise SystemExit(f"{page} can be read by others")
    return page


def run(binary, folder, *args):
    said = subprocess.run([binary, *args], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if said.returncode not in (0, 3):
        raise SystemExit(f"claude-batch {args} ended with {said.returncode}: {said.stderr[-2000:]}")


def make_two_hours(folder):
    """Turns a run of a few seconds into a run of two hours. Changes the times in the lines, and adds failures and a
    history. The history contains two pools, waits that the API asked for (holds), a pause by ctl, and a resume."""
    chance = random.Random(22)
    begin = datetime(2026, 11, 26, 8, 3, tzinfo=timezone.utc)
    text = lambda at: at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    second_begin = begin + timedelta(minutes=94)
    seconds = [24 * n for n in range(190)] + [94 * 60 + 24 * n for n in range(110)]
    results = folder / "out.jsonl"
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    out = []
    for n in range(4200):
        line = json.loads(json.dumps(lines[n % len(lines)]))
        meta = line["meta"]
        meta["key"] = "k1:%032x" % n
        line["custom_id"] = f"ticket-{n:05}"
        if n == 7:
            line["custom_id"], meta["latency_ms"] = HOSTILE, 99_000
        at = begin + timedelta(seconds=chance.choice(seconds) + chance.random() * 24)
        meta["started_at"], meta["ended_at"] = text(at), text(at)
        meta["model"] = "claude-sonnet-5" if n % 5 == 0 else "claude-haiku-4-5"
        meta["usage"] |= {"input_tokens": 640 + n % 400, "cache_read_tokens": 2048, "output_tokens": 90 + n % 230}
        meta["cost_usd"] = round(0.0009 + (n % 97) * 0.00003, 6)
        if n != 7:
            meta["latency_ms"] = int(900 * math.exp(chance.gauss(0.2, 0.45)))
        meta["quality"] = "truncated" if n % 130 == 0 else "refused" if n % 611 == 0 else "ok"
        out.append(json.dumps(line, separators=(",", ":"), ensure_ascii=False))
    results.write_text("\n".join(out) + "\n")

    errors = []
    kinds = [
        ("invalid_request", 400, "messages.0.content: text content blocks must be non-empty"),
        ("invalid_request", 400, HOSTILE),
        ("server", 500, "Internal server error"),
        ("invalid_output", None, 'the answer "Dear customer, thank you for your letter" does not fit the schema'),
        ("timeout", None, "no answer came within 600 s"),
    ]
    for n in range(61):
        kind, status, message = kinds[min(n % 7, 4)]
        at = text(begin + timedelta(seconds=chance.choice(seconds)))
        error = {"class": kind, "status": status, "message": message, "retryable": False, "attempts": 1 + n % 4}
        error |= {"first_at": at, "last_at": at, "key": "k1:%032x" % (90_000 + n), "maybe_paid": 0}
        error |= {"run": "r", "results": "out.jsonl"}
        label = HOSTILE if n == 1 else f"ticket-{80_000 + n}"
        params = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "PROMPT"}]}
        errors.append(json.dumps({"custom_id": label, "params": params, "error": error}))
    (folder / "out.errors.jsonl").write_text("\n".join(errors) + "\n")

    points = []
    for n, second in enumerate(seconds):
        is_paused = 62 <= n < 72
        is_held = n in (31, 32, 33, 34, 120, 121, 233, 234)
        load = min(1.0, 0.2 + n / 18) if n < 190 else min(1.0, 0.4 + (n - 190) / 10)
        level = 0.0 if is_paused else load * (0.35 if is_held else 1.0) * (0.93 + 0.05 * chance.random())
        level *= 0.62 if 140 <= n < 190 else 1.0
        ok = round(14.6 * level)
        bound = {"input tokens per minute": 19.0, "concurrency": 3.0}
        if n < 12:
            bound = {"ramp-up": 20.0, "concurrency": 2.0}
        if is_held:
            bound = {"holds after 429": 15.5, "input tokens per minute": 6.0}
        if is_paused:
            bound = {"pause": 24.0}
        if 140 <= n < 190:
            bound = {"output tokens per minute": 16.0, "concurrency": 6.5}
        use = lambda share, allowed: [round(allowed * share), float(allowed)]
        requests, tokens_in, tokens_out = use(level * 0.41, 400), use(level * 0.985, 20_000), use(level * (0.97 if 140 <= n < 190 else 0.58), 8_000)
        sonnet = use(level * 0.22, 400), use(level * 0.71, 12_000), use(level * 0.8, 3_200)
        pools = [(requests, tokens_in, tokens_out), sonnet]
        uses = {
            str(at): {"counted": [used[0] for used in pool], "allowed": [used[1] for used in pool]}
            for at, pool in enumerate(pools)
        }
        at = begin + timedelta(seconds=second)
        points.append(
            {"at": text(at), "s": 24.0, "ok": ok, "failed": int(n % 5 == 0 and not is_paused), "sent": ok + 5 * is_held,
             "refused": (4 + n % 3) * is_held, "retried": int(n % 11 == 0), "input": ok * 840, "cached": ok * 2048,
             "output": ok * 205, "usd": ok * 0.0024, "in_flight": round(3 + 21 * level, 2), "bound": bound, "uses": uses}
        )
    end = begin + timedelta(seconds=seconds[-1] + 24)
    note = lambda minutes, kind, words: {"at": text(begin + timedelta(minutes=minutes)), "kind": kind, "text": words}
    first = {"run": "20261126T080300Z-1c33aa", "started_at": text(begin), "ended_at": text(begin + timedelta(minutes=76)),
             "has_ended": False, "reason": None, "total": 4300, "planned_usd": [8.1, 9.6, 12.2],
             "planned_s": [5400, 6800, 9000], "max_in_flight": 26}
    second = first | {"run": "20261126T093700Z-77de01", "started_at": text(second_begin), "ended_at": text(end),
                      "has_ended": True, "planned_usd": [3.0, 3.6, 4.4], "max_in_flight": 24}
    counts = {}
    for _ in range(4000):
        at = bucket(int(420 * math.exp(chance.gauss(0, 0.4))))
        counts[str(at)] = counts.get(str(at), 0) + 1
    timeline = {
        "v": 1, "runs": [first, second], "pools": ["haiku-4.5", "sonnet-5"], "points": points,
        "notes": [
            note(6.2, "crossed", "haiku-4.5: use of input tokens is above 80% (mean of 5 min: 83%)"),
            note(9.0, "crossed", "haiku-4.5: use of input tokens is above 95% (mean of 5 min: 96%)"),
            note(12.4, "held", "haiku-4.5 is held for 1 min 36 s after a 429 (input tokens)"),
            note(24.8, "steered", "ctl: paused"), note(28.8, "steered", "ctl: continued"),
            note(48.0, "held", "haiku-4.5 is held for 48 s after a 429 (input tokens)"),
            note(96.0, "warning", HOSTILE),
        ],
        "first_byte": counts, "latency": counts,
    }
    (folder / "out.jsonl.run" / "timeline.json").write_text(json.dumps(timeline))


def bucket(millis):
    """Returns the histogram bucket of a duration, as src/watch/histogram.rs does."""
    bits = millis.bit_length()
    if bits <= 5:
        return millis
    shift = bits - 5
    return ((shift + 1) << 4) + ((millis >> shift) & 15)


def look(pages, pictures, args):
    """Opens each page in all sizes and colour schemes, on paper and without scripts. Returns what is wrong."""
    from playwright.sync_api import sync_playwright

    axe = args.axe.read_text()
    findings = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        for name, page in pages.items():
            size = page.stat().st_size
            print(f"{name}: {size:,} bytes", flush=True)
            if size > (200_000 if name != "two-hours" else 300_000):
                findings.append(f"{name}: {size:,} bytes")
            for scheme in ("light", "dark"):
                for width in WIDTHS:
                    findings += look_at(browser, page, f"{name}-{width}-{scheme}", width, scheme, pictures, axe)
            findings += without_scripts(browser, page, name)
            paper = browser.new_page()
            paper.goto(page.as_uri())
            paper.emulate_media(media="print")
            paper.set_viewport_size({"width": 690, "height": 1000})
            paper.screenshot(path=pictures / f"{name}-paper.png", full_page=True)
            if paper.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                findings.append(f"{name}: the page is wider than paper")
            paper.pdf(path=pictures / f"{name}.pdf", format="A4", print_background=True)
            paper.close()
        if args.picture:
            # The picture shows the sections with the charts, because the charts matter most on this page.
            best = browser.new_page(viewport={"width": 1200, "height": 1535}, color_scheme="light")
            best.goto(pages["two-hours"].as_uri())
            best.add_style_tag(content="section[aria-labelledby=h-asked],section[aria-labelledby=h-came]{display:none}")
            best.screenshot(path=args.picture)
        browser.close()
    return findings


def look_at(browser, page, name, width, scheme, pictures, axe):
    # The content security policy of the page forbids scripts, so axe-core can run only with `bypass_csp`.
    context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme, bypass_csp=True)
    tab = context.new_page()
    findings = []
    tab.on("console", lambda message: findings.append(f"{name}: console: {message.text}"))
    tab.on("pageerror", lambda error: findings.append(f"{name}: error: {error}"))
    tab.on("request", lambda request: None if request.url == page.as_uri() else findings.append(f"{name}: request: {request.url}"))
    tab.goto(page.as_uri())
    if tab.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        findings.append(f"{name}: the page scrolls sideways")
    tab.screenshot(path=pictures / f"{name}.png", full_page=True)
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    tab.add_script_tag(content=axe)
    for violation in tab.evaluate("axe.run()")["violations"]:
        where = violation["nodes"][0]
        findings.append(f"{name}: axe {violation['id']}: {violation['help']}: {where['html'][:200]} {where.get('failureSummary', '')[:300]}")
    context.close()
    return findings


def without_scripts(browser, page, name):
    findings, texts = [], []
    for has_scripts in (True, False):
        context = browser.new_context(java_script_enabled=has_scripts)
        tab = context.new_page()
        tab.on("console", lambda message: findings.append(f"{name}: console: {message.text}"))
        tab.goto(page.as_uri())
        texts.append(tab.inner_text("body"))
        context.close()
    if texts[0] != texts[1] or len(texts[1]) < 200:
        findings.append(f"{name}: the page differs without scripts")
    return findings


sys.dont_write_bytecode = True
main()
