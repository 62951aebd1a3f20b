"""Where settings come from and where they are kept: YAML files, ``key=value`` strings, keyword arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from dotcount.config.plain_yaml import read_yaml, yaml_text, yaml_value
from dotcount.config.schema import RunConfig
from dotcount.errors import ConfigError
from dotcount.files import read_bytes, write_text

LARGEST_FILE = 1_000_000
"""Bytes; a configuration has a few thousand."""

DEEPEST = 20
"""Files that may extend one another."""


def load(file: Path | None = None, overrides: Iterable[str] = (), **values: Any) -> RunConfig:
    """Build a configuration: defaults, then a YAML file, then dotted keyword values, then ``key=value`` strings.

    Parameters
    ----------
    file
        YAML with any part of the tree of :class:`RunConfig`. A key ``extends`` names another such file, relative to
        this one, whose settings hold where this one is silent.
    overrides
        Strings such as ``optimizer.learning_rate=0.0003`` or ``loss.options.epsilon=0.005``; the value is read as YAML.
    values
        Dotted keys with ``__`` for the dot, as ``training__seed=3``; ``None`` leaves what was there.

    Raises
    ------
    ConfigError
        If a key does not exist (the nearest is suggested), a value has the wrong type or range, or the file is not
        YAML.

    Examples
    --------
    >>> config = load(overrides=["training.batch_size=8"], loss__name="bayesian")
    >>> config.loss.name, config.training.batch_size
    ('bayesian', 8)
    """
    tree = read_tree(file) if file is not None else {}
    for key, value in values.items():
        if value is not None:
            _assign(tree, key.replace("__", "."), value)
    for text in overrides:
        key, equals, raw = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"override {text[:80]!r} is not of the form key=value, for example training.seed=1")
        _assign(tree, key.strip(), yaml_value(raw, text))
    return from_dict(tree)


def from_dict(tree: Mapping[str, Any]) -> RunConfig:
    """Build a typed configuration from nested plain values; see :func:`load` for errors.

    >>> from_dict({"training": {"seed": 3}}).training.seed
    3
    """
    for key in tree:
        if not isinstance(key, str):
            raise ConfigError(f"config key {key!r} is not a name")
    return RunConfig(**tree)


def to_dict(config: RunConfig) -> dict[str, Any]:
    """Return the configuration as nested plain values, ready for YAML or JSON.

    >>> to_dict(RunConfig())["optimizer"]["betas"]
    [0.9, 0.999]
    """
    plain: dict[str, Any] = _plain(dataclasses.asdict(config))
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def save_yaml(config: RunConfig, path: Path) -> None:
    """Write the configuration to ``path``, which appears whole or not at all.

    Examples
    --------
    >>> from pathlib import Path
    >>> save_yaml(load(training__seed=3), Path("config.yaml"))
    >>> load(Path("config.yaml")).training.seed
    3
    """
    write_text(path, yaml_text(to_dict(config)))


def read_tree(file: Path) -> dict[str, Any]:
    """Return the settings of a YAML file as nested plain values, with those of the files it ``extends``, unchecked.

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = Path("small.yaml").write_text("training: {batch_size: 2}")
    >>> read_tree(Path("small.yaml"))
    {'training': {'batch_size': 2}}
    """
    return _with_base(file, ())


def _with_base(file: Path, inner: tuple[Path, ...]) -> dict[str, Any]:
    tree = _read_file(file)
    base = tree.pop("extends", None)
    if base is None:
        return tree
    if not isinstance(base, str):
        raise ConfigError(f"config file {file}: extends must name one file; got {str(base)[:80]!r}")
    inner = (*inner, file.resolve())
    if (file.parent / base).resolve() in inner:
        raise ConfigError(f"config file {file} extends {base}, which extends it in turn; break the circle")
    if len(inner) >= DEEPEST:
        raise ConfigError(f"config file {file} extends {base}: more than {DEEPEST} files extend one another")
    return _merged(_with_base(file.parent / base, inner), tree)


def _merged(base: dict[str, Any], tree: dict[str, Any]) -> dict[str, Any]:
    both = dict(base)
    for key, value in tree.items():
        under = both.get(key)
        both[key] = _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return both


def _read_file(file: Path) -> dict[str, Any]:
    try:
        tree = read_yaml(read_bytes(file, LARGEST_FILE).decode("utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"config file {file}: {error.strerror or error}; check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        line = f" at line {place.line + 1}" if place else ""
        reason = f" ({error.problem})" if isinstance(error, yaml.MarkedYAMLError) and error.problem else ""
        raise ConfigError(f"config file {file} is not valid YAML{line}{reason}; correct it") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"config file {file} must hold keys and values; got {type(tree).__name__}")
    return tree


def _assign(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for depth, part in enumerate(parents):
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise ConfigError(
                f"config key {'.'.join(parents[: depth + 1])!r} has no parts; remove what follows the dot"
            )
    tree[last] = value
