"""Load on a running gateway: many clients in processes of their own that count what they get, and how late.

`counting` reads bytes, `clients` is one connection, `worker` a process full of them, `runner` all processes together.
"""
