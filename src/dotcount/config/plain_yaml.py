"""The part of YAML that configurations need, read as the core schema of YAML 1.2 says.

PyYAML follows YAML 1.1, where ``3e-4`` is text, ``1:30`` is 90 and ``no`` is false. Aliases are refused: a few lines of
them stand for more values than memory holds.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from dotcount.errors import ConfigError

_RULES = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
)
_DEEPEST = 40


class _Loader(yaml.SafeLoader):
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases and nesting that would exhaust the stack."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not supported", self.peek_event().start_mark)
        self.depth += 1
        if self.depth > _DEEPEST:
            raise yaml.composer.ComposerError(None, None, "nested too deeply", self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse a key that is given twice: one of the two values would be lost."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for place, key in enumerate(keys):
            if key in keys[:place]:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} twice", node.value[place][0].start_mark)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    pass


for _kind in (_Loader, _Dumper):
    _kind.yaml_implicit_resolvers = {}
    for _name, _pattern, _first in _RULES:
        _kind.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda _, node: _float(node.value))


def _float(text: str) -> float:
    special = {"inf": "inf", "nan": "nan"}.get(text[-3:].lower())
    return float(text) if special is None else float(text[: text.index(".")] + special)


def read_yaml(text: str) -> Any:
    """Return the values of a YAML document.

    Raises
    ------
    yaml.YAMLError
        If it is none, or holds what is not supported.
    """
    try:
        return yaml.load(text, _Loader)
    except (ValueError, OverflowError, RecursionError, TypeError) as error:  # a number of thousands of digits, and such
        raise yaml.YAMLError(str(error)) from error


def yaml_value(raw: str, text: str) -> Any:
    """Return the value of the override ``text``, which is ``raw`` after its equals sign."""
    try:
        return read_yaml(raw)
    except yaml.YAMLError as error:
        raise ConfigError(f"override {text[:80]!r}: the value is not valid YAML; quote it") from error


def yaml_text(tree: dict[str, Any]) -> str:
    """Return a tree of plain values as YAML that :func:`read_yaml` reads back as it was."""
    text: str = yaml.dump(tree, Dumper=_Dumper, sort_keys=False)
    return text
