"""Runs a tool against a simulator of its own, and measures it from outside."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

# The number of seconds between two looks at the simulator and at the memory of the tool.
STEP = 0.1


@dataclasses.dataclass
class Case:
    """The rows, the flags of the simulator, and the settings from which the tools learn the limits of the simulator."""

    name: str
    rows: list
    flags: list
    max_tokens: int = 300
    told: dict = dataclasses.field(default_factory=dict)
    faults: list = dataclasses.field(default_factory=list)
    answers: list = dataclasses.field(default_factory=list)
    most_seconds: int = 240
    kill_at: int = 0
    # Whether claude-batch is limited to 20 requests in flight, like the other tools. Without this limit, claude-batch
    # itself chooses the number of requests in flight.
    few: bool = False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Simulator:
    """Runs `claude-batch simulate` on a free port during a `with` block."""

    def __init__(self, program, place, case):
        self.port, self.journal = free_port(), place / "journal.jsonl"
        self.url = f"http://127.0.0.1:{self.port}"
        for name, rules in (("faults", case.faults), ("answers", case.answers)):
            (place / f"{name}.json").write_text(json.dumps({"seed": 1, "rules": rules}))
        self.command = [program, "simulate", "--port", self.port, "--journal", self.journal, "--any-model"]
        self.command += ["--faults", place / "faults.json", "--answers", place / "answers.json", *case.flags]
        self.log = place / "simulator.log"

    def __enter__(self):
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(list(map(str, self.command)), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        for _ in range(200):
            try:
                self.stats()
                return self
            except OSError:
                time.sleep(0.1)
        self.__exit__()
        raise SystemExit(f"the simulator did not start, see {self.log}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def stats(self, tries=6):
        """Returns what the simulator counted. The answer can be late if a tool opens many connections."""
        try:
            with urllib.request.urlopen(f"{self.url}/__sim/stats", timeout=10) as reply:
                return json.load(reply)
        except TimeoutError:
            pass
        except OSError as error:
            if not isinstance(getattr(error, "reason", None), TimeoutError):
                raise
        if not tries:
            raise SystemExit("the simulator does not answer")
        return self.stats(tries - 1)

    def lines(self):
        """Returns the requests to the Messages API that the simulator saw. Curator reads the limits with a
        call to another model. The returned list does not contain this call."""
        lines = map(json.loads, self.journal.read_text().splitlines()) if self.journal.exists() else []
        return [line for line in lines if line["path"] == "/v1/messages" and "haiku" in (line["model"] or "haiku")]


def environment(simulator, case, place):
    """Returns the environment variables of the tool. With them, the tool can reach only the simulator, and it sends no
    statistics."""
    ours = ("ANTHROPIC", "CLAUDE", "AWS", "LITELLM", "PROMPTFOO", "CURATOR", "OPENAI")
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(ours) and "PROXY" not in name.upper()}
    nowhere = {name: "http://127.0.0.1:9" for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}
    return {
        **kept,
        **nowhere,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "HOME": str(place / "home"),
        "PYTHONUNBUFFERED": "1",
        "ANTHROPIC_API_KEY": "sk-ant-test-0123456789",
        "ANTHROPIC_BASE_URL": simulator.url,
        "MAX_TOKENS": str(case.max_tokens),
        **{name: str(value) for name, value in case.told.items()},
    }


class Run:
    """A running tool. The processes of the tool form a group, so that they can be killed together."""

    def __init__(self, command, place, variables, log):
        self.log = place / log
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            list(map(str, command)), cwd=place, env=variables, stdin=subprocess.DEVNULL, stdout=open(self.log, "w"),
            stderr=subprocess.STDOUT, start_new_session=True,
        )
        self.peak_kb = 0

    def is_running(self):
        self.peak_kb = max(self.peak_kb, group_kb(self.process.pid))
        return self.process.poll() is None

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def group_kb(group):
    """Returns the memory of all processes of a group, in kB."""
    total = 0
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = pathlib.Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
            if int(stat[2]) == group:
                total += int(stat[21]) * os.sysconf("SC_PAGE_SIZE") // 1024
        except (OSError, IndexError):
            continue
    return total


def measure(program, tool, case, folder):
    """Returns what was measured, as a dictionary."""
    place = folder / re.sub(r"\W+", "-", f"{case.name} {tool.name}")
    shutil.rmtree(place, ignore_errors=True)
    (place / "home").mkdir(parents=True)
    (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in case.rows))
    tool.prepare(place, case)
    found = {}
    with Simulator(program, place, case) as simulator:
        variables = environment(simulator, case, place)
        run = Run(tool.command(simulator, case, False), place, variables, "log.txt")
        watch(run, simulator, case, found)
        if case.kill_at:
            found["answered_at_kill"] = found.pop("stats")["statuses"].get("200", 0)
            while simulator.stats()["in_flight"]:
                time.sleep(STEP)
            run = Run(tool.command(simulator, case, True), place, variables, "log2.txt")
            case_again = dataclasses.replace(case, kill_at=0)
            watch(run, simulator, case_again, found)
        found |= figures(simulator, run, tool, place, case)
    return found


def watch(run, simulator, case, found):
    """Waits until the tool ends, has to be killed, or takes too long. If the judge itself fails, the tool ends too."""
    try:
        watch_it(run, simulator, case, found)
    finally:
        run.kill()
    found["stats"] = simulator.stats()
    found["exit"] = run.process.returncode


def watch_it(run, simulator, case, found):
    while run.is_running():
        stats = simulator.stats()
        answered = stats["billed_calls"] + stats["batches"]["succeeded"]
        if stats["requests"] and "said_before" not in found:
            found["said_before"] = run.log.read_text(errors="replace")
        is_due = answered >= case.kill_at or stats["batches"]["created"]
        if case.kill_at and is_due:
            found["in_flight_at_kill"] = simulator.stats()["in_flight"]
            run.kill()
        elif time.monotonic() - run.started > case.most_seconds:
            found["too_long"] = True
            run.kill()
        time.sleep(STEP)


def figures(simulator, run, tool, place, case):
    """Returns what the simulator counted, and what the tool wrote."""
    stats, lines = simulator.stats(), simulator.lines()
    answered = [line["head_at_s"] for line in lines if line["status"] == 200]
    ends = tool.ends(place, case)
    tries = {}
    for line in lines:
        tries[line["body"]] = tries.get(line["body"], 0) + 1
    return {
        "seconds": max(answered) - lines[0]["at_s"] if answered else None,
        "requests": len(lines),
        "refused": stats["statuses"].get("429", 0),
        "statuses": stats["statuses"],
        "billed_again": stats["billed_again"],
        "billed_usd": stats["billed_usd"],
        "most_tries": max(tries.values(), default=0),
        "refused_bodies": sum(line["status"] == 400 for line in lines),
        "answered": len(ends["answered"]),
        "lost": sorted(row["id"] for row in case.rows if row["id"] not in ends["answered"]),
        "failed": sorted(ends["failed"]),
        "marked": sorted(ends["marked"]),
        "peak_mb": round(run.peak_kb / 1024),
        "share": max((limit["share"] for limit in stats["limits"]), default=0),
    }
