"""From a prompt's text to the items of a grid: fill the template, attach files, cross models, values and repeats."""
