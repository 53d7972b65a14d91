"""The queries on the documentation's page of the store give what the page says, in a plain SQLite shell's hands."""

import re
import sqlite3
from pathlib import Path

from orchestrator_nb.store.migrations import MIGRATIONS

PAGE = Path(__file__).parents[2] / "docs" / "store.md"


def test_every_query_of_the_page_runs_and_finds_something(path, ledger, whole_run):
    whole_run(ledger, size=5)
    queries = re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(queries) >= 3
    connection = sqlite3.connect(path)
    for query in queries:
        assert connection.execute(query).fetchall(), query
    connection.close()


def test_every_table_is_on_the_page():
    tables = {
        name for step in MIGRATIONS for sql in step.sql for name in re.findall(r"^CREATE (?:TABLE|VIEW) (\w+)", sql)
    }
    assert tables - set(re.findall(r"^\| `(\w+)`", PAGE.read_text(), re.MULTILINE)) == set()
