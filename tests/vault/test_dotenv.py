"""A .env file is read as it stands: nothing in it is expanded, run or evaluated, what readers would read differently is refused, and the rest is not kept."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator_nb.errors import UserError
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault.dotenv import MAX_BYTES, parse, read

K = "sk-key-0123456789"
TAKEN = {
    "plain": f"KEY={K}",
    "blanks around": f"  KEY = {K}  ",
    "tabs": f"\tKEY\t=\t{K}\t",
    "export": f"export KEY={K}",
    "double quotes": f'KEY="{K}"',
    "single quotes": f"KEY='{K}'",
    "backquotes": f"KEY=`{K}`",
    "CRLF": f"A=1\r\nKEY={K}\r\nB=2\r\n",
    "BOM": f"\ufeffKEY={K}",
    "no newline at the end": f"A=1\nKEY={K}",
    "comment after": f"KEY={K} # for work",
    "comment after quotes": f'KEY="{K}"   # for work',
    "comments and empty lines": f"# keys\n\n   # more\nKEY={K}\n",
    "a hash inside": f"KEY={K}#1",
    "an equals sign inside": f"KEY={K}==",
    "single quotes keep a dollar": f"KEY='{K}$HOME'",
    "twice the same": f"KEY={K}\nKEY='{K}'",
    "a name that begins alike": f"KEYS=no\nMY_KEY=no\nKEY={K}",
    "another value over several lines": f'CERT="-----BEGIN\nKEY=stolen\n-----END"\nKEY={K}',
    "another value that would run": f"A=$(touch pwned)\nKEY={K}",
}
LEFT = {
    "command": "KEY=$(touch pwned)",
    "command in quotes": 'KEY="$(touch pwned)"',
    "backquoted command": "KEY=x`touch pwned`",
    "variable": "KEY=$HOME",
    "braces": 'KEY="${HOME}"',
    "default": "KEY=${NOT_SET:-fallback}",
    "escape": r"KEY=abc\ndef",
    "escape in quotes": r'KEY="abc\ndef"',
    "twice different": f"KEY={K}\nKEY={K}2",
    "text after quotes": f'KEY="{K}"more',
    "quote inside": f'KEY={K}"x"',
}
REFUSED = {
    "NUL": "KEY=a\0b",
    "UTF-16": "KEY=abc".encode("utf-16"),
    "too large": "#" * MAX_BYTES + "\n",
    "1 MiB": f"KEY={'a' * (1 << 20)}",
}
ODD = {
    "a note": (f"this is a note\nKEY={K}\n", [1], 0),
    "name alone": (f"KEY={K}\nexport KEY\nA=1", [2], 0),
    "no name and YAML": (f"=x\nKEY: x\nKEY={K}\n", [1, 2], 0),
    "dashes in a name": (f"MY-NAME=1\nKEY={K}\n", [1], 0),
    "a quote that is never closed": (f"KEY={K}\nA='{K}\nKEY=no", [], 2),
}
OPEN = {
    "its own quote": f'A=1\nKEY="{K}\nB=2\n',
    "a quote before it": f'NOTE "so\nKEY={K}\n',
    "here document": f"cat <<EOF\nKEY={K}\nEOF\n",
    "continued line": f"run \\\nKEY={K}\n",
    "bracket": f"f() {{\nKEY={K}\n}}\n",
}


def raw(text):
    return Hidden(text)


def parsed(text, *wanted):
    return parse(raw(text), wanted or ("KEY",))


@pytest.fixture
def quiet(tmp_path, monkeypatch):
    """A folder and an audit of everything that starts, opens or evaluates while a file is read."""
    monkeypatch.chdir(tmp_path)
    seen, watching = [], [True]
    names = (
        "os.system",
        "subprocess.Popen",
        "os.exec",
        "os.posix_spawn",
        "os.fork",
        "exec",
        "compile",
        "socket.connect",
    )
    sys.addaudithook(lambda name, args: seen.append(name) if watching[0] and name in names else None)
    yield seen
    watching[0] = False
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("shape", TAKEN)
def test_a_value_is_taken_as_it_stands(shape, quiet):
    expected = {
        "a hash inside": f"{K}#1",
        "an equals sign inside": f"{K}==",
        "single quotes keep a dollar": f"{K}$HOME",
    }
    assert parsed(TAKEN[shape]).found["KEY"].value == Hidden(expected.get(shape, K))
    assert quiet == []


@pytest.mark.parametrize("shape", LEFT)
def test_what_a_program_might_replace_is_left_with_a_reason(shape, quiet):
    found = parsed(LEFT[shape]).found["KEY"]
    assert found.value is None
    assert found.why
    assert quiet == []


@pytest.mark.parametrize("shape", REFUSED)
def test_what_is_no_such_file_is_refused_and_shown_in_no_part(shape, quiet):
    with pytest.raises(UserError) as refused:
        parsed(REFUSED[shape])
    assert "sk-key" not in str(refused.value)
    assert refused.value.__context__ is None
    frames = []
    trace = refused.value.__traceback__
    while trace:
        if "orchestrator_nb" in Path(trace.tb_frame.f_code.co_filename).parts:
            frames.append(repr(trace.tb_frame.f_locals))
        trace = trace.tb_next
    assert frames
    assert not [frame for frame in frames if "sk-key" in frame]
    assert quiet == []


def test_the_audit_sees_a_shell(quiet):
    os.system("true")  # the control
    assert quiet == ["os.system"]


def test_only_what_was_asked_for_is_kept_and_the_rest_is_counted():
    found = parsed(f"A=1\nKEY={K}\nSECRET=elsewhere\nB='2'\n")
    assert (list(found.found), found.others) == (["KEY"], 3)
    assert "elsewhere" not in repr(found)
    assert K not in repr(found)


def test_lines_are_those_of_an_editor():
    found = parsed(f'# x\nA="1\n2\n3"\n\nKEY={K}\r\nKEY={K}\n').found["KEY"]
    assert found.lines == (6, 7)


@pytest.mark.parametrize("shape", ODD)
def test_an_odd_line_is_passed_over_and_named(shape, quiet):
    text, passed, unread = ODD[shape]
    found = parsed(text)
    assert found.found["KEY"].value == Hidden(K)
    assert (list(found.passed), found.unread) == (passed, unread)
    assert K not in repr(found.odd())
    assert quiet == []


@pytest.mark.parametrize("shape", OPEN)
def test_nothing_is_read_behind_what_is_opened_and_never_closed(shape):
    found = parsed(OPEN[shape])
    assert "KEY" not in found.found or found.found["KEY"].value is None
    assert found.unread == 1 + (shape == "its own quote")


def test_odd_lines_and_names_like_a_keys_are_told(tmp_path):
    path = tmp_path / ".env"
    path.write_text("A=1\nHF_TOKEN=x\nthis is a note\n")
    found = read(path, ["A"])
    assert found.odd() == ["line 3 was passed over: it is no NAME=value."]
    assert (found.others, found.likely) == (1, ("HF_TOKEN",))
    many = parsed("odd\n" * 9 + "more 'still\n")
    assert many.odd()[0] == "lines 1, 2, 3, 4, 5, 6 and more were passed over: they are no NAME=value."
    assert many.odd()[1].startswith("from line 10 on nothing was read")


def test_what_is_no_file_is_said(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read(tmp_path / "nowhere", ["A"])
    with pytest.raises(UserError, match="is not a file"):
        read(Path(os.devnull), ["A"])


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("KEY=ab\"'`$\\# \t\r\n#\ufeff{}()"), max_size=60))
@example('KEY="\\"')
def test_any_text_is_read_or_refused_and_no_value_is_longer_than_the_file(text):
    try:
        found = parsed(text)
    except UserError:
        return
    for one in found.found.values():
        assert one.value is None or len(one.value) <= len(text.encode())
        assert (one.value is None) == bool(one.why)


@settings(max_examples=100, deadline=None)
@given(value=st.text(st.sampled_from("abcXYZ019-_.+/=:#"), min_size=1, max_size=40).filter(lambda text: text[0] != "#"))
def test_every_key_comes_through_every_form(value):
    for form in ("KEY={}", "export KEY='{}'", 'KEY="{}"', "KEY={}  # x", "\r\nKEY={}\r\n"):
        assert parsed(form.format(value)).found["KEY"].value == Hidden(value)
