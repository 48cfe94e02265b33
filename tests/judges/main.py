"""Checks how a build of the program handles inputs, outputs and schemas.

`.ci/judges` installs what this script needs, and calls the script.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import fixtures_jobs
import round_trip
import schemas
from program import Program
from verdicts import Verdicts

FOLDER = Path(__file__).resolve().parents[2]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("binary", type=Path, help="the program")
    arguments.add_argument("work", type=Path, help="a folder for files, which is emptied")
    arguments.add_argument("--rows", type=int, default=100_000, help="rows of each round trip")
    arguments.add_argument("--without-tables", action="store_true", help="the program has no Parquet and no Excel")
    arguments.add_argument("--schemas", type=Path, help="a folder with pairs of schemas and answers, and verdicts about them")
    arguments.add_argument("--page", type=Path, help="where the page is written")
    args = arguments.parse_args()

    verdicts = Verdicts()
    program = Program(args.binary.resolve(), args.work.resolve(), not args.without_tables)
    fixtures_jobs.judge(program, FOLDER / "fixtures", verdicts)
    round_trip.judge(program, args.rows, verdicts)
    if args.schemas:
        schemas.judge(args.schemas, verdicts)
    if args.page:
        version = lambda *command: subprocess.run(command, capture_output=True, text=True, check=True).stdout
        jq = version("jq", "--version").strip().removeprefix("jq-")
        verdicts.write(args.page, version("soffice", "--version").split()[1], jq)
    if verdicts.differences:
        raise SystemExit(f"{verdicts.differences} differences")
    shutil.rmtree(args.work)
    print("no differences")


sys.dont_write_bytecode = True
main()
