"""The store: what was asked, what came back and what it cost, in one SQLite file. docs/store.md tells what stands where.

`database` is the file with its one writer, `ledger` writes runs down and reads them back, `answers` serves an identical question, `check` looks for
damage and saves what is whole, `forget` deletes what is old.
"""
