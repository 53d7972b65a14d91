"""``%llm trust`` in a real kernel, in a folder where no session can be opened until the user trusts it."""

import pytest
from kernels import kernel as fresh

pytestmark = pytest.mark.slow


def answering(kernel, code, answer):
    """Runs a cell as a front end with a person does: a question is answered."""
    shown = []

    def output(message):
        shown.append(str(message["content"].get("text") or message["content"].get("evalue") or ""))

    def stdin(message):
        shown.append(message["content"]["prompt"])
        kernel.client.input(answer)

    reply = kernel.client.execute_interactive(code, allow_stdin=True, output_hook=output, stdin_hook=stdin, timeout=30)
    return reply["content"]["status"], "".join(shown)


def test_trust_works_where_nothing_else_does_and_the_next_cell_uses_it(tmp_path):
    path = tmp_path / "orchestrator-nb.yaml"
    path.write_text("limits: {parallel: 7}\n")
    with fresh(tmp_path) as kernel:
        kernel.run("%load_ext orchestrator_nb")
        refused = kernel.run("%llm config limits.parallel")
        assert "%llm trust shows what it would change" in refused.error

        # where nobody can be asked, as under nbclient
        nobody = kernel.client.execute_interactive(
            "%llm trust", allow_stdin=False, output_hook=lambda _: None, timeout=30
        )
        assert "if you want this: %llm trust --yes" in nobody["content"]["evalue"]

        status, seen = answering(kernel, "%llm trust", "n")
        assert (status, "limits.parallel: 64 → 7" in seen, "Nothing was stored." in seen) == ("ok", True, True)
        assert kernel.run("%llm config limits.parallel").status == "error"

        status, seen = answering(kernel, "%llm trust", "y")
        assert (status, "Trust exactly these files? [y/N]" in seen, "Trusted." in seen) == ("ok", True, True)
        assert kernel.run("%llm config limits.parallel").stream == "limits.parallel = 7\n"

        path.write_text("limits: {parallel: 8}\n")
        assert "and changed since you trusted it" in kernel.run("%llm config limits.parallel").error
        assert "Trusted." in kernel.run("%llm trust --yes").stream
        assert kernel.run("%llm config limits.parallel").stream == "limits.parallel = 8\n"

        assert kernel.run("%llm trust --list").stream == f"{tmp_path}  trusted: orchestrator-nb.yaml\n"
        assert kernel.run("%llm trust --forget").stream == f"{tmp_path} is not trusted any more.\n"
        assert kernel.run("%llm config limits.parallel").status == "error"
        assert "write it as: %llm trust [--yes|--forget|--list]" in kernel.run("%llm trust --all").error
        assert kernel.complete("%llm trust --f") == ["--forget"]
