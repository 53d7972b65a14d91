"""Keys as twenty vendors make them, and the six places in which people leave them."""

import json
import random
import sqlite3
import string

import nbformat

HEX, LETTERS = "0123456789abcdef", string.ascii_letters + string.digits
URLSAFE = LETTERS + "-_"


def made(seed=7):
    """A key of each vendor, as its manual or a leak scanner's rules describe it."""
    draw = random.Random(seed)

    def signs(alphabet, count):
        return "".join(draw.choices(alphabet, k=count))

    return {
        "anthropic": f"sk-ant-api03-{signs(URLSAFE, 93)}AA",
        "openai": f"sk-{signs(LETTERS, 20)}T3BlbkFJ{signs(LETTERS, 20)}",
        "openai project": f"sk-proj-{signs(URLSAFE, 156)}",
        "openai service": f"sk-svcacct-{signs(URLSAFE, 120)}",
        "google": f"AIza{signs(URLSAFE, 35)}",
        "deepseek": f"sk-{signs(HEX, 32)}",
        "mistral": signs(LETTERS, 32),
        "groq": f"gsk_{signs(LETTERS, 52)}",
        "xai": f"xai-{signs(LETTERS, 80)}",
        "openrouter": f"sk-or-v1-{signs(HEX, 64)}",
        "together": signs(HEX, 64),
        "fireworks": f"fw_{signs(LETTERS, 24)}",
        "perplexity": f"pplx-{signs(LETTERS, 48)}",
        "cohere": signs(LETTERS, 40),
        "huggingface": f"hf_{signs(LETTERS, 34)}",
        "replicate": f"r8_{signs(LETTERS, 37)}",
        "nvidia": f"nvapi-{signs(URLSAFE, 64)}",
        "cerebras": f"csk-{signs(HEX, 48)}",
        "azure": signs(HEX, 32),
        "aws": f"AKIA{signs('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', 16)}",
    }


def leave(folder, keys):
    """Write the keys to six places under the folder; the files."""
    outputs = [
        nbformat.v4.new_output("stream", text=f"here it is:\n{key}\n") if number % 2 else _shown(key)
        for number, key in enumerate(keys)
    ]
    return {
        "cells": _notebook(folder / "cells.ipynb", [(f'client = Client(api_key="{key}")', []) for key in keys]),
        "outputs": _notebook(folder / "outputs.ipynb", [("client", [output]) for output in outputs]),
        "checkpoint": _notebook(
            folder / ".ipynb_checkpoints" / "old-checkpoint.ipynb", [(f'KEY = "{key}"\nask()', []) for key in keys]
        ),
        "history": _history(folder / "ipython" / "profile_default" / "history.sqlite", keys),
        "tape": _lines(
            folder / "tape.jsonl", [json.dumps({"headers": {"authorization": f"Bearer {k}"}, "body": ""}) for k in keys]
        ),
        "log": _lines(
            folder / "run.log", [f"12:00:01 INFO POST /v1/chat x-api-key: {key} took 0.3 s 200 OK" for key in keys]
        ),
    }


def _shown(key):
    return nbformat.v4.new_output("display_data", data={"text/html": f"<pre>{key}</pre>", "text/plain": "Client()"})


def _notebook(path, cells):
    made = [nbformat.v4.new_code_cell(source, outputs=outputs) for source, outputs in cells]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    return path


def _lines(path, lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def _history(path, keys):
    """As IPython makes it, in write-ahead mode: the last rows are in the file beside it, and stay there while somebody has it open."""
    path.parent.mkdir(parents=True, exist_ok=True)
    base = sqlite3.connect(path)
    base.execute("PRAGMA journal_mode = WAL")
    base.executescript(
        "CREATE TABLE sessions (session integer primary key autoincrement, start timestamp, end timestamp, num_cmds integer, remark text);"
        "CREATE TABLE history (session integer, line integer, source text, source_raw text, PRIMARY KEY (session, line));"
        "CREATE TABLE output_history (session integer, line integer, output text, PRIMARY KEY (session, line));"
    )
    rows = [(1, n, f"os.environ['K'] = '{key}'", f"os.environ['K'] = '{key}'") for n, key in enumerate(keys, 1)]
    base.executemany("INSERT INTO history VALUES (?, ?, ?, ?)", rows)
    base.executemany("INSERT INTO history VALUES (2, ?, ?, '')", [(n, key * 2) for n, key in enumerate(keys, 1)])
    base.execute("DELETE FROM history WHERE session = 2")  # leaves its bytes in the free space
    base.commit()
    OPEN.append(base)
    return path


OPEN = []
