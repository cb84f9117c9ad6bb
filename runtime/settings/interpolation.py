"""`${NAME}` and `${NAME:-default}` in the values of a settings file. Pure: the environment is a parameter.

The default stands in when the variable is unset or empty, as in a shell. `$${` writes `${` itself; any other `$` is plain.
Interpolated text is not interpolated again, and a default cannot hold `}` or another `${`.
"""

import re
from collections.abc import Mapping

__all__ = ["escape", "interpolate"]

_TOKEN = re.compile(
    r"(?P<escaped>\$\$\{)"
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>(?:(?!\$\{)[^}])*))?\}"
    r"|(?P<broken>\$\{[^}]*\}?)"
)


def interpolate(text: str, environ: Mapping[str, str]) -> str:
    """Replace every reference by its value.

    Raises ValueError naming the variable that is not set, or the reference that cannot be read.
    """
    return _TOKEN.sub(lambda token: _value(token, environ), text)


def escape(text: str) -> str:
    """Return the text that interpolates to this one."""
    return text.replace("${", "$${")


def _value(token: re.Match[str], environ: Mapping[str, str]) -> str:
    if token["escaped"]:
        return "${"
    if token["broken"]:
        raise ValueError(f"{token['broken']} is not of the form ${{NAME}} or ${{NAME:-default}}")
    name, default = token["name"], token["default"]
    value = environ.get(name)
    if default is not None:
        return value or default
    if value is None:
        raise ValueError(f"the environment variable {name} is not set")
    return value
