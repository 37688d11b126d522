"""Prepare what the page runs on: Python (Pyodide with NumPy), onnxruntime-web and the editor.

    folders = vendor.collect(project.cache / "vendor", sources)   # {"pyodide": ..., ...}

Each folder holds just what the browser loads and is copied into the site as it is. A folder is
made once for its inputs (versions, our own files, the modules that the sims import), aside,
and renamed in whole.

How the page uses them (all paths relative, any sub-path, one origin, no `unsafe-eval`):

pyodide/ -- in a module worker:

    const { boot } = await import(`${pyodide}/boot.mjs`);
    const py = await boot({ onprogress: (file, bytes) => ... });   // rejects with file and reason
    // NumPy is in place; write sims/*.py with py.FS, then py.runPython(...)

  The first load takes boot.mjs, pyodide.mjs, pyodide.asm.mjs, pyodide.asm.wasm,
  pyodide-lock.json, stdlib.pack and numpy.pack. `EXTRA` (the full library, the whole wheel) is
  fetched only by an import that the trimmed library lacks, blocking, within the import.

ort/ -- in a module worker, one thread:

    const ort = await import(`${folder}/ort.wasm.min.mjs`);        // or ort.jspi.min.mjs: WebGPU
    ort.env.wasm.wasmPaths = new URL(`${folder}/`, import.meta.url).href;
    ort.env.wasm.numThreads = 1;

  ort.wasm.min.mjs loads ort-wasm-simd-threaded.{mjs,wasm}; ort.jspi.min.mjs loads
  ort-wasm-simd-threaded.jspi.{mjs,wasm} (needs WebAssembly.Suspending).

editor/ -- editor.js exports createEditor (see site_template/editor/entry.js).
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from builder import cache, wheel
from sims.errors import UserError

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "site_template"

EXTRA = ("python_stdlib.zip", ".whl")
"""Endings of the files in pyodide/ that only an unusual import fetches."""

PYODIDE_FILES = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
ORT_FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.jspi.min.mjs",
    "ort-wasm-simd-threaded.jspi.mjs",
    "ort-wasm-simd-threaded.jspi.wasm",
)
CORE_SIMS = ("__init__.py", "contract.py", "errors.py", "exact.py", "host.py")


def collect(store: Path, sources: Iterable[Path] = ()) -> dict[str, Path]:
    """Return the ready folders "pyodide", "ort" and "editor", made in `store` where needed.

    `sources` are the Python files that the page runs beside the core of `sims`: what they
    import is kept in the trimmed library. Raises UserError if something is missing.
    """
    modules = node_modules()
    try:
        store.mkdir(parents=True, exist_ok=True)
        return {
            "pyodide": _pyodide(store, modules, sources),
            "ort": _ort(store, modules),
            "editor": _editor(store, modules),
        }
    except OSError as error:
        raise UserError(
            f"vendor files in {store}: {error.strerror or error}. "
            "Run: free space or mend the folder, then the same command again"
        ) from error


def numpy_wheel(store: Path | None = None) -> Path:
    """Return NumPy's wheel for Pyodide, verified by its lock, found or fetched into `store`.

    Without `store`, it is kept in the user's cache. Raises UserError if no source has it.
    """
    lock = wheel.Lock.read(node_modules() / "pyodide")
    return wheel.find(lock, [store or user_cache(), *([user_cache()] if store else [])])


def user_cache() -> Path:
    """Return the folder for what all projects of this user share."""
    named = os.environ.get("WMSITE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(base) / "wmsite"


def node_modules() -> Path:
    """Return the npm packages: this checkout's, or ones installed once into the user's cache.

    Raises UserError if npm is missing or fails.
    """
    here = ROOT / "node_modules"
    manifests = ROOT if (ROOT / "package-lock.json").is_file() else ROOT / "builder" / "npm"
    wanted = json.loads((manifests / "package.json").read_text())["dependencies"]
    if all(_version(here, name) == version for name, version in wanted.items()):
        return here
    lock = (manifests / "package-lock.json").read_bytes()

    def install(folder: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(manifests / name, folder)
        run(
            ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"],
            "packages of npm",
            "mend the network, or run npm ci in the checkout, then the same command again",
            cwd=folder,
        )

    return _prepare(user_cache(), f"npm-{cache.sha256(lock)[:12]}", install) / "node_modules"


def imports(sources: Iterable[Path]) -> list[str]:
    """Return the modules of the standard library and of NumPy that some Python files import."""
    found = set()
    for source in sources:
        try:
            tree = ast.parse(source.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue  # Whoever loads the sim says so.
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    known = sys.stdlib_module_names | {"numpy"}
    return sorted(name for name in found if name.partition(".")[0] in known)


def _pyodide(store: Path, modules: Path, sources: Iterable[Path]) -> Path:
    npm = modules / "pyodide"
    lock = wheel.Lock.read(npm)
    core = [ROOT / "sims" / name for name in CORE_SIMS]
    wanted = imports([*(path for path in core if path.exists()), *sources])
    ours = [
        Path(__file__).with_name("trim.mjs"),
        Path(__file__).with_name("trim.py"),
        TEMPLATE / "pyodide" / "boot.mjs",
        TEMPLATE / "pyodide" / "wmsite_more.py",
    ]
    parts = {"lock": vars(lock), "imports": wanted, "ours": [cache.sha256_file(p) for p in ours]}

    def make(folder: Path) -> None:
        shutil.copy(numpy_wheel(store), folder / lock.name)
        for name in PYODIDE_FILES:
            shutil.copyfile(npm / name, folder / name)
        _strip_release(folder / "pyodide.mjs")
        slim = json.loads((npm / "pyodide-lock.json").read_text())
        slim["packages"] = {}
        (folder / "pyodide-lock.json").write_text(json.dumps(slim))
        shutil.copyfile(TEMPLATE / "pyodide" / "boot.mjs", folder / "boot.mjs")
        with tempfile.TemporaryDirectory() as scratch:
            job = {"imports": wanted, "wheel": lock.name, "numpy": lock.version}
            (Path(scratch) / "job.json").write_text(json.dumps(job))
            shutil.copy(TEMPLATE / "pyodide" / "wmsite_more.py", scratch)
            shutil.copy(folder / lock.name, scratch)
            run(
                ["node", str(ours[0]), str(npm), scratch, str(folder)],
                "trimming Python for the page",
                "npm ci, then the same command again",
            )

    return _prepare(store, f"pyodide-{cache.key(**parts)[:12]}", make)


def _strip_release(path: Path) -> None:
    """Take out the one foreign address of Pyodide's loader, which boot.mjs overrides anyhow."""
    text = path.read_text(encoding="utf-8")
    start = text.find("`https://")
    end = text.find("`", start + 1) + 1
    if start < 0 or text.find("https://", end) >= 0:
        raise UserError("package pyodide: pyodide.mjs names other addresses. Run: npm ci")
    text = text[:start] + '"./"' + text[end:]
    path.write_text(text.replace("//# sourceMappingURL=pyodide.mjs.map", ""), encoding="utf-8")


def _ort(store: Path, modules: Path) -> Path:
    dist = modules / "onnxruntime-web" / "dist"

    def make(folder: Path) -> None:
        for name in ORT_FILES:
            shutil.copyfile(dist / name, folder / name)

    parts = {"version": _version(modules, "onnxruntime-web"), "files": ORT_FILES}
    return _prepare(store, f"ort-{cache.key(**parts)[:12]}", make)


def _editor(store: Path, modules: Path) -> Path:
    entry = TEMPLATE / "editor" / "entry.js"

    def make(folder: Path) -> None:
        command = ["node", str(modules / "esbuild" / "bin" / "esbuild"), str(entry)]
        command += ["--bundle", "--format=esm", "--minify", "--target=es2022"]
        command += ["--legal-comments=none", "--log-level=error"]
        run(
            [*command, f"--outfile={folder / 'editor.js'}"],
            "bundling the editor",
            "npm ci, then the same command again",
            env={**os.environ, "NODE_PATH": str(modules)},
        )

    lock = cache.read_json(modules / ".package-lock.json") or {}
    parts = {"entry": cache.sha256_file(entry), "packages": lock.get("packages")}
    return _prepare(store, f"editor-{cache.key(**parts)[:12]}", make)


def run(
    command: list[str],
    what: str,
    mend: str,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> None:
    """Run a program of Node; UserError with its last line if it is missing or fails."""
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300
        )
    except FileNotFoundError as error:
        raise UserError(
            f"{what}: {command[0]} not found. Run: install Node.js 20 or newer"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{what}: no end after 300 s. Run: {mend}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise UserError(f"{what}: {lines[-1][:300] if lines else 'failed'}. Run: {mend}")


def _version(modules: Path, name: str) -> str | None:
    found = cache.read_json(modules / name / "package.json")
    return found["version"] if found else None


def _prepare(store: Path, name: str, make: Callable[[Path], None]) -> Path:
    """Return `store/name`, filled by `make` in a folder aside that is then renamed in whole."""
    done = store / name
    if done.is_dir():
        return done
    store.mkdir(parents=True, exist_ok=True)
    for left in store.glob(".part-*"):  # Of a run that was killed, not of one that is at work.
        if time.time() - left.stat().st_mtime > 3600:
            shutil.rmtree(left, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix=".part-", dir=store))
    try:
        make(aside)
        for path in aside.iterdir():
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        aside.chmod(0o755)
        try:
            aside.rename(done)
        except OSError:
            if not done.is_dir():  # Else another build was first; its folder is the same.
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return done
