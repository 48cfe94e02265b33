"""Runs the jobs of the fixtures on the simulator, and tests tables whose answers look like formulas."""

import json
import re

import pyarrow
import pyarrow.parquet

import odd_rows
import readers
from server import Server

PART = "fixtures"
TEMPLATE = "Write one line in English that says what this customer wants.\n\nSubject: {{subject}}\n{{body}}"
SIMULATED = ["--simulate", "--tier", "none", "-q"]
FIELDS = "id,text,model,stop_reason,usage.output_tokens,cost_usd,error,error.class"

FORMULAS = [
    "=1+1", "+1+1", "-1+1", "@SUM(1)", "=HYPERLINK(\"http://example.invalid\",\"x\")", "\t=1+1", "\r=1+1", "\n=1+1",
    "=cmd|' /C calc'!A0", "＝1+1", "--1", "-", "=\"a\"&\"b\"", "{=1+1}", " =1+1", "'=1+1", "-5", "+3.25", "1e5", "plain",
]


def defused(cell):
    """Returns the text that a table has for this cell if --raw-cells is not given."""
    is_number = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", cell)
    return "'" + cell if cell and cell[0] in "=+-@\t\r\n＝＋－＠" and not is_number else cell


def journal(path):
    """Returns the lines of a results file or error log, by label."""
    with open(path, encoding="utf-8", newline="\n") as file:
        lines = [json.loads(line, parse_int=str, parse_float=str) for line in file]
    return {line["custom_id"]: line for line in lines}


def text(line):
    """Returns the text of an answer; `None` when there is no text, for example in a tool call."""
    blocks = [block["text"] for block in line["result"]["message"]["content"] if block["type"] == "text"]
    return "".join(blocks) if blocks else None


def judge(program, fixtures, verdicts):
    """Runs all jobs."""
    tickets(program, fixtures, verdicts)
    prompts(program, fixtures, verdicts)
    if program.has_tables:
        typed(program, fixtures, verdicts)
    formulas(program, verdicts)


def tickets(program, fixtures, verdicts):
    """Reads a table, and writes tables that contain the input's columns and also the answers."""
    header, rows = readers.python_csv(fixtures / "tickets.csv")
    for name in ["answers.csv", "answers.tsv.gz", "answers.csv.zst", "answers.csv.gz"]:
        program("run", fixtures / "tickets.csv", "-t", TEMPLATE, "--max-tokens", 60, "-o", name, *SIMULATED)
        path = program.folder / name
        answers = journal(program.folder / f"{name}.results.jsonl")
        whole = [(*map(defused, row), defused(text(answers[row[0]])), "") for row in rows]
        expected = [*header, "text", "error"], whole
        verdicts.compare(PART, "Python csv", name, readers.python_csv(path), expected)
        verdicts.compare(PART, "pandas", name, readers.pandas_csv(path), expected)
        verdicts.compare(PART, "DuckDB", name, readers.duckdb_csv(path), expected)
        if path.suffix in [".csv", ".tsv"]:
            verdicts.compare(PART, "Polars", name, readers.polars_csv(path), expected)
            verdicts.compare(PART, "LibreOffice", name, readers.libreoffice_csv(path, program.folder), expected)


def prompts(program, fixtures, verdicts):
    """Reads rows as JSON lines, and writes the results in every format. Some of the rows fail."""
    (program.folder / "faults.json").write_text('{"rules": [{"status": 400, "contains": "KM-400"}]}')
    run = ["run", fixtures / "prompts.jsonl", "-o", "p.jsonl", *SIMULATED, "--simulate-faults", "faults.json"]
    program(*run, code=3)
    answers, failures = journal(program.folder / "p.jsonl"), journal(program.folder / "p.errors.jsonl")
    assert answers and failures, "some rows are answered, and some fail"

    def cells(line):
        if "error" in line:
            error, model = line["error"], line["params"].get("model")
            tokens, cost = error.get("usage", {}).get("output_tokens"), error.get("cost_usd")
            return line["custom_id"], None, model, None, tokens, cost, error["message"], error["class"]
        meta, message = line["meta"], line["result"]["message"]
        tokens, cost = meta["usage"]["output_tokens"], meta["cost_usd"]
        return line["custom_id"], text(line), meta["model"], message["stop_reason"], tokens, cost, None, None

    header, rows = FIELDS.split(","), [cells(line) for line in [*answers.values(), *failures.values()]]
    as_text = header, [tuple("" if cell is None else cell for cell in row) for row in rows]
    results = ["results", "p.jsonl", "--order", "done", "--fields", FIELDS]
    for name in ["p.csv", "p.tsv"]:
        program(*results, "--raw-cells", "-o", name)
        path = program.folder / name
        for judge, read in TABLES.items():
            verdicts.compare(PART, judge, name, read(path), as_text)
        verdicts.compare(PART, "LibreOffice", name, readers.libreoffice_csv(path, program.folder), as_text)
    program(*results, "-o", "f.jsonl.zst")
    verdicts.compare(PART, "Python json", "f.jsonl.zst", readers.python_json(program.folder / "f.jsonl.zst"), (header, rows))
    program(*results, "-o", "f.jsonl")
    numbers = [(*row[:4], *(number and json.loads(number) for number in row[4:6]), *row[6:]) for row in rows]
    verdicts.compare(PART, "jq", "f.jsonl", readers.jq(program.folder / "f.jsonl"), (header, numbers))
    if program.has_tables:
        program(*results, "-o", "p.parquet")
        for judge, read in PARQUET.items():
            verdicts.compare(PART, judge, "p.parquet", read(program.folder / "p.parquet"), (header, numbers))


def typed(program, fixtures, verdicts):
    """Reads the table `tickets` in two forms: as Parquet, and as an Excel sheet from LibreOffice. Writes Parquet."""
    header, rows = readers.python_csv(fixtures / "tickets.csv")
    table = {name: [row[at] for row in rows] for at, name in enumerate(header)}
    pyarrow.parquet.write_table(pyarrow.table(table), program.folder / "tickets.parquet")
    sheet = readers.libreoffice(fixtures / "tickets.csv", program.folder, len(header))
    sheet.rename(program.folder / "tickets.xlsx")
    for name, empty in [("tickets.parquet", ""), ("tickets.xlsx", None)]:
        program("run", name, "-t", TEMPLATE, "--max-tokens", 60, "-o", "t.parquet", "--fresh", *SIMULATED)
        answers = journal(program.folder / "t.parquet.results.jsonl")
        whole = [(*(cell or empty for cell in row), text(answers[row[0]]), None) for row in rows]
        for judge, read in PARQUET.items():
            what = f"t.parquet of {name}"
            found = read(program.folder / "t.parquet")
            verdicts.compare(PART, judge, what, found, ([*header, "text", "error"], whole))


def formulas(program, verdicts):
    """Tests answers that look like formulas. LibreOffice opens the table in the same way as when a user opens it."""
    rng = odd_rows.generator(3)
    rows = [odd_rows.Row(str(at), f"row {at}", [], rng) for at in range(len(FORMULAS))]
    for row, answer in zip(rows, FORMULAS, strict=True):
        row.text = answer
        row.message = json.dumps(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "claude-haiku-4-5",
                "content": [{"type": "text", "text": answer}],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": 1, "output_tokens": 1},
            }
        )
    (program.folder / "formulas.csv").write_text("id,prompt\n" + "".join(f"{row.label},{row.asked}\n" for row in rows))
    server = Server(rows, lambda body: json.loads(body)["messages"][0]["content"])
    run = ["run", "formulas.csv", "--base-url", server.url, "--stream", "off", "--tier", "none", "-q"]
    for name in ["safe.csv", "safe.tsv"]:
        program(*run, "-o", name, "--fields", "id,text")
        path = program.folder / name
        expected = ["id", "text"], [(row.label, defused(row.text)) for row in rows]
        verdicts.compare("formulas", "Python csv", name, readers.python_csv(path), expected)
        found = formulas_in(readers.sheet_of(readers.libreoffice(path, program.folder, None)))
        verdicts.add("formulas", "LibreOffice", f"{name}: formulas", len(rows), 2 * len(rows), len(found), found)
    program("results", "safe.csv", "-o", "raw.csv", "--fields", "id,text", "--raw-cells")
    found = formulas_in(readers.sheet_of(readers.libreoffice(program.folder / "raw.csv", program.folder, None)))
    what = f"raw.csv, with --raw-cells: {len(found)} formulas, as it must be"
    verdicts.add("formulas", "LibreOffice", what, len(rows), 2 * len(rows), int(not found), "it finds no formula at all")
    server.stop()


def formulas_in(sheet):
    return [cell.value for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]


TABLES = {
    "Python csv": readers.python_csv,
    "pandas": readers.pandas_csv,
    "DuckDB": readers.duckdb_csv,
    "Polars": readers.polars_csv,
}
PARQUET = {
    "pyarrow": readers.pyarrow_parquet,
    "DuckDB": readers.duckdb_parquet,
    "Polars": readers.polars_parquet,
}
