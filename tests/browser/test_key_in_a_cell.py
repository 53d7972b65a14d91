"""A key typed into a cell, in real JupyterLab: the cell's text changes under the user's eyes, the next cells do not run, and saving works."""

import secrets

SETUP = "%load_ext orchestrator_nb"


def test_the_key_leaves_the_cell_the_file_and_the_checkpoint_and_the_run_stops(open_notebook, server):
    key = f"sk-proj-{secrets.token_urlsafe(40)}"
    notebook = open_notebook("typed.ipynb", [SETUP, f"%vault set OPENAI_API_KEY {key}", "print('went', 'on')"])
    notebook.save()
    notebook.run_all()
    assert notebook.sources()[1] == "%vault set OPENAI_API_KEY"  # run again, it asks
    assert "a key does not belong into a cell: it was taken out of In, this cell, IPython's history" in notebook.output(
        1
    )
    assert "went on" not in notebook.output(2)
    notebook.shoot("key-refused")
    notebook.command("docmanager:save")
    notebook.page.get_by_role("button", name="Overwrite").click()  # as the message said
    notebook.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    for folder in (server.root, server.root.parent / "state" / "ipython"):
        assert [f for f in folder.rglob("*") if f.is_file() and key.encode() in f.read_bytes()] == []
    assert '"%vault set OPENAI_API_KEY"' in (server.root / "typed.ipynb").read_text()
    notebook.run_cells_from(2)
    assert "went on" in notebook.output(2)
