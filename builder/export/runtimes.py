"""One graph, three runtimes: PyTorch, onnxruntime, and onnxruntime-web in Chromium.

Each runs a graph for rows of recorded inputs and carries its state from step to step, so that the
parity gate compares like with like and the bench measures the runtime of the page.
"""

from __future__ import annotations

import base64
import gzip
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from builder import chromium
from builder.site import vendor
from sims.errors import UserError

Array = NDArray[Any]
Arrays = dict[str, Array]
Backend = Literal["wasm", "webgpu"]
PAGE = Path(__file__).with_name("parity_page")


@dataclass(frozen=True)
class Ran:
    """Outputs [rows, steps, *shape] by name, and the milliseconds of every step in order."""

    outputs: Arrays
    ms: list[float]


class Runtime(Protocol):
    """A runtime for a graph."""

    def run(
        self, graph: Path, feeds: Mapping[str, Array], carry: Mapping[str, str], keep: list[str]
    ) -> Ran:
        """Run a graph for all rows and steps of `feeds`.

        feeds: carried inputs [rows, *shape], the others [rows, steps, *shape]; shapes are the
        graph's, batch dimension included. carry: input name -> output that feeds it from the second
        step on. keep: the outputs to return.
        """
        ...


def extent(feeds: Mapping[str, Array], carry: Mapping[str, str]) -> tuple[int, int]:
    """Return (rows, steps) of feeds as `Runtime.run` takes them."""
    first = next(value for name, value in feeds.items() if name not in carry)
    return first.shape[0], first.shape[1]


def loop(
    step: Callable[[Arrays], Mapping[str, Array]],
    feeds: Mapping[str, Array],
    carry: Mapping[str, str],
    keep: list[str],
) -> Ran:
    """Run `step` in this process for all rows and steps."""
    rows, steps = extent(feeds, carry)
    kept: dict[str, list[Array]] = {name: [] for name in keep}
    ms = []
    for row in range(rows):
        now = {name: feeds[name][row] for name in carry}
        for at in range(steps):
            now |= {name: value[row, at] for name, value in feeds.items() if name not in carry}
            start = time.perf_counter()
            out = step(now)
            ms.append((time.perf_counter() - start) * 1000)
            now |= {name: out[output] for name, output in carry.items()}
            for name in keep:
                kept[name].append(out[name])
    return Ran({k: np.stack(v).reshape(rows, steps, *v[0].shape) for k, v in kept.items()}, ms)


class Native:
    """onnxruntime on this machine's CPU, one thread."""

    def __init__(self) -> None:
        self.sessions: dict[Path, Any] = {}

    def run(
        self, graph: Path, feeds: Mapping[str, Array], carry: Mapping[str, str], keep: list[str]
    ) -> Ran:
        """Run a graph; see `Runtime`. Raises UserError for a file that is no graph."""
        session = self.sessions.get(graph) or self.sessions.setdefault(graph, open_session(graph))
        names = [output.name for output in session.get_outputs()]
        return loop(
            lambda now: dict(zip(names, session.run(None, now), strict=True)), feeds, carry, keep
        )


def open_session(graph: Path) -> Any:
    """Return an onnxruntime session of one thread; UserError for a file that is no graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(
            f"graph {graph}: onnxruntime can't load it (truncated or changed?); {first}. "
            "Run: wmsite train, to make the graphs again"
        ) from error


class Browser:
    """onnxruntime-web in a page of headless Chromium, one thread."""

    def __init__(self, page: Any, url: str, folder: Path, backend: Backend) -> None:
        self.page = page
        self.url = url
        self.folder = folder
        self.backend = backend
        self.names: dict[Path, str] = {}
        self.calls = 0

    def run(
        self, graph: Path, feeds: Mapping[str, Array], carry: Mapping[str, str], keep: list[str]
    ) -> Ran:
        """Run a graph; see `Runtime`. Raises UserError with the page's message if it failed."""
        rows, steps = extent(feeds, carry)
        if graph not in self.names:
            self.names[graph] = f"{len(self.names)}-{graph.name}"
            (self.folder / self.names[graph]).symlink_to(graph.resolve())
        entries, parts, at = {}, [], 0
        for name, value in feeds.items():
            data = np.ascontiguousarray(value).tobytes()
            shape = value.shape[1:] if name in carry else value.shape[2:]
            entries[name] = {"dtype": value.dtype.name, "shape": list(shape), "at": at}
            parts.append(data + bytes(-len(data) % 4))
            at += len(parts[-1])
        # A new name each time: caches compare only whole seconds.
        self.calls += 1
        inputs = self.folder / f"{self.calls}.bin"
        inputs.write_bytes(b"".join(parts))
        told = self._ask(
            "run",
            {
                "graph": self.names[graph],
                "inputs": inputs.name,
                "feeds": entries,
                "carry": dict(carry),
                "rows": rows,
                "steps": steps,
                "keep": keep,
            },
        )
        inputs.unlink()
        outputs = {}
        for name, out in told["outputs"].items():
            raw = gzip.decompress(base64.b64decode(out["data"]))
            values = np.frombuffer(raw, np.dtype(out["dtype"]))
            outputs[name] = values.reshape(rows, steps, *out["shape"])
        return Ran(outputs, told["ms"])

    def _ask(self, name: str, *args: Any) -> Any:
        from playwright.sync_api import Error

        try:
            return self.page.evaluate(f"args => harness.{name}(...args)", list(args))
        except Error as error:
            first = error.message.strip().splitlines()[0]
            raise UserError(f"onnxruntime-web on {self.backend} in Chromium: {first}") from error


@contextmanager
def open_browser(backend: Backend = "wasm", *, half: bool = False) -> Iterator[Browser]:
    """Start Chromium with onnxruntime-web; `half`: WebGPU must have 16-bit floats.

    Raises UserError if Chromium, Playwright or the backend is missing.
    """
    ort = vendor.node_modules() / "onnxruntime-web" / "dist"
    with tempfile.TemporaryDirectory(prefix="wmsite-parity-") as name:
        folder = Path(name)
        for file in PAGE.iterdir():
            (folder / file.name).symlink_to(file)
        (folder / "ort").symlink_to(ort)
        with (
            chromium.serve_folder(folder) as url,
            chromium.browser(webgpu=backend == "webgpu") as opened,
        ):
            page = opened.new_page()
            page.set_default_timeout(120_000)
            page.goto(url)
            page.wait_for_function("'harness' in globalThis")
            runtime = Browser(page, url, folder, backend)
            runtime._ask("boot", backend, half)
            yield runtime
