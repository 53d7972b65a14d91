"""One call done well, and many calls done together: the loop's thread, the layers around a call, and the fan-out.

A layer takes a `Handler` and returns a `Handler`; it knows neither its neighbours nor any vendor. `Session` puts them in order.
"""
