"""`${NAME}` in a file takes a value from the environment; `$${` stays a plain `${`, for the shell."""

import re
from collections.abc import Mapping

from reconciler.spec.errors import Filled, Wrong, did_you_mean

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def fill(text: str, environ: Mapping[str, str]) -> str:
    """The text with every reference replaced: a `Filled` if there was any. Raises Wrong for what cannot be."""
    if "${" not in text:
        return text
    filled = False

    def value(match: re.Match[str]) -> str:
        nonlocal filled
        if match[0] == "$${":
            return "${"
        filled = True
        return _value(match, environ)

    whole = _REFERENCE.sub(value, text)
    return Filled(whole, text) if filled else whole


def fill_all(templates: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Every variable's value, as plain text. Raises Wrong for what cannot be filled."""
    return {name: str.__str__(fill(template, environ)) for name, template in templates.items()}


def _value(match: re.Match[str], environ: Mapping[str, str]) -> str:
    name = match[1]
    if not match[0].endswith("}") or not _NAME.fullmatch(name):
        raise Wrong(f"{match[0]} takes no value from the environment", "write ${NAME}, or $${ to leave it to the shell")
    if name not in environ:
        similar = did_you_mean(name, environ)
        hint = similar if similar.startswith("did") else f"set {name}, or write $${{ to leave it to the shell"
        raise Wrong(f"the environment has no {name}", hint)
    return environ[name]
