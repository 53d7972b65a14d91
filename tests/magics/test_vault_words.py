"""A key with a slash in it (AWS, base64) that is written where a name or an address should be is taken out of the cell, not repeated."""

import pytest

from orchestrator_nb import UserError

KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzKq3T9aBcD"


@pytest.mark.parametrize(
    "line",
    [
        f"remove {KEY}",
        f"origins {KEY}",
        f"origins OPENAI_API_KEY {KEY}",
        f"import {KEY}",
        f"import env {KEY}",
        f"set OPENAI_API_KEY --origin {KEY}",
        f"import keyring --service {KEY}",
        KEY,
    ],
)
def test_a_key_with_a_slash_is_refused_and_scrubbed(shell, line, capsys):
    told = shell.run_cell(f"%vault {line}", store_history=True)

    assert isinstance(told.error_in_exec or told.error_before_exec or UserError(capsys.readouterr()), UserError)
    assert KEY not in str(told.error_in_exec)
    assert not [cell for cell in shell.user_ns["In"] if KEY in cell]


@pytest.mark.parametrize("line", ["/nowhere/at2/all3/keys.txt", "~/nowhere4/at5/all", "./no6/such7/folder8/file"])
def test_a_path_of_a_file_to_import_is_no_key(shell, line):
    told = shell.run_cell(f"%vault import {line}")

    assert "cannot be read" in str(told.error_in_exec)


def test_a_word_that_is_no_name_is_not_repeated(shell):
    for act in (shell.session.vault.remove, shell.session.vault.origins):
        with pytest.raises(UserError) as refused:
            act("hunter2 hunter2")
        assert "hunter2" not in str(refused.value)
