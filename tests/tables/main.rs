//! Tests Parquet files and Excel sheets as inputs: undamaged files, damaged files, and files that were made to do harm.
//!
//! Files in `fixtures/tables` come from other writers: pyarrow with several encodings and compressions, and openpyxl.
//! `fixtures/tickets.parquet` was written by pandas, and `fixtures/tickets.xlsx` by XlsxWriter.

mod crafted;
mod support;
mod whole;
