"""Creates a batch with the official SDK, polls until the batch has ended, and reads the results."""

import json
import os
import time

from anthropic import Anthropic

MAX_TOKENS = int(os.environ["MAX_TOKENS"])

client = Anthropic()
rows = [json.loads(line) for line in open("rows.jsonl")]
batch = client.messages.batches.create(
    requests=[
        {
            "custom_id": row["id"],
            "params": {
                "model": "claude-haiku-4-5",
                "max_tokens": MAX_TOKENS,
                "messages": [{"role": "user", "content": row["prompt"]}],
            },
        }
        for row in rows
    ]
)
while batch.processing_status != "ended":
    time.sleep(1)
    batch = client.messages.batches.retrieve(batch.id)
with open("out.jsonl", "w") as out:
    for result in client.messages.batches.results(batch.id):
        out.write(result.to_json(indent=None) + "\n")
