"""What ``%%llm?``, ``%llm?``, ``%vault?``, ``%%chain?``, ``%chain?`` and their ``help`` say. The list of options comes from `orchestrator_nb.magics.args`."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import Final

from orchestrator_nb.magics import chain_args
from orchestrator_nb.magics.args import OPTIONS, Option


@dataclass(frozen=True, slots=True)
class Command:
    """One word of ``%llm``: how it is written and what it does."""

    name: str
    usage: str
    help: str


COMMANDS: Final = (
    Command(
        "models", "models [PATTERN] [--live VENDOR]", "the models that can be asked; --live asks the vendor itself"
    ),
    Command(
        "pick",
        "pick [PATTERN] [--into NAME]",
        "choose models from a list, with their options; writes the choice to a variable, or a %%llm cell",
    ),
    Command(
        "chat",
        "chat [NAME] [MODEL]",
        "a conversation as a pane: ask, stop, edit and ask again, change the model; cells (-c NAME) and the pane see the same turns",
    ),
    Command("last", "last [--trace]", "the last run again; --trace shows the whole traceback of the last error"),
    Command(
        "config",
        "config [KEY [VALUE [--profile NAME]]]|profiles|profile NAME [--new]|migrate [--dry-run]",
        "all settings, one setting, or set one for good, for all profiles or one; list or switch profiles; "
        "bring the files to their current form",
    ),
    Command("why", "why KEY", "where a setting's value comes from"),
    Command("simulate", "simulate on [SCRIPT]|off", "answer from the built-in simulator: no key, no network, no cost"),
    Command(
        "runs",
        "runs [--days N]",
        "the runs in the store, the newest first; in a notebook to search, open and go on with",
    ),
    Command("show", "show [RUN]", "an earlier run as it was; RUN is its id, the beginning of one, or last"),
    Command(
        "grid",
        "grid [RUN]",
        "an earlier run as a grid: open, search and compare its answers, pin the best and rate them",
    ),
    Command("cost", "cost [--by model|day|run|notebook]", "what was billed, possibly billed, and saved"),
    Command(
        "resume",
        "resume [RUN] [--errors] [--yes] [--max-cost USD]",
        "ask only for what a run has no answer to; --errors asks failed calls too, which keep their rows until they succeed",
    ),
    Command(
        "conversations",
        "conversations [tree NAME|branch NAME AT NEW|switch NAME BRANCH|export NAME [PATH]|import PATH [NAME]]",
        "all conversations (%%llm -c NAME); the turns of one as a tree; begin a branch after a turn; go to a branch or turn; write one "
        "to a .md or .json file; read a .json file, also a list of role/content messages",
    ),
    Command(
        "source",
        "source [auto|live|record PATH|replay PATH]",
        "where answers come from, from here on: asked for, recorded to a tape, or replayed from it; alone, what holds now",
    ),
    Command("record", "record PATH", "ask, and write the answers to a tape beside the notebook"),
    Command("replay", "replay PATH", "answer from the tape alone: no key, no connection, no cost"),
    Command("trust", "trust [--yes|--forget|--list]", "what the project's files would change, and whether they may"),
    Command("chain", "chain [WORD ...]", "the same as %chain: workflows of several steps (%%chain? shows how)"),
    Command("vault", "vault [WORD ...]", "the same as %vault: keys, in an encrypted file"),
    Command(
        "scan", "scan [PATH ...]", "places where keys were left behind, here or under PATH: notebooks, history, logs"
    ),
    Command("doctor", "doctor", "what works here: versions, settings, addresses, keys"),
    Command("help", "help", "this page"),
)

VAULT: Final = (
    Command(
        "status", "[status]", "whether it is open, how long it stays so, and its keys: name, vendor, fingerprint, age"
    ),
    Command(
        "panel",
        "panel",
        "the same as a form in the notebook: unlock, lock, add or replace a key, and the time that is left",
    ),
    Command("init", "init", "make an empty vault; asks for a new password twice"),
    Command("unlock", "unlock", "open it for this kernel; asks for the password"),
    Command("lock", "lock", "wipe keys and values from this kernel now"),
    Command(
        "set",
        "set NAME [--origin URL ...]",
        "keep a key, or replace it; asks for the value. It goes to the vendors that use this name, or to the addresses named",
    ),
    Command("remove", "remove NAME", "forget a key"),
    Command("list", "list", "the keys as a DataFrame; no values"),
    Command(
        "import",
        "import env|FILE|keyring [NAME ...] [--replace] [--origin URL ...] [--service SERVICE]",
        "take keys from the environment, a .env file or the system's keyring: those named, or all that the settings know",
    ),
    Command("passwd", "passwd [--keep-backups]", "change the password; backups that open with the old one are deleted"),
    Command(
        "origins", "origins NAME [URL ...]", "where a key may go; addresses replace those it had: asks for the password"
    ),
    Command("help", "help", "this page"),
)

CHAIN: Final = (
    Command("list", "list", "the chains that are known: yours, the project's, this notebook's"),
    Command("show", "show NAME", "its YAML, and its steps"),
    Command("check", "check PATH|NAME", "everything that is wrong with a chain, with file, line, step and key"),
    Command(
        "run",
        "run NAME [--input NAME=VALUE ...] [--over FRAME] [options of %%chain]",
        "run a chain that is known, or a .yaml file",
    ),
    Command("draw", "draw NAME", "its graph"),
    Command(
        "edit",
        "edit NAME|PATH [--from TEMPLATE] [--into NAME] [--cell]",
        "draw and change it as a graph with forms, its YAML beside; --cell: its YAML in a new cell",
    ),
    Command("templates", "templates [NAME]", "ready chains to begin with; the parameters of one"),
    Command(
        "new",
        "new NAME --from TEMPLATE [--set PARAMETER=VALUE ...] [--replace]",
        "make a chain from a template, and keep it among yours",
    ),
    Command(
        "from",
        'from "plain English" [-m MODEL]',
        "let a model draft a chain; it comes into a new cell below, and nothing runs",
    ),
    Command("roles", "roles", "what roles and personas say to a model"),
    Command(
        "resume",
        "resume [RUN] [--max-cost USD] [--timeout S] [--max-parallel N]",
        "go on with a run that broke off: answers are kept, what failed is asked again",
    ),
    Command("profile", "profile [RUN]", "where the time and the money of a run went, step by step"),
    Command("help", "help", "this page"),
)

_CHAIN_CELL_HEAD = """Run a chain: a few steps that ask models, in YAML or in one line. Always a DataFrame, in NAME and in _.

    %%chain [NAME <<] [--input NAME=VALUE ...] [--over FRAME] [options]
    the chain

Inputs are given by --input, by the columns of --over, or by the chain's own defaults; no variable is taken for
its name. In an option {{ name }} is a notebook variable; in the chain it is an input or an earlier step.
"""

_CHAIN_CELL_EXAMPLES = """Examples

    %%chain --input topic='sea ice'
    inputs: {topic: text}
    steps:
      - id: draft
        prompt: Write three sentences about {{ topic }}.
      - role: critique
      - id: revise
        prompt: "Revise this text: {{ draft }} A reader said: {{ critique }}"

    %%chain --input input={{ notes }}
    analyze:researcher@sonnet | summarize:technical_writer@flash

    %%chain sums << --over papers --save digest       once per row of papers; kept as digest
    ...

Afterwards: _.llm.outputs, _.llm.profile(), _.llm.draw(). The language: docs/chain-format.md
"""

_CHAIN_LINE_HEAD = """Chains: what there is, and what one does with them. A new one is written below %%chain (%%chain? shows how).
"""

_CELL_HEAD = """Ask one or many models; always a DataFrame, in NAME and in _.

    %%llm [NAME <<] [MODEL ...] [options]
    the prompt, as long as you like

Options stand on the first line, the prompt below it. {{ name }} in the prompt and in option values
is replaced by a notebook variable, a column of --over or a value of --grid; {, } and $ mean themselves.
"""

_CELL_EXAMPLES = """Examples

    %%llm
    Why is the sky blue?                              the default model, streamed

    %%llm sonnet flash gpt-mini -o temperature 0
    Summarise in one sentence: {{ abstract }}         three models side by side

    %%llm answers << sonnet --over papers --schema "topic, year int" --max-parallel 8
    Read this abstract: {{ abstract }}                one call per row of the DataFrame papers

    %%llm sonnet -c metals
    Name a metal.                                     goes on in the next cell with -c metals

    %%llm tones << flash --grid tone=['dry', 'warm'] --repeat 3
    Describe rain in a {{ tone }} voice.              2 x 3 calls

Afterwards: _.llm.text, answers.llm.compare(), answers.llm.errors, answers.llm.cost()
"""

_LINE_HEAD = """Everything around asking: models, settings, the simulator, tapes.

To ask a model use %%llm, with the prompt below it (%%llm? shows how).
"""


_VAULT_HEAD = """The vault: your keys, in one encrypted file per profile. Calls take their keys from here first, then from the environment.

A password or a key's value is always asked for and never written into a cell. No word shows or exports a value.
A call that needs the locked vault asks for its password by itself. Without a person:
ORCHESTRATOR_NB_PASSWORD_FILE names a file, ORCHESTRATOR_NB_PASSWORD_COMMAND a command that has the password.
"""


def cell_help() -> str:
    """The page of ``%%llm?``."""
    rows = [_row("MODEL", "alias, provider/model, or a glob such as anthropic/*")]
    rows += [_row(_names(option), option.help) for option in OPTIONS]
    return "\n".join([_CELL_HEAD, "Options", "", *rows, "", _CELL_EXAMPLES])


def line_help() -> str:
    """The page of ``%llm?`` and ``%llm help``."""
    return "\n".join([_LINE_HEAD, *(_row(f"%llm {command.usage}", command.help) for command in COMMANDS), ""])


def vault_help() -> str:
    """The page of ``%vault?`` and ``%vault help``."""
    return "\n".join([_VAULT_HEAD, *(_row(f"%vault {command.usage}", command.help) for command in VAULT), ""])


def chain_cell_help() -> str:
    """The page of ``%%chain?``."""
    rows = [_row(_names(option), option.help) for option in chain_args.OPTIONS]
    return "\n".join([_CHAIN_CELL_HEAD, "Options", "", *rows, "", _CHAIN_CELL_EXAMPLES])


def chain_line_help() -> str:
    """The page of ``%chain?`` and ``%chain help``."""
    return "\n".join([_CHAIN_LINE_HEAD, *(_row(f"%chain {command.usage}", command.help) for command in CHAIN), ""])


def _names(option: Option) -> str:
    return " ".join(["/".join(option.flags), *option.metavar])


def _row(left: str, right: str, width: int = 32) -> str:
    lines = wrap(right, 104 - width)
    first = f"    {left:<{width - 4}}{lines[0]}" if len(left) < width - 4 else f"    {left}\n{'':{width}}{lines[0]}"
    return "\n".join([first, *(f"{'':{width}}{line}" for line in lines[1:])])
