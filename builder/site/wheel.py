"""Find the browser's NumPy wheel, which Pyodide's npm package names but does not contain.

The lock file gives the wheel's name and sha256. This module tries, in this order: a local cache;
the configured Python index; Pyodide's own release address; and, where only package registries are
reachable, the copy inside another project's wheel, read by range request. It accepts a file only if
its hash is the hash in the lock. Each source has a short time limit, so an unreachable source costs
only seconds.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from builder.project import cache
from sims.errors import UserError
from training import contained

CARRIER = "open-webui==0.12.4"
"""A package whose wheel holds Pyodide's NumPy wheel as one member."""

CONNECT_S = 5.0
READ_S = 15.0
PIP_S = 25.0
CARRIER_PIP_S = 60.0


@dataclass(frozen=True)
class Lock:
    """The entry for NumPy in pyodide-lock.json, and the address of Pyodide's release."""

    pyodide: str
    name: str
    sha256: str
    version: str
    release: str | None

    @classmethod
    def read(cls, pyodide: Path) -> Lock:
        """Read the lock of an unpacked npm package; UserError if it is incomplete."""
        try:
            lock = json.loads((pyodide / "pyodide-lock.json").read_text(encoding="utf-8"))[
                "packages"
            ]["numpy"]
            version = json.loads((pyodide / "package.json").read_text(encoding="utf-8"))["version"]
            if "/" in lock["file_name"] or not contained.plain(lock["file_name"]):
                raise ValueError("its lock names no plain file")
            found = re.search(r"`(https://[^`$]+)\$\{\w+\}/full/`", _text(pyodide / "pyodide.mjs"))
            return cls(
                pyodide=version,
                name=lock["file_name"],
                sha256=lock["sha256"],
                version=lock["version"],
                release=f"{found[1]}{version}/full/{lock['file_name']}" if found else None,
            )
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"package pyodide: {pyodide} is not whole ({error}). Run: npm ci"
            ) from error


class Refused(Exception):
    """The error of a source that did not give the wheel, with the reason."""


def find(lock: Lock, stores: list[Path]) -> Path:
    """Return the verified wheel, from the first of `stores` that has it, or stored in the first.

    Prints on stderr, in one line, each refused source. Raises UserError if no source has it.
    """
    for store in stores:
        path = store / lock.name
        if path.is_file():
            try:
                verify(lock, path.read_bytes())
                return path
            except Refused as error:
                click.echo(f"warning: {path}: {error}", err=True)
    reasons = []
    for name, source in SOURCES.items():
        try:
            data = source(lock)
            verify(lock, data)
        except Refused as error:
            reasons.append(f"{name}: {error}")
            continue
        path = stores[0] / lock.name
        cache.write(path, data)
        return path
    raise UserError(
        f"wheel {lock.name}: no source has it ({'; '.join(reasons)}). "
        f"Run: the command again with a network, or put the file into {stores[0]}"
    )


def verify(lock: Lock, data: bytes) -> None:
    """Raise Refused unless the bytes are the wheel that the lock names."""
    found = cache.sha256(data)
    if found != lock.sha256:
        raise Refused(
            f"refused, its sha256 is {found[:12]}... and not the lock's {lock.sha256[:12]}... "
            f"({len(data)} bytes: cut off or another file)"
        )


def from_index(lock: Lock) -> bytes:
    """Download the wheel from the Python index that pip is configured for."""
    python, abi, platform = lock.name.removesuffix(".whl").split("-")[2:]
    with tempfile.TemporaryDirectory() as nowhere:
        info = ask_pip(
            f"numpy=={lock.version}",
            PIP_S,
            "--only-binary=:all:",
            f"--python-version={python.removeprefix('cp')}",
            "--implementation=cp",
            f"--abi={abi}",
            f"--platform={platform}",
            f"--target={nowhere}",  # pip needs one for a foreign platform; a dry run writes nothing
        )
    said = info.get("archive_info", {}).get("hashes", {}).get("sha256", lock.sha256)
    if said != lock.sha256:
        raise Refused(f"refused, its wheel has sha256 {said[:12]}..., not {lock.sha256[:12]}...")
    return download(info["url"])


def from_release(lock: Lock) -> bytes:
    """Download the wheel from the address that Pyodide itself uses."""
    if lock.release is None:
        raise Refused("Pyodide names none")
    return download(lock.release)


def from_carrier(lock: Lock) -> bytes:
    """Read the wheel out of `CARRIER`'s wheel on the configured index, by range request."""
    from remotezip import RemoteZip, RemoteZipError
    from requests import RequestException

    url: str = ask_pip(CARRIER, CARRIER_PIP_S)["url"]
    try:
        opened: zipfile.ZipFile
        if url.startswith("file:"):
            from urllib.request import url2pathname

            opened = zipfile.ZipFile(url2pathname(url.removeprefix("file://")))
        else:
            opened = RemoteZip(url, timeout=(CONNECT_S, READ_S), **certificates())
        with opened as archive:
            for member in archive.namelist():
                if member.endswith(f"/{lock.name}"):
                    return archive.read(member)
    except (OSError, RemoteZipError, RequestException, zipfile.BadZipFile) as error:
        raise Refused(_reason(error)) from error
    raise Refused(f"{CARRIER} does not hold it")


SOURCES: dict[str, Callable[[Lock], bytes]] = {
    "the Python index": from_index,
    "Pyodide's release": from_release,
    f"the copy in {CARRIER}": from_carrier,
}


def ask_pip(requirement: str, limit: float, *options: str) -> dict[str, Any]:
    """Return pip's `download_info` of the one wheel it would install; Refused without one."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--report=-", "--quiet"]
    command += ["--no-deps", "--ignore-installed", "--no-input", "--disable-pip-version-check"]
    command += [f"--timeout={CONNECT_S:.0f}", "--retries=0", *options, requirement]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=limit, encoding="utf-8", errors="replace"
        )
    except subprocess.TimeoutExpired as error:
        raise Refused(f"no answer in {limit:.0f} s") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        raise Refused(lines[-1].removeprefix("ERROR: ") if lines else "pip failed")
    try:
        info: dict[str, Any] = json.loads(done.stdout)["install"][0]["download_info"]
        return info
    except (ValueError, LookupError) as error:
        raise Refused("pip's report is not understood") from error


def download(url: str) -> bytes:
    """Return the bytes at an address; Refused if they do not come."""
    import requests

    try:
        if url.startswith("file:"):
            from urllib.request import url2pathname

            return Path(url2pathname(url.removeprefix("file://"))).read_bytes()
        answer = requests.get(url, timeout=(CONNECT_S, READ_S), **certificates())
        answer.raise_for_status()
        return bytes(answer.content)
    except (OSError, requests.RequestException) as error:
        raise Refused(_reason(error)) from error


def certificates() -> dict[str, Any]:
    """Trust the certificates that pip trusts, from its variable or its configuration."""
    named = os.environ.get("PIP_CERT")
    if not named:  # `pip config get` does not read all the files that pip reads
        command = [sys.executable, "-m", "pip", "config", "list"]
        told = subprocess.run(command, capture_output=True, encoding="utf-8").stdout
        found = re.search(r"^global\.cert='(.+)'$", told, re.MULTILINE)
        named = found[1] if found else None
    return {"verify": named} if named else {}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _reason(error: Exception) -> str:
    """Return a network error in a few words: its chain of causes repeats itself at length."""
    answer = getattr(error, "response", None)
    if answer is not None:
        return f"HTTP {answer.status_code}"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}{': ' + text[:80] if len(text) < 80 else ''}"
