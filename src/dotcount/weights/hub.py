"""Models on a Hugging Face hub: fetched and pushed as the plain files of a model folder."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from dotcount.errors import ModelError, OutputError, UsageError

PREFIX = "hf-hub:"
FILES = ("config.json", "model.safetensors", "README.md")
"""What a repository of dotcount holds; nothing else is fetched from it or pushed to it."""


def named(path: str | Path) -> str | None:
    """Return ``owner/name`` (or ``owner/name@revision``) of ``hf-hub:owner/name``; None for anything else.

    Examples
    --------
    >>> named("hf-hub:someone/herons")
    'someone/herons'
    >>> named("runs/herons") is None
    True
    """
    text = Path(path).as_posix() if isinstance(path, Path) else str(path)
    return text.removeprefix(PREFIX) if text.startswith(PREFIX) else None


def fetch_model(name: str, endpoint: str | None = None) -> Path:
    """Return the folder of a model in the local cache, downloaded if the cache lacks it.

    Parameters
    ----------
    name
        ``owner/name``, or ``owner/name@revision``: a branch, tag or commit.
    endpoint
        Address of the hub; None: what ``HF_ENDPOINT`` says, else the public one.

    Raises
    ------
    ModelError
        If it can't be had, or it is no model of dotcount's.
    """
    repository, revision = _parts(name)
    client = _client()
    folder = Path(
        _asked(
            name, client.snapshot_download, repository, revision=revision, allow_patterns=FILES, endpoint=_at(endpoint)
        )
    )
    missing = [file for file in FILES[:2] if not (folder / file).is_file()]
    if missing:
        raise ModelError(f"{PREFIX}{name} holds no {missing[0]}, so it is no model of dotcount's; check the name")
    return folder


def fetch_weights(name: str, endpoint: str | None = None) -> Path:
    """Return ``model.safetensors`` of a repository in the local cache, downloaded if the cache lacks it.

    Raises
    ------
    ModelError
        If it can't be had.
    """
    repository, revision = _parts(name)
    download = _client().hf_hub_download
    return Path(_asked(name, download, repository, FILES[1], revision=revision, endpoint=_at(endpoint)))


def push(folder: Path, name: str, *, private: bool = False, endpoint: str | None = None) -> str:
    """Upload a model folder: weights, settings and card; return the address.

    The repository is made if it is not there. Whoever loads it counts with the settings that are pushed: resize rule,
    count scale, peaks, intervals. The token is the client's own (``hf auth login`` or ``HF_TOKEN``).

    Parameters
    ----------
    folder
        A model folder, see :func:`dotcount.models.io.save`.
    name
        ``owner/name``.
    private
        Whether a repository that is made is private.
    endpoint
        As in :func:`fetch_model`.

    Raises
    ------
    ModelError
        If the folder is incomplete.
    OutputError
        If the hub refuses or can't be reached.
    """
    for file in FILES[:2]:
        if not (folder / file).is_file():
            raise ModelError(f"{folder}: {file} is missing; give a folder that training wrote")
    repository, revision = _parts(name)
    if revision is not None:
        raise UsageError(f"{name}: a model is pushed to owner/name, not to a revision; leave out @{revision}")
    api = _client().HfApi(endpoint=_at(endpoint))
    try:
        address = api.create_repo(repository, private=private or None, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=list(FILES),
            commit_message="Model of dotcount",
        )
    except Exception as error:  # the client also raises what its HTTP library raises
        raise OutputError(
            f"{PREFIX}{name} can't be pushed ({_reason(error)}); check name, token and connection"
        ) from error
    return str(address)


def _parts(name: str) -> tuple[str, str | None]:
    repository, _, revision = name.partition("@")
    if len([part for part in repository.split("/") if part]) != 2 or repository.count("/") != 1:
        raise ModelError(f"{PREFIX}{name} is no name of a model; write {PREFIX}owner/name")
    return repository, revision or None


def _at(endpoint: str | None) -> str | None:
    return endpoint or os.environ.get("HF_ENDPOINT") or None


def _client() -> Any:
    try:
        return import_module("huggingface_hub")
    except ModuleNotFoundError as error:
        raise ModelError(
            "models of a hub need a client that is not installed; run `pip install dotcount[hub]`"
        ) from error


def _asked(name: str, call: Any, *args: Any, **options: Any) -> str:
    try:
        return str(call(*args, **options))
    except Exception as error:  # the client also raises what its HTTP library raises
        raise ModelError(
            f"{PREFIX}{name} can't be had from the Hugging Face hub ({_reason(error)}); check the name and the "
            "connection, or give the path of a local file"
        ) from error


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
