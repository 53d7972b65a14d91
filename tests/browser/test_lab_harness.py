"""The harness itself: a cell runs and its output is seen."""


def test_a_cell_runs_in_a_real_lab(open_notebook):
    notebook = open_notebook("hello.ipynb", ["print(6 * 7)"])
    notebook.run_all()
    assert notebook.output(0).strip() == "42"
