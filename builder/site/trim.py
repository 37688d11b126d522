"""Run inside Pyodide for `trim.mjs`: record what a game imports, store only that as bytecode.

Reads /in/job.json ({"imports": [module, ...], "wheel": file name, "numpy": version}), the full
standard library that Pyodide booted from, and the wheel in /in. Writes to /out:

- stdlib.pack: a gzipped zip of .pyc: the standard library's modules that the trace used, and
  `wmsite_more`, which fetches the full library when an import needs more.
- numpy.pack: a gzipped tar of .pyc and .so: NumPy's modules that the trace used.

Neither archive is compressed inside: the browser's own gunzip is far faster than Python's in wasm.
The bytecode comes from the same Python that runs it, without optimization.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
import traceback
import zipfile
from pathlib import Path
from typing import Any

STDLIB = Path("/lib/python314.zip")
STUBS = Path("/in/stubs")  # modules that stand for what this Python lacks
SITE = Path("/lib/python3.14/site-packages")


def pyc(source: bytes, filename: str) -> bytes:
    """Return the .pyc of a source, in the form for a module without a source beside it."""
    code = compile(source, filename, "exec", dont_inherit=True, optimize=0)
    loader: Any = importlib.import_module("importlib._bootstrap_external")
    data: bytes = bytes(loader._code_to_timestamp_pyc(code))
    return data


def zipped(files: dict[str, bytes]) -> bytes:
    """Return a stored zip with fixed dates: the same input gives the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return out.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    """Return a plain tar (names of at most 100 characters) with no dates."""
    import tarfile  # Import it here, not above: the trace must not see it.

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def load(imports: list[str]) -> None:
    """Import all modules that the sims and NumPy import."""
    sys.path.append(str(STUBS))
    for name in ["numpy", *imports]:
        with contextlib.suppress(ImportError):  # Not in this Python; the page says so too.
            importlib.import_module(name)


def exercise() -> None:
    """Run once what the page's worker does: arrays, errors with their line, conversions."""
    import numpy as np

    array = np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)
    repr(array), str(array.astype(np.uint8)), repr(array.dtype), repr(np.float32(1.5))
    np.sort(array, axis=1, kind="stable"), np.floor(np.sqrt(array)).sum(axis=0), array @ array.T
    np.concatenate([array, array]), np.where(array > 0.5, 1, 0), np.clip(array, 0, 1), array.mean()
    np.frombuffer(array.tobytes(), np.uint8).copy()
    for wrong in ("def broken(:\n  pass", "import numpy as np\nnp.zeros(2).reshape(3)", "1 / 0"):
        try:
            exec(compile(wrong, "sim.py", "exec"), {})
        except Exception as error:
            traceback.format_exception(error)
            for _ in traceback.walk_tb(error.__traceback__):
                pass
    try:
        importlib.import_module("no_such_module")
    except ImportError:
        traceback.format_exc()


def used() -> dict[str, Path]:
    """Return the files of the loaded modules that came from the library or from NumPy."""
    files = {}
    for name, module in list(sys.modules.items()):
        origin = getattr(getattr(module, "__spec__", None), "origin", None)
        if isinstance(origin, str) and origin.startswith((f"{STDLIB}/", f"{SITE}/numpy/")):
            files[name] = Path(origin)
    return files


def modules(names: list[str], root: str = "") -> set[str]:
    """Return the dotted module names of the .py files and extensions among archive members."""
    found = set()
    for name in names:
        if not name.startswith(root) or "/tests/" in name or name.startswith("site-packages/"):
            continue
        path, dot, suffix = name.partition(".")
        if dot and (suffix == "py" or suffix.endswith(".so")):
            found.add(path.removesuffix("/__init__").replace("/", "."))
    return found


def main() -> None:
    """Trace, then write both archives."""
    job = json.loads(Path("/in/job.json").read_text())
    wheel = zipfile.ZipFile(f"/in/{job['wheel']}")
    wheel.extractall(SITE)
    importlib.invalidate_caches()
    load(job["imports"])
    start = sorted(name for name, path in used().items() if path.is_relative_to(STDLIB))
    exercise()
    if sys.modules["numpy"].__version__ != job["numpy"]:
        raise SystemExit(f"NumPy is {sys.modules['numpy'].__version__}, not {job['numpy']}")
    files = used()
    full = zipfile.ZipFile(STDLIB)
    rest = {
        "python_stdlib.zip": sorted(modules(full.namelist()) - set(files)),
        job["wheel"]: sorted(modules(wheel.namelist(), "numpy/") - set(files)),
    }
    more = Path("/in/wmsite_more.py").read_text()
    more = more.replace("REST: dict[str, list[str]] = {}", f"REST = {rest!r}")
    more = more.replace("START: list[str] = []", f"START = {start!r}")
    library, package = {}, {}
    for path in sorted(STUBS.glob("*.py")):
        if path.stem in sys.modules:
            library[f"{path.stem}.pyc"] = pyc(path.read_bytes(), f"{STDLIB}/{path.name}")
    for path in sorted(files.values()):
        if path.is_relative_to(STDLIB):
            name = str(path.relative_to(STDLIB))
            library[f"{name}c"] = pyc(full.read(name), str(path))
        elif path.suffix == ".py":
            package[f"{path.relative_to(SITE)}c"] = pyc(path.read_bytes(), str(path))
        else:
            package[str(path.relative_to(SITE))] = path.read_bytes()
    library["wmsite_more.pyc"] = pyc(more.encode(), f"{STDLIB}/wmsite_more.py")
    import gzip

    Path("/out/stdlib.pack").write_bytes(gzip.compress(zipped(library), 9, mtime=0))
    Path("/out/numpy.pack").write_bytes(gzip.compress(tarred(package), 9, mtime=0))


main()
