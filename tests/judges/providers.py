"""Checks that the official SDK's classes for other platforms send the same requests as this program: the method, path,
headers and body must be equal.

Each class and the program send twenty kinds of rows to a server of this judge. The server keeps all
requests. Each row is sent twice: to get a whole answer, and to get a stream. The bodies are compared as JSON, including
the spelling of numbers. Two kinds of headers are left out: headers that each HTTP client chooses for itself, and
headers that describe the SDK.

The program runs once more with a header and a member that the SDK does not send. In each of these requests, the judge
must find the header and the member as differences.

`.ci/judges` installs what this script needs, and calls the script.
"""

import argparse
import http.server
import inspect
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import threading

import anthropic
from anthropic.lib.aws import AnthropicAWS
from anthropic.lib.bedrock import AnthropicBedrockMantle
from anthropic.lib.foundry import AnthropicFoundry
from anthropic.lib.google_cloud import AnthropicGoogleCloud

from page_section import write_section

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Yes."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 5, "output_tokens": 2},
}
EVENTS = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Yes."}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]
ANSWER = json.dumps(MESSAGE).encode()
STREAM = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in EVENTS).encode()

# Headers that each HTTP client chooses for itself.
OWN = {
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "host",
    "transfer-encoding",
    "user-agent",
}
KEY = "key-of-the-judge-0123456789"


class Recorder(http.server.BaseHTTPRequestHandler):
    seen = []
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        kept = {name: value for name, value in headers.items() if name not in OWN and "stainless" not in name}
        request = json.loads(body)
        Recorder.seen.append((self.command, self.path, kept, json.dumps(request, sort_keys=True)))
        kind, answer = ("text/event-stream", STREAM) if request.get("stream") else ("application/json", ANSWER)
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def taken():
    seen, Recorder.seen = Recorder.seen, []
    return seen


def text(words):
    return [{"role": "user", "content": words}]


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
TOOL = {"name": "look_up", "description": "Looks up.", "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}}}

ROWS = [
    {"messages": text("Hello")},
    {"messages": text("é ü 漢字 \U0001f600 \u2028 \\ \" / \t")},
    {"messages": text("With a system prompt"), "system": "Be brief."},
    {"messages": text("System as blocks"), "system": [{"type": "text", "text": "Be brief."}]},
    {"messages": text("Cached"), "system": [{"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}]},
    {"messages": text("Cached for an hour"), "system": [{"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
    {"messages": text("Stops"), "stop_sequences": ["END", "\n\n"]},
    {"messages": text("Cool"), "temperature": 0.0},
    {"messages": text("Top"), "top_k": 5},
    {"messages": text("A tool"), "tools": [TOOL]},
    {"messages": text("A forced tool"), "tools": [TOOL], "tool_choice": {"type": "tool", "name": "look_up"}},
    {"messages": text("No parallel calls"), "tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    {"messages": text("Thinking"), "thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048},
    {"messages": text("Somebody"), "metadata": {"user_id": "user-7"}},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "Blocks"}]}]},
    {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}, {"type": "text", "text": "What is it?"}]}]},
    {"messages": text("Hello") + [{"role": "assistant", "content": "Hi."}] + text("And now?")},
    {"messages": text("Tool result") + [{"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"q": "x"}}]}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "found"}]}], "tools": [TOOL]},
    {"messages": text("Long answer"), "max_tokens": 4096},
    {"messages": text("Many things"), "system": "S", "temperature": 1.0, "stop_sequences": ["."], "metadata": {"user_id": "u"}},
]


def classes(url):
    """For each preset, returns the client of the SDK, the environment variables of the program, and the base URL."""
    common = dict(max_retries=0)
    return {
        "bedrock-mantle": (
            AnthropicBedrockMantle(api_key=KEY, base_url=url + "/anthropic", aws_region="us-east-1", **common),
            {"AWS_BEARER_TOKEN_BEDROCK": KEY, "AWS_REGION": "us-east-1"},
            url + "/anthropic",
        ),
        "aws": (
            AnthropicAWS(api_key=KEY, base_url=url, workspace_id="wrkspc_1", aws_region="us-east-1", **common),
            {"ANTHROPIC_AWS_API_KEY": KEY, "ANTHROPIC_AWS_WORKSPACE_ID": "wrkspc_1", "AWS_REGION": "us-east-1"},
            url,
        ),
        "google": (
            AnthropicGoogleCloud(
                token_provider=lambda: KEY, project="p1", workspace_id="w1",
                base_url=url + "/v1/projects/p1/locations/global/workspaces/w1/invoke", **common,
            ),
            {"ANTHROPIC_GOOGLE_CLOUD_PROJECT": "p1", "ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID": "w1"},
            url + "/v1/projects/p1/locations/global/workspaces/w1/invoke",
        ),
        "foundry": (
            AnthropicFoundry(api_key=KEY, base_url=url + "/anthropic", **common),
            {"ANTHROPIC_FOUNDRY_API_KEY": KEY, "ANTHROPIC_FOUNDRY_RESOURCE": "r1"},
            url + "/anthropic",
        ),
    }


def by_sdk(client, rows, model, streams):
    known = inspect.signature(client.messages.create).parameters
    for row in rows:
        typed = {name: value for name, value in row.items() if name in known}
        # This version of the SDK has no arguments for these members.
        others = {name: value for name, value in row.items() if name not in known}
        if streams:
            typed["stream"] = True
        answer = client.messages.create(model=model, extra_body=others or None, **typed)
        if streams:
            assert len(list(answer)) == len(EVENTS)
    return taken()


def by_program(program, folder, name, environment, base_url, rows, model, more):
    folder = folder / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "rows.jsonl").write_text(
        "".join(json.dumps({"custom_id": f"r{at}", "params": {"model": model, **row}}) + "\n" for at, row in enumerate(rows))
    )
    # For Google, a command prints a token for tests.
    key = 'api-key-cmd = "printf %s"\n' % KEY if name == "google" else ""
    (folder / "providers.toml").write_text(f'[providers.{name}]\nbase-url = "{base_url}"\n{key}')
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC", "AWS", "CLAUDE"))}
    ran = subprocess.run(
        [program, "run", "rows.jsonl", "--config", "providers.toml", "--provider", name, "--prompt-cache", "off",
         "--yes", "-o", "out.jsonl", *more],
        cwd=folder, env={**clean, **environment}, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
    )
    assert ran.returncode == 0, (name, ran.returncode, ran.stderr)
    return taken()


def differences_of(sdk, ours):
    """Sorts both lists of requests by body, and compares the requests in pairs. Returns a text for each part in which
    a pair differs."""
    assert len(sdk) == len(ours) == len(ROWS), (len(sdk), len(ours))
    body = lambda seen: seen[3]
    return [
        f"{part}: SDK {one!r}, program {other!r}"
        for theirs, mine in zip(sorted(sdk, key=body), sorted(ours, key=body))
        for part, one, other in zip(("method", "path", "headers", "body"), theirs, mine)
        if one != other
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path, help="a folder for files")
    parser.add_argument("--page", type=pathlib.Path, help="the page that gets the results")
    given = parser.parse_args()
    program, folder = given.program.absolute(), given.folder.absolute()
    assert len(ROWS) == 20
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = "http://127.0.0.1:%d" % server.server_port
    rows = [{"max_tokens": 100, **row} for row in ROWS]
    found, table, missed = 0, [], []
    for name, (client, environment, base_url) in classes(url).items():
        # The SDK sends the name of the model unchanged. The program translates its own model names into the provider's
        # names.
        theirs = {"bedrock-mantle": "anthropic.claude-haiku-4-5"}.get(name, "claude-haiku-4-5")
        for streams in (False, True):
            sdk = by_sdk(client, rows, theirs, streams)
            more = ["--stream", "on" if streams else "off", "--api-version", sdk[0][2]["anthropic-version"]]
            run = lambda rows, more: by_program(program, folder, name, environment, base_url, rows, "claude-haiku-4-5", more)
            differences = differences_of(sdk, run(rows, more))
            # Checks that this judge finds differences: the program sends a changed request, and the judge must notice
            # this.
            changed = differences_of(sdk, run([{**row, "top_p": 0.5} for row in rows], [*more, "--header", "x-other: 1"]))
            if len(changed) < 2 * len(rows):
                missed.append(f"{name}: found {len(changed)} of {2 * len(rows)} differences that were made")
            kind = "streams" if streams else "whole answers"
            print(f"{name}, {kind}: {len(rows)} rows, {len(differences)} differences")
            for difference in sorted(set(differences))[:5]:
                print("  ", difference)
            found += len(differences)
            table.append(f"| {type(client).__name__} | {name} | {kind} | {len(rows)} | {len(differences)} |\n")
    print(f"SDK {anthropic.__version__}: {found} differences", *missed, sep="\n")
    if given.page:
        write_section(given.page, "Providers: the same requests as the official SDK", f"""
Judges: Python {platform.python_version()}, anthropic {anthropic.__version__}.

Each class of the SDK and the program send {len(rows)} kinds of rows. A server compares method, path with query, headers
and body. Two kinds of headers are not compared: headers that each HTTP client chooses for itself
({", ".join(sorted(OWN))}),
and headers with which the SDK describes itself (`x-stainless-…`). The program gets the SDK's `anthropic-version`. In
one more run, the program adds a header and a member to each request. The server finds a difference in each of these
requests, so this judge is able to find differences.

| class | provider | answers | rows | differences |
|---|---|---|---|---|
{"".join(table)}""")
    sys.exit(found > 0 or bool(missed))


sys.dont_write_bytecode = True
main()
