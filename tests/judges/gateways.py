"""Runs the program through a LiteLLM proxy, and against llmock, which judges clients.

usage: gateways.py PROGRAM FOLDER --litellm COMMAND --llmock COMMAND
"""

import argparse
import collections
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time
import urllib.request

KEY = "sk-proxy-key-of-the-judge-0123456789"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def started(command, url, folder, **more):
    log = open(folder / (pathlib.Path(command[0]).name + ".log"), "w")
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **more)
    for _ in range(240):
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return process
        except OSError:
            assert process.poll() is None, f"{command[0]} ended, see {log.name}"
            time.sleep(0.5)
    process.kill()
    raise SystemExit(f"{command[0]} did not start")


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC", "CLAUDE", "AWS"))}
    return {**kept, **more}


def rows(folder, count):
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({"custom_id": f"r{at}", "prompt": f"Hello {at}", "max_tokens": 60}) + "\n" for at in range(count)))
    return path


def run(program, folder, arguments, **variables):
    command = [program, "run", "rows.jsonl", "-o", "out.jsonl", "--fresh", "--yes", *arguments]
    ran = subprocess.run(command, cwd=folder, env=environment(**variables), capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)
    lines = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()] if (folder / "out.jsonl").exists() else []
    return ran, lines


def through_litellm(program, folder, litellm):
    """A LiteLLM proxy in between, whose server has limits: all rows are answered once, and refusals stay few."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 400
    rows(folder, count)
    upstream, port = free_port(), free_port()
    journal = folder / "journal.jsonl"
    journal.unlink(missing_ok=True)
    simulator = started(
        [program, "simulate", "--port", str(upstream), "--tier", "none", "--rpm", "300", "--latency", "zero", "--journal", str(journal)],
        f"http://127.0.0.1:{upstream}/__sim/stats", folder,
    )
    config = folder / "litellm.json"
    config.write_text(json.dumps({
        "model_list": [{"model_name": "claude-haiku-4-5", "litellm_params": {
            "model": "anthropic/claude-haiku-4-5", "api_base": f"http://127.0.0.1:{upstream}", "api_key": "upstream", "max_retries": 0}}],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"num_retries": 0},
    }))
    try:
        proxy = started([litellm, "--config", str(config), "--port", str(port), "--host", "127.0.0.1"],
                        f"http://127.0.0.1:{port}/health/liveliness", folder, env=environment(LITELLM_LOCAL_MODEL_COST_MAP="True"))
        try:
            (folder / "providers.toml").write_text(f'[providers.litellm]\nbase-url = "http://127.0.0.1:{port}"\n')
            ran, lines = run(program, folder, ["--config", "providers.toml", "--provider", "litellm", "--max-time", "8m"], LITELLM_API_KEY=KEY)
        finally:
            proxy.terminate()
            proxy.wait()
    finally:
        simulator.terminate()
        simulator.wait()
    with_status = collections.Counter(json.loads(line).get("status") for line in journal.read_text().splitlines())
    labels = collections.Counter(line["custom_id"] for line in lines)
    answered = sum(number == 1 for number in labels.values())
    providers = collections.Counter(line["meta"]["provider"] for line in lines)
    print(f"LiteLLM: exit {ran.returncode}, {answered} of {count} rows answered once, upstream saw {dict(with_status)}, by {dict(providers)}")
    is_good = ran.returncode == 0 and answered == count == len(lines) and providers == {"litellm": count}
    if not is_good:
        print(ran.stderr[-3000:])
    return is_good


def by_llmock(program, folder, llmock):
    """llmock has no finding, not even a warning."""
    is_good = True
    faults = {
        "server faults": ["--error-rate", "500=0.05", "--error-rate", "503=0.05", "--error-rate", "529=0.05"],
        "broken streams": ["--stream-fault", "truncate=0.1"],
        "refusals without headers": ["--error-rate", "429=0.05"],
        "a limit": ["--rpm", "120"],
    }
    for name, flags in faults.items():
        place = folder / name.replace(" ", "-")
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        count = 240
        rows(place, count)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        server = started([llmock, "serve", "--port", str(port), *flags], f"{url}/docs", place)
        try:
            (place / "providers.toml").write_text(f'[providers.mock]\nkind = "messages"\nbase-url = "{url}/anthropic"\n')
            arguments = ["--config", "providers.toml", "--provider", "mock", "--stream", "on" if "stream" in name else "auto"]
            ran, lines = run(program, place, arguments, ANTHROPIC_API_KEY=KEY)
            report = subprocess.run([llmock, "report", "--url", url, "--strict"], capture_output=True, text=True, timeout=60)
        finally:
            server.terminate()
            server.wait()
        verdict = "no finding" if report.returncode == 0 else "findings"
        print(f"llmock, {name}: exit {ran.returncode}, {len(lines)} of {count} answered, {verdict}")
        if report.returncode or ran.returncode or len(lines) != count:
            is_good = False
            print(report.stdout[-3000:], ran.stderr[-2000:])
    return is_good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--litellm", required=True)
    parser.add_argument("--llmock", required=True)
    given = parser.parse_args()
    program, folder = str(given.program.absolute()), given.folder.absolute()
    good = [by_llmock(program, folder / "llmock", given.llmock), through_litellm(program, folder / "litellm", given.litellm)]
    raise SystemExit(0 if all(good) else 1)


main()
