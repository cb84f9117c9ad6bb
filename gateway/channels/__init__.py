"""Open folder: one kind of message, one file, whose name is its name in the setting `gateway.channels`.

Each file has a class `Channel` that keeps the interface of `gateway.channel.Channel`.
"""
