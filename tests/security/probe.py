"""Runs cells in a real terminal IPython whose only key is in the environment, or in the vault, and looks for that key everywhere it could have got to.

Started by test_leaks.py with a JSON plan on its standard input; prints what cells print, and writes its findings to the plan's ``report``.
"""

import contextlib
import copy
import faulthandler
import io
import json
import linecache
import logging
import os
import pdb  # noqa: T100
import pickle
import sys
import tempfile
import threading
import traceback
from base64 import b64encode
from pathlib import Path
from types import FrameType
from urllib.parse import quote


def needles(value):
    """The key, its encodings, and a good part of it."""
    raw = value.encode()
    bases = [b64encode(b"xyz"[:pad] + raw + b"tail").decode()[4:-8] for pad in range(3)]
    return [value, value[:12], quote(value, safe=""), json.dumps(value)[1:-1], raw.hex(), *bases]


class Search:
    """Notes every place in which a text holds one of the secrets: keys, the vault's password."""

    def __init__(self, *values):
        self.needles = [needle for value in values for needle in needles(value)]
        self.looked, self.hits, self.sinks = 0, [], set()

    def text(self, place, text):
        self.looked += 1
        self.sinks.add(place.partition(": ")[2].partition(" frame ")[0].split("[")[0])
        text = text.decode("latin-1") if isinstance(text, bytes) else str(text)
        if any(needle in text for needle in self.needles):
            self.hits.append(place)

    def thing(self, place, thing):
        """Every view of an object that a user, a debugger or a library takes."""
        for name, view in VIEWS.items():
            try:
                seen = view(thing)
            except Exception as error:  # noqa: BLE001 - a refusal is a view too
                seen = f"{error!r}"
            self.text(f"{place}: {name}", seen)

    def error(self, place, error, known=()):
        """An error with its causes: words, attributes, and every frame's locals, each with what hangs on it."""
        seen = dict.fromkeys(known)
        for depth, link in enumerate(chain(error)):
            self.thing(f"{place}[{depth}]", link)
            for frame, _line in traceback.walk_tb(link.__traceback__):
                code = frame.f_code
                for name, local in frame.f_locals.items():
                    where = f"{place}[{depth}] frame {Path(code.co_filename).name}:{code.co_name}:{name}"
                    self.text(where, repr(local))
                    if not isinstance(local, FrameType):
                        self.text(f"{where} (deep)", "\n".join(deep(local, seen=seen)))
        self.text(
            f"{place}: captured",
            "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()),
        )


VIEWS = {
    "repr": repr,
    "str": str,
    "format": "{}".format,
    "vars": lambda thing: repr(vars(thing)),
    "dir": lambda thing: repr(dir(thing)),
    "copy": lambda thing: repr(vars(copy.copy(thing))),
    "deepcopy": lambda thing: repr(copy.deepcopy(thing)),
    "pickle": pickle.dumps,
    "json": lambda thing: json.dumps(thing, default=lambda t: getattr(t, "__dict__", repr(t))),
    "deep": lambda thing: "\n".join(deep(thing)),
}


def chain(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def deep(thing, depth=6, seen=None):
    """Every text that can be reached by attributes, items and slots of our objects; private slots of handles are what must not be reached."""
    seen = {} if seen is None else seen
    if id(thing) in seen or depth == 0 or thing is os.environ:
        return
    seen[id(thing)] = thing  # kept alive: the next thing made may stand at the same place in memory
    if isinstance(thing, str | bytes | bytearray):
        yield thing if isinstance(thing, str) else thing.decode("latin-1")
    elif isinstance(thing, dict):
        for pair in list(thing.items())[:200]:
            yield from deep(pair, depth, seen)
    elif isinstance(thing, list | tuple | set | frozenset):
        for item in list(thing)[:200]:
            yield from deep(item, depth - 1, seen)
    elif type(thing).__module__.startswith(("orchestrator_nb", "httpx2")):
        names = {
            name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ()) if not name.startswith("__")
        }
        for name in [*names, *getattr(thing, "__dict__", ())]:
            yield from deep(getattr(thing, name, None), depth - 1, seen)


def standing():
    """What of ours is always there, by name."""
    from orchestrator_nb import session

    own = session()
    keyring = own.vault
    yield from {
        "session": own,
        "config": own.config,
        "catalog": own.catalog,
        "line": own._wiring.line(),
        "exchange": own._wiring.line().exchange,
        "keys": own._wiring._vaulted,
        "keyring": keyring,
        "vault": keyring.vault,
        "entries": keyring.vault._held,
        "status": keyring.status(),
        "forms": keyring.vault.forms,
    }.items()
    for vendor in own.catalog.vendors.values():
        if vendor.key_name == "LAB_KEY" and (keyring.vault.is_open or not keyring.vault.exists):
            yield f"handle {vendor.name}", own._wiring._vaulted.key_for(vendor)
    if keyring.vault.is_open:
        yield "facts", keyring.list()


def process(keys):
    """What of this process others can see, by name."""
    if keys == "vault":
        yield "environment", dict(os.environ)
        yield "process table", b"".join(Path(f"/proc/self/{name}").read_bytes() for name in ("environ", "cmdline"))
    for thread in threading.enumerate():
        yield "names of threads", thread.name
    for frame in sys._current_frames().values():
        for each, _line in traceback.walk_stack(frame):
            if each.f_globals.get("__name__", "").startswith(("orchestrator_nb", "asyncio", "concurrent")):
                yield "frames of threads", "\n".join(map(repr, each.f_locals.values()))
    with tempfile.TemporaryFile("w+") as dump:
        faulthandler.dump_traceback(dump, all_threads=True)
        dump.seek(0)
        yield "crash dump", dump.read()


def debuggers(error):
    """What the usual tools make of an error, by name."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        one = pdb.Pdb(
            stdin=io.StringIO("where\n" + "args\npp locals()\nup\n" * 12 + "quit\n"),
            stdout=said,
            nosigint=True,
            readrc=False,
        )
        one.reset()
        one.interaction(None, error.__traceback__)
    yield "pdb", said.getvalue()
    import rich.console
    import rich.traceback

    told = rich.traceback.Traceback.from_exception(
        type(error), error, error.__traceback__, show_locals=True, locals_max_length=20, locals_max_string=400
    )
    page = rich.console.Console(file=io.StringIO(), width=300)
    page.print(told)
    yield "rich", page.file.getvalue()


def results(shell):
    """What the last cell left."""
    from orchestrator_nb import session
    from orchestrator_nb.results.reply import Reply

    if run := session().last:
        call = run.calls[0]
        yield from {"run": run, "call": call, "response": call.answer, "reply": Reply(run)}.items()
    frame = shell.user_ns.get("_")
    if "text" in getattr(frame, "columns", ()):
        yield from {"attrs": frame.attrs, "records": frame.to_dict("records"), "compare": frame.llm.compare()}.items()
        yield from {
            "frame": frame,
            "frame json": frame.to_json(date_format="iso"),
            "frame html": frame.to_html(),
            "frame text": frame.to_string(),
            "frame csv": frame.to_csv(),
            "frame latex": frame.to_latex(),
            "frame pickle": pickle.dumps(frame),
            "errors": frame.llm.errors.to_csv(),
        }.items()


def forget_results(shell):
    """Frames of earlier cells, which stand in the namespace and so in IPython's frames, were searched already."""
    shell.user_ns["Out"].clear()
    for name in [name for name in shell.user_ns if name[:1] == "_" and name[1:].isdigit()]:
        del shell.user_ns[name]


AFTER = [
    "%llm last",
    "%llm last --trace",
    "%llm config",
    "%llm why limits.attempts",
    "%llm doctor",
    "%whos",
    "%llm models lab*",
    "_",
    "session()",
    "session().config",
    "session().last",
    "session().vault, session().vault.vault, session().vault.status()",
    "kept = session().last",
    "%store kept",
    "%history -n -o",
    "%notebook kept.ipynb",
    "%save -f kept.py 1-999",
]


def do(code):
    """Runs code of the plan from a file, so that Verbose can show its lines and variables."""
    path = Path("plan.py").absolute()
    path.write_text(code)
    linecache.checkcache(str(path))
    exec(compile(code, str(path), "exec"), {"__name__": "plan", "__file__": str(path)})


def look_around(search, shell, place):
    """What always stands there, and what IPython says of it: listings, help, completions."""
    for name, thing in standing():
        search.thing(f"{place}: {name}", thing)
    for cell in AFTER:
        shell.run_cell(cell, store_history=True)
    for name in ("session", "_", "get_ipython"):
        search.text(f"{place}: inspect {name}", shell.object_inspect_text(name, 1))
    for start in ("%%llm lab", "%llm config lim", "session().", "_.", "session().config."):
        search.text(f"{place}: completion", shell.complete(start)[1])


def look_at_error(search, error, place, large, *, closely):
    search.error(f"{place}: last error", error, large)
    for name, told in debuggers(error) if closely else ():
        search.text(f"{place}: {name}", told)


def main():
    plan = json.load(sys.stdin)
    search = Search(*plan["secrets"])
    crashes = Path("crash.log").open("w")  # noqa: SIM115  # open to the end
    faulthandler.enable(crashes)
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    for name in ("httpx2", "httpcore", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    from IPython.terminal.interactiveshell import TerminalInteractiveShell

    shell = TerminalInteractiveShell.instance()
    shell.run_cell(
        "%load_ext orchestrator_nb\n%load_ext storemagic\n%logstart -o -r -t log.py\nfrom orchestrator_nb import session",
        store_history=True,
    )
    from orchestrator_nb import session

    outcomes, large = [], [id(session().catalog), id(session().config), id(shell)]
    for case in plan["cases"]:
        for stream in (sys.stdout, sys.stderr):
            stream.write(f"=== {case['name']} {case['mode']}\n")
            stream.flush()
        forget_results(shell)
        shell.run_cell(f"%xmode {case['mode']}")
        shell.run_cell("session().use(session().config)")  # no breaker that is open from the last failure
        if "before" in case:
            do(case["before"])
        for name in ("last_exc", "last_value", "last_type", "last_traceback"):
            vars(sys).pop(name, None)
        shell.run_cell(case["cell"], store_history=True)
        error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        outcomes.append([case["name"], case["mode"], type(error).__name__ if error else ""])
        place = f"{case['name']} {case['mode']}"
        if error is not None:
            look_at_error(search, error, place, large, closely=case.get("closely", False))
        if case.get("looks", True):
            for name, thing in results(shell):
                search.thing(f"{place}: {name}", thing)
            search.text(f"{place}: In", shell.user_ns["In"][-5:])
            search.text(f"{place}: Out", {n: repr(v) for n, v in shell.user_ns["Out"].items()})
        if case.get("after_cells"):
            look_around(search, shell, place)
            for name, seen in process(plan["keys"]):
                search.text(f"{place}: {name}", str(seen) if not isinstance(seen, bytes) else seen)
        if "after" in case:
            do(case["after"])
    search.text("end: history", "\n".join(map(str, shell.history_manager.get_range_by_str("", raw=True))))
    session().vault.lock()
    for name, thing in standing():
        search.thing(f"locked: {name}", thing)
    shell.run_cell("session().close()")
    found = {
        "hits": sorted(set(search.hits)),
        "looked": search.looked,
        "outcomes": outcomes,
        "sinks": sorted(search.sinks),
    }
    Path(plan["report"]).write_text(json.dumps(found), "utf-8")
    shell.history_manager.end_session()


if __name__ == "__main__":
    main()
