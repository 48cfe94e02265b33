"""A short script that a user could write: asyncio, the official SDK, a semaphore, and the SDK's retries.

With the argument `append`, the script writes each answer when it arrives, and skips the rows that already have an
answer. Without this argument, the script writes all answers at the end.
"""

import asyncio
import json
import os
import pathlib
import sys

from anthropic import AsyncAnthropic

OUT = pathlib.Path("out.jsonl")
MAX_TOKENS = int(os.environ["MAX_TOKENS"])


async def ask(client, slots, row, keep):
    async with slots:
        try:
            messages = [{"role": "user", "content": row["prompt"]}]
            answer = await client.messages.create(model="claude-haiku-4-5", max_tokens=MAX_TOKENS, messages=messages)
            keep({"id": row["id"], "text": answer.content[0].text})
        except Exception as error:
            keep({"id": row["id"], "error": str(error)})


async def main():
    rows = [json.loads(line) for line in open("rows.jsonl")]
    client, slots = AsyncAnthropic(max_retries=5), asyncio.Semaphore(20)
    if sys.argv[1:] == ["append"]:
        lines = [json.loads(line) for line in OUT.read_text().splitlines()] if OUT.exists() else []
        done = {line["id"] for line in lines if "text" in line}
        with OUT.open("a", buffering=1) as out:
            keep = lambda line: out.write(json.dumps(line) + "\n")
            await asyncio.gather(*(ask(client, slots, row, keep) for row in rows if row["id"] not in done))
    else:
        lines = []
        await asyncio.gather(*(ask(client, slots, row, lines.append) for row in rows))
        OUT.write_text("".join(json.dumps(line) + "\n" for line in lines))


asyncio.run(main())
