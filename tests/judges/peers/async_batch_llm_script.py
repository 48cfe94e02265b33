"""Runs async-batch-llm with the official SDK, and with its own limits, checkpoints and bounded queues."""

import asyncio
import json
import os

from anthropic import AsyncAnthropic
from async_batch_llm import (
    ArtifactIdentity,
    CallableStrategy,
    CallOutcome,
    CharacterTokenEstimator,
    GuardrailConfig,
    JsonlArtifactStore,
    ProcessorConfig,
    RateLimitConfig,
    ResumePolicy,
    process_stream,
)

client = AsyncAnthropic(max_retries=0)
identity = ArtifactIdentity(provider="anthropic", model="claude-haiku-4-5")


async def ask(prompt, *, attempt, timeout, state):
    answer = await client.messages.create(
        model="claude-haiku-4-5",
        max_tokens=int(os.environ["MAX_TOKENS"]),
        messages=[{"role": "user", "content": prompt}],
    )
    usage = {"input_tokens": answer.usage.input_tokens, "output_tokens": answer.usage.output_tokens}
    return CallOutcome(answer.content[0].text, token_usage=usage)


def dollars(attempt):
    return (attempt.usage["input_tokens"] * 1.0 + attempt.usage["output_tokens"] * 5.0) / 1e6


def rows():
    for line in open("rows.jsonl"):
        row = json.loads(line)
        yield row["id"], row["prompt"]


settings = {}
if "RPM" in os.environ:
    settings = {
        "max_requests_per_minute": int(os.environ["RPM"]),
        "max_tokens_per_minute": int(os.environ["ITPM"]) + int(os.environ["OTPM"]),
        "token_estimator": CharacterTokenEstimator(expected_output_tokens=int(os.environ["EXPECTED"])),
    }
if "CAP" in os.environ:
    settings["guardrails"] = GuardrailConfig(max_total_cost=float(os.environ["CAP"]), cost_function=dollars)


async def main():
    # The guide of async-batch-llm recommends these pauses for APIs with limits per minute. By default, one 429 pauses
    # the run for 300 s.
    pauses = RateLimitConfig(cooldown_seconds=30.0, max_cooldown_seconds=300.0)
    config = ProcessorConfig(
        concurrency=20, max_queue_size=128, max_result_queue_size=64, rate_limit=pauses, **settings
    )
    stored = {"artifact_store": JsonlArtifactStore("store.jsonl", identity=identity), "resume": ResumePolicy.REUSE_SUCCESSES}
    with open("out.jsonl", "w") as out:
        async for result in process_stream(CallableStrategy(ask, identity=identity), rows(), config=config, **stored):
            line = {"id": result.item_id}
            line |= {"text": result.output} if result.success else {"error": str(result.error)}
            out.write(json.dumps(line) + "\n")


asyncio.run(main())
