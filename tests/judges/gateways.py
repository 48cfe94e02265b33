"""Runs the program through a LiteLLM proxy, and against llmock, which judges how clients bear faults.

llmock may have no finding, not even a warning, and each row must end as the fault says. LiteLLM stands between the program
and simulators: each row must be answered once, and the simulators count what reached them.

`.ci/judges` installs what this needs, and calls it.
"""

import argparse
import collections
import json
import os
import pathlib
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

from page_section import write_section

KEY = "sk-proxy-key-of-the-judge-0123456789"

# What llmock does, with the flags of the program, and how a run may end: answered, failed, and the exit codes.
#
# If all requests fail, the run ends by its time, and its rows stay pending. "Other tries" are the requests that got no
answer: with llmock those that it saw, with LiteLLM those that reached the simulators.

A limit of tokens in llmock counts `max_tokens` of each request in advance, which the program does not do yet. Waits are
random: by chance, llmock takes two of nearly equal length for a wait without backoff.

| judge | what happens | rows answered | rows failed | other tries | exit code | findings |
|---|---|---|---|---|---|---|
{"".join(runs.table)}""")
    if runs.findings:
        raise SystemExit("\n".join(runs.findings))
    print("no findings")


sys.dont_write_bytecode = True
main()
