"""Prepare the runtimes of the page: Python (Pyodide with NumPy), onnxruntime-web and the editor.

    folders = vendor.collect(project.cache / "vendor", sources)   # {"pyodide": ..., ...}

Each folder holds only files that the browser loads; the build copies it into the site unchanged. A
folder is made once for its inputs (versions, our own files, the modules that the sims import),
beside its place, and swapped in as a whole. It is made again if its files have changed.

How the page uses them (all paths relative, any sub-path, one origin, no `unsafe-eval`):

pyodide/ -- in a worker that cannot fetch, in the page's sandbox (site_template/player/sim/
  sandbox.js), so the page hands in:

    python.js, the worker's own script: site_template/pyodide/worker.js and Pyodide, in one file;
    pyodide.asm.wasm, stdlib.pack and numpy.pack, for its call "boot".

  The page fetches `EXTRA` (the full library, the whole wheel) only if an import needs a module that
  the trimmed library lacks: the call fails, the page hands the archive in, and repeats the call.

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
from collections.abc import Iterable
from pathlib import Path

from builder.project import aside, cache, kept
from builder.site import wheel
from sims.errors import UserError

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "site_template"
EDITOR = TEMPLATE / "editor" / "entry.js"
RUNNER = Path(__file__).with_name("pyodide_run.mjs")
STUBS = TEMPLATE / "pyodide" / "stubs"  # modules that stand for what the page's Python lacks

EXTRA = ("python_stdlib.zip", ".whl")
"""Endings of the files in pyodide/ that only an unusual import fetches."""

PYODIDE_FILES = ("pyodide.asm.wasm", "python_stdlib.zip")
ORT_FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.jspi.min.mjs",
    "ort-wasm-simd-threaded.jspi.mjs",
    "ort-wasm-simd-threaded.jspi.wasm",
)
CORE_SIMS = ("__init__.py", "contract.py", "errors.py", "exact.py", "host.py")


def collect(store: Path, sources: Iterable[Path] = (), more: Iterable[str] = ()) -> dict[str, Path]:
    """Return the ready folders "pyodide", "ort" and "editor", made in `store` where needed.

    `sources` are the Python files that the page runs beside the core of `sims`. The trimmed library
    contains the modules that they import, and those that `more` names. Raises UserError if
    something is missing.
    """
    modules = node_modules()
    try:
        store.mkdir(parents=True, exist_ok=True)
        aside.clear(store.glob(".part-*"))  # of earlier versions
        return {
            "pyodide": _pyodide(store, modules, sources, more),
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

    Without `store`, the wheel goes into the user's cache. Raises UserError if no source has it.
    """
    return wheel.find(numpy_lock(), [store or user_cache(), *([user_cache()] if store else [])])


def numpy_lock() -> wheel.Lock:
    """Return the entry for NumPy in Pyodide's lock."""
    return wheel.Lock.read(node_modules() / "pyodide")


def in_pyodide(folder: Path, file: Path, *arguments: object) -> list[str]:
    """Return the command that runs a Python file in real Pyodide, in Node; see pyodide_run.mjs.

    There the files of `folder` are at /world/<its name>, and /world is on Python's path.
    """
    parts = [RUNNER, node_modules() / "pyodide", numpy_wheel(), folder, file, *arguments]
    return ["node", *map(str, parts)]


def user_cache() -> Path:
    """Return the folder for files that all projects of this user share."""
    named = os.environ.get("WMSITE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(base) / "wmsite"


def node_modules() -> Path:
    """Return the npm packages: this checkout's, or ones installed once into the user's cache.

    Raises UserError if npm is missing or fails.
    """
    here = ROOT / "node_modules"
    manifests = ROOT if (ROOT / "package-lock.json").is_file() else ROOT / "builder" / "npm"
    wanted = json.loads((manifests / "package.json").read_text(encoding="utf-8"))["dependencies"]
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

    # The lock is enough as a key: the files that the page loads are copied and compared anyway.
    done = user_cache() / f"npm-{cache.sha256(lock)[:12]}"
    if not done.is_dir():
        with aside.beside(done) as made:
            install(made)
            cache.swap(made, done)
    return done / "node_modules"


def imports(sources: Iterable[Path]) -> list[str]:
    """Return the modules of the standard library and of NumPy that some Python files import."""
    found = set()
    for source in sources:
        try:
            tree = ast.parse(source.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue  # The code that loads the sim reports it.
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    known = sys.stdlib_module_names | {"numpy"}
    return sorted(name for name in found if name.partition(".")[0] in known)


def _pyodide(store: Path, modules: Path, sources: Iterable[Path], more: Iterable[str]) -> Path:
    npm = modules / "pyodide"
    lock = wheel.Lock.read(npm)
    core = [ROOT / "sims" / name for name in CORE_SIMS]
    own = imports([*(path for path in core if path.exists()), *sources])
    wanted = sorted({*own, *more})
    ours = [
        Path(__file__).with_name("trim.mjs"),
        Path(__file__).with_name("trim.py"),
        *sorted(file for file in (TEMPLATE / "pyodide").rglob("*") if file.is_file()),
        TEMPLATE / "player" / "game" / "rpc.js",
    ]
    parts = {"lock": vars(lock), "imports": wanted, "ours": [cache.sha256_file(p) for p in ours]}

    def make(folder: Path) -> None:
        shutil.copy(numpy_wheel(store), folder / lock.name)
        for name in PYODIDE_FILES:
            shutil.copyfile(npm / name, folder / name)
        with tempfile.TemporaryDirectory() as scratch:
            job = {"imports": wanted, "wheel": lock.name, "numpy": lock.version}
            (Path(scratch) / "job.json").write_text(json.dumps(job), encoding="utf-8")
            shutil.copy(TEMPLATE / "pyodide" / "wmsite_more.py", scratch)
            shutil.copytree(STUBS, Path(scratch) / "stubs")
            shutil.copy(folder / lock.name, scratch)
            run(
                ["node", str(ours[0]), str(npm), scratch, str(folder)],
                "trimming Python for the page",
                "npm ci, then the same command again",
            )
            _worker(npm, Path(scratch), folder / "python.js")

    return kept.kept(store / f"pyodide-{cache.key(**parts)[:12]}", make)


def _worker(npm: Path, scratch: Path, out: Path) -> None:
    """Bundle the worker that runs sims: our files, Pyodide, and a lock without packages."""
    slim = json.loads((npm / "pyodide-lock.json").read_text(encoding="utf-8"))
    (scratch / "lock.json").write_text(json.dumps(slim | {"packages": {}}), encoding="utf-8")
    shutil.copy(npm / "pyodide.mjs", scratch)
    _strip_release(scratch / "pyodide.mjs")
    parts = {
        "loader": scratch / "pyodide.mjs",
        "module": npm / "pyodide.asm.mjs",
        "lock": scratch / "lock.json",
    }
    bundle(
        npm.parent,
        TEMPLATE / "pyodide" / "worker.js",
        out,
        "--format=iife",
        "--minify-whitespace",
        "--external:node:*",
        "--external:ws",
        '--define:import.meta.url="wm:/"',
        *(f"--alias:wm-pyodide-{name}={path}" for name, path in parts.items()),
    )


def bundle(modules: Path, entry: Path, out: Path, *options: str) -> None:
    """Bundle `entry` and all that it imports into one script; UserError where that fails."""
    command = ["node", str(modules / "esbuild" / "bin" / "esbuild"), str(entry), "--bundle"]
    command += ["--target=es2022", "--legal-comments=none", "--log-level=error", *options]
    run(
        [*command, f"--outfile={out}"],
        f"bundling {out.name}",
        "npm ci, then the same command again",
        env={**os.environ, "NODE_PATH": str(modules)},
    )


def _strip_release(path: Path) -> None:
    """Remove the only foreign address from Pyodide's loader; boot.mjs overrides it anyway."""
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
    return kept.kept(store / f"ort-{cache.key(**parts)[:12]}", make)


def _editor(store: Path, modules: Path) -> Path:
    def make(folder: Path) -> None:
        bundle_editor(modules, folder / "editor.js")

    lock = cache.read_json(modules / ".package-lock.json") or {}
    parts = {"entry": cache.sha256_file(EDITOR), "packages": lock.get("packages")}
    return kept.kept(store / f"editor-{cache.key(**parts)[:12]}", make)


def bundle_editor(modules: Path, out: Path, *options: str) -> None:
    """Bundle the editor into one script; the notices name the works of others in it."""
    bundle(modules, EDITOR, out, "--format=esm", "--minify", *options)


def run(
    command: list[str],
    what: str,
    mend: str,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> None:
    """Run a Node program; UserError with its last line if it is missing or fails."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=300,
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
