"""Runs Bespoke Curator with its Anthropic backend and limits. A second run reads the cache, which is in the folder."""

import json
import os

from bespokelabs import curator


class Asker(curator.LLM):
    def prompt(self, row):
        return row["prompt"]

    def parse(self, row, answer):
        return {"id": row["id"], "text": answer}


limits = {
    "max_requests_per_minute": int(os.environ.get("RPM", 100_000)),
    "max_input_tokens_per_minute": int(os.environ.get("ITPM", 100_000_000)),
    "max_output_tokens_per_minute": int(os.environ.get("OTPM", 100_000_000)),
}
asker = Asker(
    model_name="claude-haiku-4-5",
    generation_params={"max_tokens": int(os.environ["MAX_TOKENS"])},
    backend_params={
        "base_url": os.environ["ANTHROPIC_BASE_URL"] + "/v1",
        "max_concurrent_requests": 20,
        "require_all_responses": False,
        **limits,
    },
)
answers = asker([json.loads(line) for line in open("rows.jsonl")])
with open("out.jsonl", "w") as out:
    for row in answers.dataset:
        out.write(json.dumps(row) + "\n")
