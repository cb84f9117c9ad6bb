"""`tapeline demo`: the main job at once, on the embedded stack, with a live view in the terminal.

`runner` starts and ends everything, `services` are the child processes, `listener` is a client of the gateway, `figures` reads
what the services tell of themselves, `view` draws it.
"""
