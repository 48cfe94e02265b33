//! Parquet files and Excel sheets as inputs: whole, damaged and crafted.
//!
//! Files in `fixtures/tables` come from other writers: pyarrow with several encodings and compressions, and openpyxl.
//! `fixtures/tickets.parquet` was written by pandas, and `fixtures/tickets.xlsx` by XlsxWriter.

mod crafted;
mod support;
mod whole;
