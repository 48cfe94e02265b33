"""Keeps what the judges found, and writes the page that shows it."""

import datetime
import sys
import time
from importlib.metadata import version

import duckdb
import openpyxl
import pandas
import polars
import pyarrow
import zstandard

BEGINNING = """\
# Inputs and outputs, judged by programs that others wrote

`.ci/judges` makes this page: it installs the judges, runs a release build of the program, and compares cells. If
anything differs, `.ci/judges` fails, and this page shows the differences. Numbers are compared as they are spelled,
except in Parquet columns that hold numbers.

- **fixtures**: the jobs of the fixtures on the simulator. The cells must be equal to the cells of the input, and to
  the results file as Python's `json` reads it.
- **formulas**: answers that a spreadsheet could take for formulas. LibreOffice opens the table as a person would, and
  no cell may become a formula. With `--raw-cells`, some cells become formulas, so this judge is able to find formulas.
- **round trip**: random rows with texts from all planes of Unicode, control characters, huge numbers, and members in any
  order. A server looks up each request by its bytes and answers with such texts. Tables are made with `--raw-cells`.
- **schemas**: random schemas with random answers, judged by a test build. Both must agree whether the answer
  fits the schema. Three things are not tested: numbers above 64 bits, patterns in which Python and ECMAScript differ, and
  formats that Python checks only with further packages.

If a format can't carry a text, this text is not tested in the format. A table in CSV or TSV with a NUL byte is refused
because it is not text. An Excel cell can't contain an empty text. It also can't contain control characters other than
tab and line feed. The package openpyxl writes these sheets. It does not escape `_x000D_`, and does not mark white
space, so such texts and cells with only white space are not tested in Excel. No format can carry half of a surrogate
pair.

"""

HEAD = "| part | judge | what it read | rows | cells | differences |\n|---|---|---|---|---|---|\n"


class Verdicts:
    """Collects the results of the comparisons."""

    def __init__(self):
        self.lines = []
        self.differences = 0
        self.begun = time.monotonic()

    def add(self, part, judge, what, rows, cells, differences, example=None):
        self.differences += differences
        shown = f"**{differences}**" if differences else "0"
        self.lines.append(f"| {part} | {judge} | {what} | {rows:,} | {cells:,} | {shown} |\n")
        print(f"{time.monotonic() - self.begun:6.0f} s  {part}: {judge}, {what}: {rows:,} rows, {differences} differences", flush=True)
        if differences:
            print(f"DIFFERS: {example!r:.2000}", file=sys.stderr, flush=True)

    def compare(self, part, judge, what, found, expected):
        """Compares the header and rows that a judge read with the expected header and rows."""
        (found_header, found_rows), (header, rows) = found, expected
        different = [pair for pair in zip(found_rows, rows) if pair[0] != pair[1]]
        wrong = sum(a != b for pair in different for a, b in zip(*pair, strict=True))
        wrong += abs(len(found_rows) - len(rows)) * len(header) + (list(found_header) != list(header))
        example = different[0] if different else (found_header, len(found_rows), header, len(rows))
        self.add(part, judge, what, len(found_rows), len(found_rows) * len(header), wrong, example)

    def write(self, path, libreoffice, jq):
        """Writes the page."""
        versions = {
            "Python": sys.version.split()[0],
            "pandas": pandas.__version__,
            "DuckDB": duckdb.__version__,
            "pyarrow": pyarrow.__version__,
            "Polars": polars.__version__,
            "openpyxl": openpyxl.__version__,
            "zstandard": zstandard.__version__,
            "jsonschema": version("jsonschema"),
            "LibreOffice": libreoffice,
            "jq": jq,
        }
        judges = ", ".join(f"{name} {version}" for name, version in versions.items())
        said = f"Last run: {datetime.date.today()}, {time.monotonic() - self.begun:.0f} s. Judges: {judges}.\n\n"
        total = f"\n{self.differences:,} differences.\n"
        path.write_text(BEGINNING + said + HEAD + "".join(self.lines) + total, encoding="utf-8")
