"""Large and strange chains are planned quickly, or refused quickly."""

import time

from orchestrator_nb.chains import check


def seconds(text):
    began = time.process_time()
    problems = check(text)
    return time.process_time() - began, problems


def test_a_thousand_steps_that_all_name_each_other_are_planned_in_seconds():
    lines = [
        f"  - {{id: s{n}, prompt: '{' '.join(f'{{{{ s{m} }}}}' for m in range(max(0, n - 20), n)) or 'x'}'}}"
        for n in range(1000)
    ]
    took, problems = seconds("steps:\n" + "\n".join(lines))
    assert not problems
    assert took < 15


def test_blocks_inside_blocks_to_the_bound_of_yaml_are_planned():
    text = "{prompt: x}"
    for _ in range(14):
        text = f"{{steps: [{text}]}}"
    took, problems = seconds(f"steps: [{text}]")
    assert not problems
    assert took < 8
