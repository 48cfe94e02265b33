"""Checks that random rows and their answers pass through every possible format unchanged, byte for byte."""

import csv
import gzip
import json
import re

import openpyxl
import pyarrow
import pyarrow.parquet
import zstandard

import odd_rows
import readers
from fixtures_jobs import PARQUET
from server import Server

PART = "round trip"
COLUMNS = ["id", "note", "prompt", "number"]
FIELDS = ["id", "input.note", "input.number", "text"]

# Characters that XML does not allow, and the carriage return, which XML readers change. The last part of this pattern
# matches texts that look like escapes, because openpyxl does not escape such texts.
NOT_IN_EXCEL = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_x[0-9A-Fa-f]{4}_")


def without_nul(text):
    return text.replace("\0", "\x01")


def in_excel(text):
    text = NOT_IN_EXCEL.sub("?", text)
    # If a cell with only white space is not marked, readers remove the white space. openpyxl does not mark such cells.
    return text if text.strip() else text and "?"


def packed(path):
    """Opens a file for writing. The ending of the file name chooses the compression."""
    if path.suffix == ".gz":
        return gzip.open(path, "wt", encoding="utf-8", newline="", compresslevel=1)
    if path.suffix == ".zst":
        return zstandard.open(path, "wt", encoding="utf-8", newline="")
    return open(path, "w", encoding="utf-8", newline="")


def cells(row):
    return [row.label, row.cells[0], row.asked, row.cells[1]]


def write_lines(path, count, rng):
    rows, lines = zip(*(odd_rows.json_row(at, rng) for at in range(count)), strict=True)
    with packed(path) as file:
        file.writelines(lines)
    return rows


def write_csv(path, count, rng):
    rows = [odd_rows.table_row(at, rng, without_nul) for at in range(count)]
    with packed(path) as file:
        table = csv.writer(file, delimiter=readers.delimiter(path))
        table.writerow(COLUMNS)
        table.writerows(map(cells, rows))
    return rows


def write_parquet(path, count, rng):
    rows = [odd_rows.table_row(at, rng, lambda text: text) for at in range(count)]
    columns = zip(*map(cells, rows), strict=True)
    pyarrow.parquet.write_table(pyarrow.table(dict(zip(COLUMNS, columns, strict=True))), path)
    return rows


def write_excel(path, count, rng):
    rows = [odd_rows.table_row(at, rng, in_excel) for at in range(count)]
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(COLUMNS)
    for row in rows:
        # Here, a cell that begins with "=" is a text, not a formula.
        as_text = [openpyxl.cell.WriteOnlyCell(sheet, cell) for cell in cells(row)]
        for cell in as_text:
            cell.data_type = "s"
        sheet.append(as_text)
    book.save(path)
    return rows


def whole_body(body):
    return body


def prompt(body):
    return json.loads(body)["messages"][0]["content"]


INPUTS = [
    ("rows.jsonl", write_lines, whole_body),
    ("rows.jsonl.gz", write_lines, whole_body),
    ("rows.csv", write_csv, prompt),
    ("rows.csv.zst", write_csv, prompt),
    ("rows.tsv", write_csv, prompt),
]
TABLE_INPUTS = [("rows.parquet", write_parquet, prompt), ("rows.xlsx", write_excel, prompt)]


def judge(program, count, verdicts):
    """Sends `count` rows through the program in each input format."""
    for seed, (name, write, key) in enumerate(INPUTS + (TABLE_INPUTS if program.has_tables else [])):
        program.empty()
        rows = write(program.folder / name, count, odd_rows.generator(seed))
        server = Server(rows, key)
        run = ["run", name, "-o", "out.jsonl", "--base-url", server.url, "--stream", "off", "--tier", "none", "-q"]
        program(*run, "-c", 64)
        server.stop()
        example = server.strange[:1] or [row.asked for row, count in zip(rows, server.arrived) if count != 1][:1]
        verdicts.add(PART, "the server", f"requests of {name}", len(rows), len(rows), server.differences(), example)
        come_back(program, name, rows, verdicts)


def come_back(program, name, rows, verdicts):
    """Compares every output of a run with the answers that were sent."""
    compare = lambda judge, what, found, expected: verdicts.compare(PART, judge, f"{what} of {name}", found, expected)
    in_journal(program.folder / "out.jsonl", name, rows, verdicts)
    as_text = FIELDS, [(row.label, *row.cells, row.text) for row in rows]
    # In an Excel sheet, an empty text becomes a missing cell.
    has_empty = not name.endswith(".xlsx")
    cell = lambda text: text if text or has_empty else None
    expected = FIELDS, [(row.label, *map(cell, row.cells), row.text) for row in rows]
    results = ["results", "out.jsonl", "--order", "input", "--raw-cells"]
    for output in ["o.csv", "o.csv.gz", "o.csv.zst", "o.tsv"]:
        program(*results, "-o", output, "--fields", ",".join(FIELDS))
        compare("Python csv", output, readers.python_csv(program.folder / output), as_text)
    compare("DuckDB", "o.csv", readers.duckdb_csv(program.folder / "o.csv"), as_text)
    compare("pandas", "o.csv", readers.pandas_csv(program.folder / "o.csv"), as_text)
    for output in ["o.jsonl", "o.jsonl.gz"]:
        program(*results, "-o", output, "--fields", ",".join(FIELDS))
        compare("Python json", output, readers.python_json(program.folder / output), expected)
    texts = ["text"], [(row.text,) for row in rows]
    for output in ["o.txt", "o.txt.zst"]:
        program(*results, "-o", output)
        compare("Python", output, readers.texts(program.folder / output), texts)
    program(*results, "-o", "n.txt", "--null")
    # A NUL byte in a text looks like the NUL byte at the end of a text, so the whole output is compared at once.
    differs = (program.folder / "n.txt").read_bytes() != "".join(row.text + "\0" for row in rows).encode()
    verdicts.add(PART, "Python", f"n.txt (--null) of {name}", len(rows), len(rows), int(differs), "other bytes")
    if program.has_tables:
        program(*results, "-o", "o.parquet", "--fields", ",".join(FIELDS))
        for judge, read in PARQUET.items():
            compare(judge, "o.parquet", read(program.folder / "o.parquet"), expected)


def in_journal(path, name, rows, verdicts):
    """Checks that each line of the results file holds the answer byte for byte."""
    by_label = {row.label: row for row in rows}
    with open(path, encoding="utf-8", newline="\n") as file:
        lines = list(file)
    strange = [line for line in lines if f'"message":{by_label[json.loads(line)["custom_id"]].message}' not in line]
    differences = len(strange) + abs(len(lines) - len(rows))
    verdicts.add(PART, "Python", f"answers in the results file of {name}", len(lines), len(lines), differences, strange[:1])
