"""Reads files with the tools of each judge. The functions return the header and the rows. A cell that is missing is `None`."""

import csv
import gzip
import json
import shutil
import subprocess

import duckdb
import openpyxl
import pandas
import polars
import pyarrow.parquet
import zstandard

csv.field_size_limit(1 << 30)


def opened(path, newline=""):
    """Opens a text file, which is possibly compressed."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline=newline)
    if path.suffix == ".zst":
        return zstandard.open(path, "rt", encoding="utf-8", newline=newline)
    return open(path, encoding="utf-8", newline=newline)


def delimiter(path):
    return "\t" if ".tsv" in path.name else ","


def python_csv(path):
    with opened(path) as file:
        rows = [tuple(row) for row in csv.reader(file, delimiter=delimiter(path), strict=True)]
    return list(rows[0]), rows[1:]


def python_json(path):
    """Reads JSON lines. Numbers keep their spelling."""
    with opened(path, newline="\n") as file:
        lines = [json.loads(line, parse_int=str, parse_float=str) for line in file]
    header = list(lines[0]) if lines else []
    assert all(list(line) == header for line in lines), "all lines have the same members"
    return header, [tuple(line.values()) for line in lines]


def texts(path):
    """Reads texts with escaped line breaks."""
    with opened(path, newline="\n") as file:
        whole = file.read()
    lines = whole.split("\n")
    assert lines.pop() == "", "the last line ends"
    meanings = {"n": "\n", "r": "\r"}

    def unescaped(line):
        parts = iter(line.split("\\"))
        text = next(parts)
        for part in parts:
            # The split at backslashes gives an empty part between two adjacent backslashes.
            text += "\\" + next(parts) if part == "" else meanings[part[0]] + part[1:]
        return text

    return ["text"], [(unescaped(line),) for line in lines]


def pandas_csv(path):
    table = pandas.read_csv(path, sep=delimiter(path), dtype=str, keep_default_na=False, na_filter=False)
    return list(table.columns), list(table.itertuples(index=False, name=None))


def polars_csv(path):
    table = polars.read_csv(path, separator=delimiter(path), infer_schema=False)
    return table.columns, table.fill_null("").rows()


def duckdb_csv(path):
    found = duckdb.execute(
        "select * from read_csv(?, delim = ?, header = true, all_varchar = true, quote = '\"', escape = '\"')",
        [str(path), delimiter(path)],
    )
    return rows_of(found, lambda cell: "" if cell is None else cell)


def rows_of(found, as_cell=lambda cell: cell):
    header = [column[0] for column in found.description]
    return header, [tuple(map(as_cell, row)) for row in found.fetchall()]


def duckdb_parquet(path):
    return rows_of(duckdb.execute("select * from read_parquet(?)", [str(path)]))


def pyarrow_parquet(path):
    table = pyarrow.parquet.read_table(path)
    return table.column_names, list(zip(*[column.to_pylist() for column in table.columns]))


def polars_parquet(path):
    table = polars.read_parquet(path)
    return table.columns, table.rows()


def jq(path):
    """Reads JSON lines with jq, which turns each line into a list."""
    found = subprocess.run(["jq", "-c", "to_entries", path], check=True, capture_output=True).stdout
    lines = [json.loads(line) for line in found.decode().split("\n") if line]
    header = [member["key"] for member in lines[0]]
    return header, [tuple(member["value"] for member in line) for line in lines]


def libreoffice(path, work, columns):
    """Returns the Excel file that LibreOffice makes from a table. If `columns` is a number, LibreOffice reads this number
    of columns as text. Without `columns`, LibreOffice reads cells as if a user had opened the file."""
    formats = "/".join(f"{column}/2" for column in range(1, columns + 1)) if columns else ""
    options = f"CSV:{ord(delimiter(path))},34,76,1,{formats},0,false,{'false' if columns else 'true'}"
    folder = work / "libreoffice"
    shutil.rmtree(folder, ignore_errors=True)
    command = ["soffice", f"-env:UserInstallation=file://{work}/profile", "--headless", "--norestore"]
    command += [f"--infilter={options}", "--convert-to", "xlsx", "--outdir", folder, path]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    return folder / (path.stem + ".xlsx")


def sheet_of(path):
    return openpyxl.load_workbook(path).active


def libreoffice_csv(path, work):
    header, _ = python_csv(path)
    sheet = sheet_of(libreoffice(path, work, len(header)))
    rows = [tuple("" if cell is None else str(cell) for cell in row) for row in sheet.iter_rows(values_only=True)]
    return list(rows[0]), rows[1:]
