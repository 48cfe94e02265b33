"""Tests the official Python SDK, unchanged, against the simulator: python_sdk.py URL

The simulator must run with tests/sdk/faults.json, and with a limit on requests that these tests do not reach.
"""

import json
import sys
import time
import unittest

import anthropic

URL = sys.argv.pop(1)
MODEL = "claude-haiku-4-5"


def client(**options):
    return anthropic.Anthropic(base_url=URL, api_key="sk-ant-simulated", **options)


def ask(text, **options):
    return {"model": MODEL, "max_tokens": 200, "messages": [{"role": "user", "content": text}], **options}


class Answers(unittest.TestCase):
    def test_create(self):
        message = client().messages.create(**ask("Capital of France?"))

        self.assertEqual(message.type, "message")
        self.assertEqual(message.model, "claude-haiku-4-5-20251001")
        self.assertEqual(message.content[0].type, "text")
        self.assertTrue(message.content[0].text)
        self.assertIn(message.stop_reason, ("end_turn", "max_tokens"))
        self.assertGreater(message.usage.input_tokens, 0)
        self.assertGreater(message.usage.output_tokens, 0)
        self.assertTrue(message._request_id.startswith("req_"))

    def test_bearer_token(self):
        own = anthropic.Anthropic(base_url=URL, api_key=None, auth_token="token")

        self.assertEqual(own.messages.create(**ask("Hi")).role, "assistant")

    def test_headers_of_a_raw_response(self):
        raw = client().messages.with_raw_response.create(**ask("Hi"))

        self.assertTrue(raw.headers["anthropic-ratelimit-requests-remaining"].isdigit())
        self.assertRegex(raw.headers["anthropic-ratelimit-tokens-reset"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(raw.request_id, raw.headers["request-id"])

    def test_forced_tool(self):
        schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        tools = [{"name": "weather", "description": "Weather of a city", "input_schema": schema}]

        message = client().messages.create(**ask("Weather?", tools=tools, tool_choice={"type": "any"}))

        self.assertEqual(message.stop_reason, "tool_use")
        self.assertEqual((message.content[0].type, message.content[0].name), ("tool_use", "weather"))
        self.assertIsInstance(message.content[0].input["city"], str)

    def test_structured_output(self):
        properties = {"n": {"type": "integer"}}
        schema = {"type": "object", "properties": properties, "required": ["n"], "additionalProperties": False}
        config = {"format": {"type": "json_schema", "schema": schema}}

        message = client().messages.create(**ask("A number?", output_config=config))

        self.assertIsInstance(json.loads(message.content[0].text)["n"], int)


class Streams(unittest.TestCase):
    def test_event_sequence(self):
        with client().messages.create(**ask("Tell me a story", stream=True)) as stream:
            kinds = [event.type for event in stream]

        self.assertEqual(kinds[0], "message_start")
        self.assertEqual(kinds[1], "content_block_start")
        deltas = [kind for kind in kinds[2:-3] if kind != "ping"]
        self.assertTrue(deltas)
        self.assertEqual(set(deltas), {"content_block_delta"})
        self.assertEqual(kinds[-3:], ["content_block_stop", "message_delta", "message_stop"])

    def test_accumulated_message_equals_the_plain_message(self):
        plain = client().messages.create(**ask("The same either way"))
        with client().messages.stream(**ask("The same either way")) as stream:
            text = "".join(stream.text_stream)
            folded = stream.get_final_message()

        self.assertEqual(text, plain.content[0].text)
        self.assertEqual(folded.content[0].text, plain.content[0].text)
        self.assertEqual(folded.usage.output_tokens, plain.usage.output_tokens)
        self.assertEqual(folded.stop_reason, plain.stop_reason)

    def test_error_event(self):
        with self.assertRaises(anthropic.APIStatusError) as caught:
            with client().messages.create(**ask("break-stream", stream=True)) as stream:
                list(stream)

        self.assertEqual(caught.exception.body["error"]["type"], "overloaded_error")


class Lists(unittest.TestCase):
    def test_count_tokens(self):
        messages = [{"role": "user", "content": "Capital of France?"}]

        count = client().messages.count_tokens(model=MODEL, messages=messages)

        answer = client().messages.create(model=MODEL, max_tokens=5, messages=messages)
        self.assertEqual(count.input_tokens, answer.usage.input_tokens)

    def test_models_page_by_page(self):
        ids = [model.id for model in client().models.list(limit=4)]
        whole = client().models.list(limit=1000)

        self.assertEqual(ids, [model.id for model in whole.data])
        self.assertEqual(len(ids), len(set(ids)))
        self.assertGreater(len(ids), 8)
        self.assertFalse(whole.has_more)

    def test_one_model(self):
        model = client().models.retrieve(MODEL)

        self.assertEqual((model.id, model.type), ("claude-haiku-4-5-20251001", "model"))
        self.assertEqual((model.created_at.year, model.lifecycle, model.line), (2025, "active", "haiku"))
        self.assertTrue(model.capabilities.thinking.types.enabled.supported)
        self.assertFalse(model.capabilities.thinking.types.adaptive.supported)

    def test_limits_of_the_organization(self):
        admin = anthropic.Anthropic(base_url=URL, api_key="sk-ant-admin-simulated")

        limits = list(admin.organization.rate_limits.list(model=MODEL))

        self.assertEqual([limit.group.type for limit in limits], ["model_group"])
        self.assertIn(MODEL, limits[0].models)
        self.assertEqual(limits[0].limits[0].value, 10_000)

    def test_count_tokens_takes_no_max_tokens(self):
        messages = [{"role": "user", "content": "Capital of France?"}]
        with self.assertRaisesRegex(anthropic.BadRequestError, "max_tokens: Extra inputs are not permitted"):
            client().messages.count_tokens(model=MODEL, messages=messages, extra_body={"max_tokens": 5})


def batch(*texts):
    return [{"custom_id": f"row-{at}", "params": ask(text)} for at, text in enumerate(texts)]


def ended(batch_id):
    while True:
        found = client().messages.batches.retrieve(batch_id)
        if found.processing_status == "ended":
            return found
        time.sleep(0.1)


def read(batch_id):
    with client() as own:
        return list(own.messages.batches.results(batch_id))


class Batches(unittest.TestCase):
    def test_from_creation_to_deletion(self):
        requests = batch("Capital of France?", "Capital of Italy?")
        requests.append({"custom_id": "bad", "params": {**ask("Hi"), "model": "claude-x"}})

        created = client().messages.batches.create(requests=requests)
        done = ended(created.id)
        results = {result.custom_id: result.result for result in read(created.id)}
        deleted = client().messages.batches.delete(created.id)

        self.assertEqual((created.type, created.processing_status), ("message_batch", "in_progress"))
        self.assertEqual((created.request_counts.processing, created.results_url), (3, None))
        self.assertEqual((done.request_counts.succeeded, done.request_counts.errored), (2, 1))
        self.assertEqual(done.results_url, f"{URL}/v1/messages/batches/{created.id}/results")
        self.assertEqual((done.expires_at - done.created_at).total_seconds(), 24 * 3600)
        self.assertLess(done.created_at, done.ended_at)
        self.assertEqual(results.keys(), {"row-0", "row-1", "bad"})
        message = results["row-0"].message
        self.assertEqual((message.type, message.usage.service_tier), ("message", "batch"))
        self.assertTrue(message.content[0].text)
        self.assertEqual((results["bad"].type, results["bad"].error.error.type), ("errored", "invalid_request_error"))
        self.assertEqual((deleted.id, deleted.type), (created.id, "message_batch_deleted"))
        with self.assertRaises(anthropic.NotFoundError):
            client().messages.batches.retrieve(created.id)

    def test_list_page_by_page(self):
        made = [client().messages.batches.create(requests=batch("Hi")).id for _ in range(5)]

        pages = client().messages.batches.list(limit=2)
        ids = [own.id for own in pages]
        whole = client().messages.batches.list(limit=1000)
        before = [own.id for own in client().messages.batches.list(limit=2, before_id=made[0])]

        self.assertTrue(pages.has_more)
        self.assertEqual(ids, [own.id for own in whole.data])
        self.assertEqual(ids[:5], made[::-1])
        self.assertEqual(set(before), set(made[1:]))

    def test_cancel(self):
        created = client().messages.batches.create(requests=batch(*map(str, range(1000))))

        canceled = client().messages.batches.cancel(created.id)
        done = ended(created.id)
        kinds = [result.result.type for result in read(created.id)]

        self.assertEqual(canceled.processing_status, "canceling")
        self.assertLess(canceled.created_at, canceled.cancel_initiated_at)
        self.assertEqual(done.request_counts.canceled, kinds.count("canceled"))
        self.assertEqual((len(kinds), kinds.count("canceled") > 0), (1000, True))

    def test_errors(self):
        batches = client(max_retries=0).messages.batches
        too_long = [{"custom_id": "x" * 65, "params": ask("Hi")}]
        with self.assertRaisesRegex(anthropic.BadRequestError, "requests.0.custom_id: String should have at most 64"):
            batches.create(requests=too_long)
        with self.assertRaises(anthropic.NotFoundError):
            batches.retrieve("msgbatch_unknown")
        with self.assertRaises(anthropic.NotFoundError):
            batches.cancel("msgbatch_unknown")
        created = batches.create(requests=batch("Hi"))
        with self.assertRaises(anthropic.AnthropicError):
            batches.results(created.id)
        with self.assertRaises(anthropic.BadRequestError):
            batches.delete(created.id)


class Errors(unittest.TestCase):
    def test_each_status_has_its_class(self):
        classes = {
            400: anthropic.BadRequestError,
            401: anthropic.AuthenticationError,
            402: anthropic.PaymentRequiredError,
            403: anthropic.PermissionDeniedError,
            404: anthropic.NotFoundError,
            408: anthropic.RequestTimeoutError,
            409: anthropic.ConflictError,
            412: anthropic.PreconditionFailedError,
            413: anthropic.ContentTooLargeError,
            422: anthropic.UnprocessableEntityError,
            429: anthropic.RateLimitError,
            431: anthropic.RequestHeaderFieldsTooLargeError,
            499: anthropic.ClientClosedRequestError,
            500: anthropic.InternalServerError,
            501: anthropic.HTTPNotImplementedError,
            502: anthropic.InternalServerError,
            503: anthropic.ServiceUnavailableError,
            504: anthropic.GatewayTimeoutError,
            529: anthropic.OverloadedError,
        }
        for status, kind in classes.items():
            with self.subTest(status=status), self.assertRaises(kind) as caught:
                client(max_retries=0).messages.create(**ask(f"status-{status}"))
            self.assertEqual(caught.exception.status_code, status)
            if status != 502:
                self.assertEqual(caught.exception.request_id, caught.exception.body["request_id"])

    def test_each_error_code_has_its_class(self):
        classes = {
            "ramp-limit-exceeded": anthropic.RampLimitExceededError,
            "enforced-spend-limit-reached": anthropic.EnforcedSpendLimitReachedError,
            "contract-spend-limit-reached": anthropic.ContractSpendLimitReachedError,
            "organization-on-hold": anthropic.OrganizationOnHoldError,
            "linked-organization-spend-limit-reached": anthropic.LinkedOrganizationSpendLimitReachedError,
        }
        for code, kind in classes.items():
            with self.subTest(code=code), self.assertRaises(kind):
                client(max_retries=0).messages.create(**ask(f"code-{code}"))

    def test_unknown_model(self):
        with self.assertRaisesRegex(anthropic.NotFoundError, "model: claude-x"):
            client().messages.create(**ask("Hi", model="claude-x"))

    def test_unknown_field(self):
        with self.assertRaisesRegex(anthropic.BadRequestError, "max_token: Extra inputs are not permitted"):
            client().messages.create(**ask("Hi"), extra_body={"max_token": 5})

    def test_version(self):
        with self.assertRaisesRegex(anthropic.BadRequestError, "anthropic-version"):
            client().messages.create(**ask("Hi"), extra_headers={"anthropic-version": "2020-01-01"})

    def test_sampling_under_the_version_of_2026(self):
        headers = {"anthropic-version": "2026-10-21"}
        with self.assertRaisesRegex(anthropic.BadRequestError, "temperature: Extra inputs are not permitted"):
            client().messages.create(**ask("Hi"), extra_headers=headers, extra_body={"temperature": 1})

    def test_max_tokens_too_high(self):
        with self.assertRaisesRegex(anthropic.BadRequestError, "64001 > 64000"):
            client(timeout=900).messages.create(**ask("Hi", max_tokens=64001))


class Retries(unittest.TestCase):
    def wait_of(self, text):
        begin = time.monotonic()
        message = client(max_retries=1).messages.create(**ask(text))
        self.assertEqual(message.role, "assistant")
        return time.monotonic() - begin

    def test_retry_after_is_kept(self):
        for text, seconds in (("retry-429", 2.0), ("retry-500", 1.0), ("retry-529", 1.5)):
            with self.subTest(text=text):
                self.assertGreaterEqual(self.wait_of(f"{text} {time.time()}"), seconds)

    def test_a_broken_connection_is_retried(self):
        self.wait_of(f"retry-reset {time.time()}")

    def test_x_should_retry_decides(self):
        with self.assertRaises(anthropic.InternalServerError) as caught:
            client(max_retries=5).messages.create(**ask("never-again"))

        self.assertEqual(caught.exception.request.headers["x-stainless-retry-count"], "0")


if __name__ == "__main__":
    unittest.main()
