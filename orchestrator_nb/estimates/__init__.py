"""Before paying: what a grid will take, as a range, from the length of its prompts and from what the store remembers of its models.

`sizes` reckons tokens of input, `lengths` tokens of output, `reckon` puts both together with prices.
"""
