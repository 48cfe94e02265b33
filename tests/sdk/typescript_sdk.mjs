// Tests the official TypeScript SDK, unchanged, against the simulator: node --test typescript_sdk.mjs. SIMULATOR_URL
// must be set, and SDK_FOLDER must be a folder in which @anthropic-ai/sdk is installed.
//
// The simulator must run with tests/sdk/faults.json, and with a limit on requests that these tests do not reach.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";
import test from "node:test";

const require = createRequire(path.join(process.env.SDK_FOLDER, "index.js"));
const Anthropic = require("@anthropic-ai/sdk").default;
const errors = require("@anthropic-ai/sdk/core/error");

const MODEL = "claude-haiku-4-5";

const client = (options = {}) =>
  new Anthropic({ baseURL: process.env.SIMULATOR_URL, apiKey: "sk-ant-simulated", ...options });

const ask = (text, options = {}) => ({
  model: MODEL,
  max_tokens: 200,
  messages: [{ role: "user", content: text }],
  ...options,
});

test("create", async () => {
  const message = await client().messages.create(ask("Capital of France?"));

  assert.equal(message.type, "message");
  assert.equal(message.content[0].type, "text");
  assert.ok(message.content[0].text.length > 0);
  assert.ok(message.usage.input_tokens > 0 && message.usage.output_tokens > 0);
  assert.ok(message._request_id.startsWith("req_"));
});

test("the whole sequence of events", async () => {
  const kinds = [];
  for await (const event of await client().messages.create(ask("Tell me a story", { stream: true }))) {
    kinds.push(event.type);
  }

  assert.deepEqual(kinds.slice(0, 2), ["message_start", "content_block_start"]);
  assert.deepEqual([...new Set(kinds.slice(2, -3).filter((kind) => kind !== "ping"))], ["content_block_delta"]);
  assert.deepEqual(kinds.slice(-3), ["content_block_stop", "message_delta", "message_stop"]);
});

test("the accumulated message is the plain one", async () => {
  const plain = await client().messages.create(ask("The same either way"));
  const folded = await client().messages.stream(ask("The same either way")).finalMessage();

  assert.deepEqual(folded.content, plain.content);
  assert.equal(folded.usage.output_tokens, plain.usage.output_tokens);
  assert.equal(folded.stop_reason, plain.stop_reason);
});

test("a forced tool", async () => {
  const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
  const tools = [{ name: "weather", description: "Weather of a city", input_schema: schema }];
  const question = ask("Weather?", { tools, tool_choice: { type: "tool", name: "weather" } });

  const plain = await client().messages.create(question);
  const streamed = await client().messages.stream(question).finalMessage();

  assert.equal(plain.stop_reason, "tool_use");
  assert.equal(typeof plain.content[0].input.city, "string");
  assert.deepEqual(streamed.content[0].input, plain.content[0].input);
});

test("an error event ends a stream", async () => {
  await assert.rejects(client().messages.stream(ask("break-stream")).finalMessage(), /overloaded_error/);
});

test("count_tokens", async () => {
  const messages = [{ role: "user", content: "Capital of France?" }];

  const count = await client().messages.countTokens({ model: MODEL, messages });

  const answer = await client().messages.create({ model: MODEL, max_tokens: 5, messages });
  assert.equal(count.input_tokens, answer.usage.input_tokens);
});

test("models, page by page", async () => {
  const ids = [];
  for await (const model of client().models.list({ limit: 4 })) {
    ids.push(model.id);
  }
  const whole = await client().models.list({ limit: 1000 });

  assert.deepEqual(ids, whole.data.map((model) => model.id));
  assert.ok(ids.length > 8);
  assert.equal((await client().models.retrieve(MODEL)).id, "claude-haiku-4-5-20251001");
});

const batch = (...texts) => texts.map((text, at) => ({ custom_id: `row-${at}`, params: ask(text) }));

const ended = async (id) => {
  for (;;) {
    const found = await client().messages.batches.retrieve(id);
    if (found.processing_status === "ended") return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};

const resultsOf = async (id) => {
  const results = new Map();
  for await (const result of await client().messages.batches.results(id)) {
    results.set(result.custom_id, result.result);
  }
  return results;
};

test("a batch from its creation to its deletion", async () => {
  const requests = batch("Capital of France?", "Capital of Italy?");
  requests.push({ custom_id: "bad", params: ask("Hi", { model: "claude-x" }) });

  const created = await client().messages.batches.create({ requests });
  const done = await ended(created.id);
  const results = await resultsOf(created.id);
  const plain = await client().messages.create(ask("Capital of France?"));
  const deleted = await client().messages.batches.delete(created.id);

  assert.equal(created.processing_status, "in_progress");
  assert.deepEqual([created.request_counts.processing, created.results_url], [3, null]);
  assert.deepEqual([done.request_counts.succeeded, done.request_counts.errored], [2, 1]);
  assert.deepEqual([...results.keys()].sort(), ["bad", "row-0", "row-1"]);
  assert.deepEqual(results.get("row-0").message.content, plain.content);
  assert.equal(results.get("row-0").message.usage.service_tier, "batch");
  assert.equal(results.get("bad").error.error.type, "invalid_request_error");
  assert.deepEqual([deleted.id, deleted.type], [created.id, "message_batch_deleted"]);
  await assert.rejects(client().messages.batches.retrieve(created.id), Anthropic.NotFoundError);
});

test("batches, page by page", async () => {
  const made = [];
  for (let number = 0; number < 5; number += 1) {
    made.unshift((await client().messages.batches.create({ requests: batch("Hi") })).id);
  }

  const ids = [];
  for await (const own of client().messages.batches.list({ limit: 2 })) {
    ids.push(own.id);
  }
  const whole = await client().messages.batches.list({ limit: 1000 });

  assert.deepEqual(ids, whole.data.map((own) => own.id));
  assert.deepEqual(ids.slice(0, 5), made);
});

test("a canceled batch", async () => {
  const created = await client().messages.batches.create({ requests: batch(...Array(1000).fill("Hi")) });

  const canceled = await client().messages.batches.cancel(created.id);
  const done = await ended(created.id);
  const kinds = [...(await resultsOf(created.id)).values()].map((result) => result.type);

  assert.equal(canceled.processing_status, "canceling");
  assert.equal(kinds.length, 1000);
  assert.ok(done.request_counts.canceled > 0);
  assert.equal(kinds.filter((kind) => kind === "canceled").length, done.request_counts.canceled);
});

test("errors of batches", async () => {
  const batches = client({ maxRetries: 0 }).messages.batches;
  const tooLong = { requests: [{ custom_id: "x".repeat(65), params: ask("Hi") }] };
  await assert.rejects(batches.create(tooLong), /requests.0.custom_id: String should have at most 64 characters/);
  await assert.rejects(batches.create(tooLong), Anthropic.BadRequestError);
  await assert.rejects(batches.retrieve("msgbatch_unknown"), Anthropic.NotFoundError);
  const created = await batches.create({ requests: batch("Hi") });
  await assert.rejects(batches.results(created.id), Anthropic.AnthropicError);
  await assert.rejects(batches.delete(created.id), Anthropic.BadRequestError);
});

test("each status has its class", async () => {
  const classes = {
    400: Anthropic.BadRequestError,
    401: Anthropic.AuthenticationError,
    402: errors.PaymentRequiredError,
    403: Anthropic.PermissionDeniedError,
    404: Anthropic.NotFoundError,
    408: errors.RequestTimeoutError,
    409: Anthropic.ConflictError,
    412: errors.PreconditionFailedError,
    413: errors.ContentTooLargeError,
    422: Anthropic.UnprocessableEntityError,
    429: Anthropic.RateLimitError,
    431: errors.RequestHeaderFieldsTooLargeError,
    499: errors.ClientClosedRequestError,
    500: Anthropic.InternalServerError,
    501: errors.NotImplementedError,
    502: Anthropic.InternalServerError,
    503: errors.ServiceUnavailableError,
    504: errors.GatewayTimeoutError,
    529: errors.OverloadedError,
  };
  for (const [status, kind] of Object.entries(classes)) {
    await assert.rejects(client({ maxRetries: 0 }).messages.create(ask(`status-${status}`)), (error) => {
      assert.ok(error instanceof kind, `${status}: ${error}`);
      assert.equal(error.status, Number(status));
      return true;
    });
  }
});

test("unknown model, unknown field, unknown version", async () => {
  await assert.rejects(client().messages.create(ask("Hi", { model: "claude-x" })), /model: claude-x/);
  await assert.rejects(
    client().messages.create(ask("Hi", { max_token: 5 })),
    /max_token: Extra inputs are not permitted/,
  );
  const headers = { "anthropic-version": "2020-01-01" };
  await assert.rejects(client().messages.create(ask("Hi"), { headers }), /anthropic-version/);
});

test("retries keep to retry-after", async () => {
  for (const [text, seconds] of [["retry-429", 2], ["retry-500", 1], ["retry-529", 1.5]]) {
    const begin = performance.now();
    await client({ maxRetries: 1 }).messages.create(ask(`${text} ts ${Date.now()}`));
    const waited = (performance.now() - begin) / 1000;
    assert.ok(waited >= seconds - 0.005, `${text}: ${waited} s`);
  }
});

test("a broken connection is retried", async () => {
  const message = await client({ maxRetries: 1 }).messages.create(ask(`retry-reset ts ${Date.now()}`));

  assert.equal(message.role, "assistant");
});
