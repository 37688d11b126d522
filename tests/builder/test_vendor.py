"""The vendored folders, as a page uses them: real Chromium, strict policy, below a sub-path."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builder import chromium
from builder.project import cache, kept
from builder.site import policy, vendor
from sims.errors import UserError

STORE = vendor.ROOT / ".wmsite" / "vendor"
SIMS = vendor.ROOT / "sims"
POLICY = policy.POLICY.format(scripts=f" '{policy.sandbox_hash()}'")

MAIN = """
import { startPython } from "./sim/python.js";
/** Runs code in a fresh module worker; the worker ends with it. */
globalThis.inWorker = (folders, name, input) => new Promise((resolve, reject) => {
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  worker.onmessage = ({ data }) => {
    worker.terminate();
    "error" in data ? reject(new Error(data.error)) : resolve(data.result);
  };
  worker.onerror = (event) => reject(new Error(event.message));
  worker.postMessage({ folders, name, input });
});
/** Runs code in a fresh Python, in its box: a sim whose host only runs it. */
globalThis.inPython = async (at, files, sources) => {
  at = new URL(at, document.baseURI).href;
  const known = new Map(files.map((f) => [at + f.url, { ...f, url: at + f.url }]));
  const progress = {};
  const { remote, ready } = startPython(at, known, (event) => Object.assign(progress, event));
  let begun = false;
  try {
    await ready;
    begun = true;
    const game = { name: "game", module: "code", sources, seed: 0, scenario: "", trial: [] };
    const asked = [];
    for (;;) {
      try {
        return { result: JSON.parse((await remote.call("open", game)).layout[0]), progress, asked };
      } catch (error) {
        if (!error.needs || asked.includes(error.needs)) throw error;
        asked.push(error.needs);
        const { provide } = await import("./sim/python.js");
        await provide(remote, error.needs, at, known, () => {});
      }
    }
  } finally {
    // The snapshot is kept in the background.
    const kept = async () => (await (await caches.open("wm-python")).keys()).length === 1;
    for (let i = 0; begun && i < 100 && !(await kept()); i++)
      await new Promise((resolve) => setTimeout(resolve, 50));
    remote.end("done");
  }
};
globalThis.editor = async (at) => (globalThis.made = (await import(at)).createEditor({
  parent: document.body, doc: "x = 1\\nraise ValueError(x)\\n", label: "Source",
}));
document.body.dataset.ready = "yes";
"""

WORKER = """
const jobs = {
  async ort({ ort }, { build, model, provider }) {
    const lib = await import(`${ort}${build}.min.mjs`);
    lib.env.wasm.wasmPaths = new URL(ort, self.location).href;
    lib.env.wasm.numThreads = 1;
    const session = await lib.InferenceSession.create(new Uint8Array(model), {
      executionProviders: [provider],
    });
    const x = new lib.Tensor("float32", Float32Array.of(1, 2, 3), [3]);
    return [...(await session.run({ x })).y.data];
  },
};
self.onmessage = async ({ data: { folders, name, input } }) => {
  try {
    self.postMessage({ result: await jobs[name](folders, input) });
  } catch (error) {
    self.postMessage({ error: String(error?.message ?? error) });
  }
};
"""

# Not the real one: it only runs `code.py`, whose last line is JSON.
HOST = """
import json, pathlib
import numpy as np
class Host:
    def __init__(self, module):
        code = pathlib.Path(__file__).parents[1].joinpath("code.py").read_text().splitlines()
        names = dict()
        exec("\\n".join(code[:-1]), names)
        self.layout = json.dumps([eval(code[-1], names)])
        self.frame, self.status = np.zeros(4, np.uint8), np.zeros(1)
    def spec(self):
        return "{}"
    def reset(self, seed, scenario):
        pass
"""

# Run here and in the page: both have to come to the same sum.
PLAYED = """
import numpy as np
from sims.breakout import Breakout
sim = Breakout(1)
sim.reset(np.array([7], dtype=np.int64))
frame = np.zeros((1, 1, 64, 64, 3), dtype=np.uint8)
for _ in range(50):
    sim.step(np.array([1], dtype=np.int64))
sim.render(frame)
total = int(frame.astype(np.int64).sum())
"""

WORLD = f"""
import json, sys
{PLAYED}
try:
    exec("def broken(:", dict())
except SyntaxError as error:
    import traceback
    line = traceback.format_exception(error)[-1]
json.dumps(dict(sum=total, line=line, python=sys.version[:4]))
"""

MORE = """
import json, sys
import colorsys, email.mime.text, statistics
import numpy.random, numpy.fft, numpy.polynomial.chebyshev
def missing(name):
    try:
        __import__(name)
    except ImportError as error:
        return type(error).__name__
told = {
    "mean": statistics.mean([1, 2, 6]),
    "red": colorsys.rgb_to_hsv(1, 0, 0),
    "mail": email.mime.text.MIMEText("hi").get_payload(),
    "fft": float(numpy.fft.fft([1, 2])[0].real),
    "random": numpy.random.default_rng(1).random() < 1,
    "absent": [missing("no_such_module"), missing("tkinter"), missing("numpy.nothing")],
}
json.dumps(told)
"""


@pytest.fixture(scope="session")
def folders() -> dict[str, Path]:
    return vendor.collect(STORE)


@pytest.fixture(scope="module")
def page_folder(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("vendor-site")
    for name, folder in folders.items():
        shutil.copytree(folder, site / "wm" / name)
    shutil.copytree(vendor.TEMPLATE / "player", site / "app")
    (site / "app" / "main.js").write_text(MAIN)
    (site / "app" / "worker.js").write_text(WORKER)
    (site / "index.html").write_text(
        f'<!doctype html><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<link rel="icon" href="wm/none.png"><title>t</title><body><p>Words</p>'
        '<script type="module" src="app/main.js"></script>'
    )
    return site


@pytest.fixture(scope="module")
def url(page_folder: Path) -> Iterator[str]:
    with chromium.serve_folder(page_folder, base="/some/repo/") as address:
        yield address


class Visit:
    """One fresh profile at the page: what it asked for, and what the console said."""

    def __init__(self, browser: Any, url: str) -> None:
        self.context = browser.new_context()
        self.asked: list[str] = []
        self.said: list[str] = []
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.page = self.context.new_page()
        self.page.on("console", lambda line: self.said.append(line.text))
        self.page.goto(url)
        self.page.wait_for_selector("[data-ready]")

    def python(self, folder: Path, code: str, sources: dict[str, str] | None = None) -> Any:
        """Run code that ends in JSON in the page's Python."""
        given = {"sims/__init__.py": "", **(sources or {}), "sims/host.py": HOST, "code.py": code}
        files = [
            {"url": f.name, "sha256": cache.sha256_file(f), "bytes": f.stat().st_size}
            for f in sorted((folder / "wm" / "pyodide").iterdir())
        ]
        return self.page.evaluate(
            "([files, sources]) => inPython('wm/pyodide/', files, sources)", [files, given]
        )

    def run(self, name: str, **given: Any) -> Any:
        folders = {"ort": "../wm/ort/"}
        return self.page.evaluate(
            "([folders, name, input]) => inWorker(folders, name, input)", [folders, name, given]
        )

    def files(self) -> set[str]:
        return {asked.rpartition("/")[2] for asked in self.asked}


@pytest.fixture
def visit(browser: Any, url: str) -> Iterator[Visit]:
    made = Visit(browser, url)
    yield made
    made.context.close()
    assert [asked for asked in made.asked if not asked.startswith((url, "blob:", "data:"))] == []
    assert [line for line in made.said if "Content Security Policy" in line] == []


def sources() -> dict[str, str]:
    names = ("__init__", "contract", "errors", "exact", "breakout/__init__")
    return {f"sims/{name}.py": (SIMS / f"{name}.py").read_text() for name in names}


def extra(files: set[str]) -> set[str]:
    return {name for name in files if name.endswith(vendor.EXTRA)}


def test_a_world_plays_on_the_trimmed_library_alone_and_again_from_the_snapshot(
    visit: Visit, page_folder: Path
) -> None:
    here: dict[str, Any] = {}
    exec(PLAYED, here)
    wanted = {
        "sum": here["total"],
        "line": "SyntaxError: invalid syntax\n",
        "python": "3.14",
    }
    first = visit.python(page_folder, WORLD, sources())
    assert first["result"] == wanted
    assert extra(visit.files()) == set()
    assert first["progress"]["loaded"] == first["progress"]["total"] > 12e6
    keys = "async () => (await (await caches.open('wm-python')).keys()).map((key) => key.url)"
    kept = visit.page.evaluate(keys)
    assert len(kept) == 1
    again = visit.python(page_folder, WORLD, sources())
    assert again["result"] == wanted
    assert visit.page.evaluate(keys) == kept
    assert not any("snapshot does not fit" in line for line in visit.said)


def test_an_import_beyond_the_trimmed_library_fetches_the_full_one(
    visit: Visit, page_folder: Path
) -> None:
    for _ in range(2):  # From the start, then from the snapshot.
        told = visit.python(page_folder, MORE)
        got = told["result"]
        assert len(told["asked"]) == 2
        assert got["mean"] == 3
        assert got["red"] == [0.0, 1.0, 1.0]
        assert got["mail"] == "hi"
        assert got["fft"] == 3.0
        assert got["random"] is True
        assert got["absent"] == ["ModuleNotFoundError"] * 3
    assert len(extra(visit.files())) == 2


def test_a_damaged_snapshot_is_dropped_and_python_starts_all_the_same(
    visit: Visit, page_folder: Path
) -> None:
    visit.python(page_folder, "'1'")
    spoil = """async () => {
        const cache = await caches.open("wm-python");
        for (const key of await cache.keys()) await cache.put(key, new Response("x".repeat(4000)));
    }"""
    visit.page.evaluate(spoil)
    keys = "async () => (await (await caches.open('wm-python')).keys()).length"
    assert visit.python(page_folder, "'2'")["result"] == 2
    size = """async () => {
        const cache = await caches.open("wm-python");
        const [key] = await cache.keys();
        return (await (await cache.match(key)).arrayBuffer()).byteLength;
    }"""
    assert visit.page.evaluate(keys) == 1
    visit.page.wait_for_function(f"async () => await ({size})() > 1e6")


@pytest.mark.parametrize(
    ("file", "damage", "said"),
    [
        ("pyodide.asm.wasm", "missing", "pyodide.asm.wasm: the server answered 404"),
        ("stdlib.pack", "cut", "stdlib.pack: ended after 300000 of"),
        ("python.js", "cut", "python.js: ended after 300000 of"),
    ],
)
def test_a_file_that_does_not_come_whole_ends_the_wait_with_its_name(
    browser: Any, page_folder: Path, tmp_path: Path, file: str, damage: str, said: str
) -> None:
    from playwright.sync_api import Error

    site = tmp_path / "site"
    shutil.copytree(page_folder, site)
    bad = site / "wm" / "pyodide" / file
    if damage == "missing":
        bad.unlink()
    else:
        bad.write_bytes(bad.read_bytes()[:300_000])
    with chromium.serve_folder(site) as url:
        visit = Visit(browser, url)
        with pytest.raises(Error, match=said):
            visit.python(page_folder, "'1'")
        visit.context.close()


@pytest.mark.parametrize(
    ("build", "loads"),
    [
        ("ort.wasm", {"ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"}),
        ("ort.jspi", {"ort-wasm-simd-threaded.jspi.mjs", "ort-wasm-simd-threaded.jspi.wasm"}),
    ],
)
def test_onnxruntime_loads_its_own_pair_of_files(
    visit: Visit, build: str, loads: set[str], tmp_path: Path
) -> None:
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "double",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    data = list(model.SerializeToString())
    assert visit.run("ort", build=build, model=data, provider="wasm") == [2, 4, 6]
    assert {name for name in visit.files() if name.startswith("ort-")} == loads


def test_the_editor_shows_an_error_at_its_line_and_lets_tab_pass(visit: Visit) -> None:
    page = visit.page
    page.evaluate("() => editor('../wm/editor/editor.js').then(() => null)")
    page.evaluate("() => made.markError(2, 'ValueError: 1')")
    page.wait_for_selector(".cm-lint-marker-error")
    assert "raise" in page.locator(".cm-lintRange-error").inner_text()
    page.locator(".cm-content[aria-label=Source]").click()
    page.keyboard.press("Control+End")
    page.keyboard.type("y = 2")
    assert page.evaluate("() => made.getDoc()").endswith("y = 2")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.closest('.cm-editor')") is None
    page.evaluate("() => made.setDoc('z = 3')")
    assert page.locator(".cm-lint-marker-error").count() == 0


@pytest.mark.slow
def test_nothing_vendored_is_too_big_or_names_another_host(folders: dict[str, Path]) -> None:
    from builder.site import site_files

    files = [file for folder in folders.values() for file in folder.iterdir()]
    assert max(file.stat().st_size for file in files) <= site_files.MAX_FILE
    for folder in folders.values():
        assert list(site_files.third_parties(folder, {})) == []


@pytest.mark.slow
def test_collect_keeps_what_is_made_and_what_sims_import(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    before = {name: folder.stat().st_mtime_ns for name, folder in folders.items()}
    again = vendor.collect(STORE)
    assert again == folders
    assert {name: folder.stat().st_mtime_ns for name, folder in again.items()} == before
    source = tmp_path / "world.py"
    source.write_text("import fractions, numpy.fft\nfrom . import x\nfrom sims import exact\n")
    assert vendor.imports([source]) == ["fractions", "numpy.fft"]


def test_a_failed_preparation_leaves_nothing_behind(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "half").write_text("half")
        vendor.run(["node", "-e", "console.error('no luck'); process.exit(1)"], "step", "again")

    with pytest.raises(UserError, match=r"step: no luck\. Run: again"):
        kept.kept(tmp_path / "product", make)
    assert list(tmp_path.iterdir()) == []


def test_the_npm_lock_names_no_addresses() -> None:
    lock = json.loads((vendor.ROOT / "package-lock.json").read_text())
    assert not [path for path, package in lock["packages"].items() if "resolved" in package]
    assert all("integrity" in package for path, package in lock["packages"].items() if path)
