"""Runs lm-deluge with its own limits and its SQLite cache. The cache keeps answers for the next run."""

import json
import os

from lm_deluge import Conversation, LLMClient
from lm_deluge.cache import SqliteCache
from lm_deluge.models import register_model

register_model(
    id="local-haiku",
    name="claude-haiku-4-5",
    api_base=os.environ["ANTHROPIC_BASE_URL"] + "/v1",
    api_key_env_var="ANTHROPIC_API_KEY",
    api_spec="anthropic",
    input_cost=1.0,
    output_cost=5.0,
)
client = LLMClient(
    "local-haiku",
    max_new_tokens=int(os.environ["MAX_TOKENS"]),
    max_concurrent_requests=20,
    cache=SqliteCache("cache.db"),
    max_requests_per_minute=int(os.environ.get("RPM", 100_000)),
    max_tokens_per_minute=int(os.environ.get("ITPM", 100_000_000)) + int(os.environ.get("OTPM", 0)),
)
rows = [json.loads(line) for line in open("rows.jsonl")]
answers = client.process_prompts_sync([Conversation().user(row["prompt"]) for row in rows], show_progress=False)
with open("out.jsonl", "w") as out:
    for row, answer in zip(rows, answers):
        line = {"id": row["id"], "finish_reason": answer.finish_reason}
        line |= {"error": answer.error_message} if answer.is_error else {"text": answer.completion}
        out.write(json.dumps(line) + "\n")
