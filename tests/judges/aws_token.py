"""Judges the tokens for Amazon Bedrock. For each of 1,000 random inputs, three tokens are compared:
the program's token, the token of the AWS package, and a token of botocore. All three must be equal, byte for byte.

`write` makes the inputs. Then `cargo test --test aws_token -- --ignored` writes the tokens of the program, and `judge`
compares the tokens. This script needs the Python package aws-bedrock-token-generator:

    python3 -m venv V
    V/bin/pip install --require-hashes --requirement tests/judges/aws-requirements.txt
    V/bin/python tests/judges/aws_token.py write FOLDER
    AWS_TOKEN_FOLDER=FOLDER cargo test --test aws_token -- --ignored
    V/bin/python tests/judges/aws_token.py judge FOLDER [PAGE]

If PAGE is given, `judge` writes the result into this page.
"""

import base64
import hashlib
import hmac
import json
import platform
import random
import string
import sys
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path
from unittest import mock
from urllib.parse import parse_qsl

from page_section import write_section

SEED = 20261127
INPUTS = 1000
REGIONS = ["us-east-1", "us-west-2", "eu-west-1", "eu-central-2", "ap-northeast-1", "ap-southeast-7", "sa-east-1",
           "mx-central-1", "us-gov-west-1", "us-gov-east-1", "cn-north-1", "cn-northwest-1", "us-iso-east-1",
           "eusc-de-east-1"]
BASE64 = string.ascii_letters + string.digits + "+/="
GRAPHIC = "".join(chr(code) for code in range(33, 127))


def text(rng, characters, least, most):
    return "".join(rng.choice(characters) for _ in range(rng.randint(least, most)))


def make_input(rng):
    session = rng.choice([None, text(rng, BASE64, 100, 1200), text(rng, BASE64, 1, 8), text(rng, GRAPHIC, 1, 300)])
    return {
        "access_key_id": rng.choice(["AKIA", "ASIA"]) + text(rng, string.ascii_uppercase + string.digits, 12, 124),
        "secret_access_key": text(rng, rng.choice([BASE64, GRAPHIC]), 1, rng.choice([40, 40, 40, 200])),
        "session_token": session,
        "region": rng.choice(REGIONS),
        "at": rng.randint(0, 4102444799),
        "valid_for": rng.choice([1, 43200, rng.randint(1, 43200)]),
    }


def write(folder):
    rng = random.Random(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(make_input(rng)) + "\n" for _ in range(INPUTS))
    (folder / "inputs.jsonl").write_text("".join(lines))


def of_package(given):
    """Returns the token of the package."""
    import botocore.auth
    from aws_bedrock_token_generator import provide_token
    from botocore.credentials import Credentials

    class Provider:
        def load(self):
            return Credentials(given["access_key_id"], given["secret_access_key"], given["session_token"])

    at = datetime.fromtimestamp(given["at"], timezone.utc)
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: at):
        return provide_token(given["region"], Provider(), timedelta(seconds=given["valid_for"]))


def of_botocore(given):
    """Signs a request with botocore alone, without the AWS package for tokens, and returns the token."""
    import botocore.auth
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    credentials = Credentials(given["access_key_id"], given["secret_access_key"], given["session_token"])
    request = AWSRequest(method="POST", url="https://bedrock.amazonaws.com/?Action=CallWithBearerToken")
    at = datetime.fromtimestamp(given["at"], timezone.utc)
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: at):
        SigV4QueryAuth(credentials, "bedrock", given["region"], expires=given["valid_for"]).add_auth(request)
    url = request.url.removeprefix("https://") + "&Version=1"
    return "bedrock-api-key-" + base64.b64encode(url.encode()).decode()


def faults_of_token(given, token):
    """Reads a token as a server does, and returns what is wrong with it."""
    url = base64.b64decode(token.removeprefix("bedrock-api-key-"), validate=True).decode()
    address, _, query = url.partition("?")
    members = dict(parse_qsl(query, strict_parsing=True))
    signature = members.pop("X-Amz-Signature")
    expected = {
        "Action": "CallWithBearerToken",
        "Version": "1",
        "X-Amz-Expires": str(given["valid_for"]),
        "X-Amz-SignedHeaders": "host",
    }
    if given["session_token"] is not None:
        expected["X-Amz-Security-Token"] = given["session_token"]
    faults = [name for name, value in expected.items() if members.get(name) != value]
    if address != "bedrock.amazonaws.com/":
        faults.append("address")
    date, region, service, end = members["X-Amz-Credential"].removeprefix(given["access_key_id"] + "/").split("/")
    key = ("AWS4" + given["secret_access_key"]).encode()
    for part in (date, region, service, end):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    pairs = sorted(pair for pair in query.split("&") if not pair.startswith(("X-Amz-Signature=", "Version=")))
    nothing = hashlib.sha256(b"").hexdigest()
    request = f"POST\n/\n{'&'.join(pairs)}\nhost:bedrock.amazonaws.com\n\nhost\n{nothing}"
    hashed = hashlib.sha256(request.encode()).hexdigest()
    signed = f"AWS4-HMAC-SHA256\n{members['X-Amz-Date']}\n{date}/{region}/{service}/{end}\n{hashed}"
    if not hmac.compare_digest(hmac.new(key, signed.encode(), hashlib.sha256).hexdigest(), signature):
        faults.append("signature")
    return faults


def judge(folder, page=None):
    inputs = [json.loads(line) for line in (folder / "inputs.jsonl").read_text().splitlines()]
    tokens = (folder / "tokens.txt").read_text().splitlines()
    findings = [] if len(tokens) == len(inputs) == INPUTS else [f"{len(tokens)} tokens for {len(inputs)} inputs"]
    for number, (given, token) in enumerate(zip(inputs, tokens), 1):
        for judge_name, expected in (("the package of AWS", of_package(given)), ("botocore", of_botocore(given))):
            if token != expected:
                findings.append(f"input {number} (seed {SEED}): not the token of {judge_name}")
        findings += [f"input {number} (seed {SEED}): wrong {fault}" for fault in faults_of_token(given, token)]
    for finding in findings[:20]:
        print(f"FINDING: {finding}", file=sys.stderr)
    if findings:
        raise SystemExit(f"{len(findings)} findings")
    print(f"{len(tokens)} tokens of Amazon Bedrock, equal to those of aws-bedrock-token-generator and botocore")
    if page:
        packages = [f"{name} {version(name)}" for name in ("aws-bedrock-token-generator", "botocore")]
        write_section(page, "Providers: tokens of Amazon Bedrock", f"""
Judges: Python {platform.python_version()}, {", ".join(packages)}.

Random credentials, regions, times and lifetimes (seed {SEED}): each token must have the same bytes as the token of the
AWS package and the token of botocore. This judge also reads each token as a server would, and computes its signature
again.

| judge | tokens | differences |
|---|---|---|
| aws-bedrock-token-generator | {len(tokens):,} | 0 |
| botocore | {len(tokens):,} | 0 |
| this judge, as a server | {len(tokens):,} | 0 |
""")


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    {"write": write, "judge": judge}[sys.argv[1]](*map(Path, sys.argv[2:]))
