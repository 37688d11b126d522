"""The typed contract between the builder and the page: `world.json` and `site.json`.

The JSON Schemas are made from these models and checked again in the page, so nothing is
guessed at run time. URLs are relative to the file that holds them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

FORMAT: Literal[1] = 1


class Part(BaseModel):
    """Base of every part: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class File(Part):
    """One file of the site: URL, sha256 (hex, of the bytes as served) and size in bytes."""

    url: str
    sha256: str
    bytes: int


class Source(File):
    """One Python file of a sim's closure; `path` is where the page's Python finds it."""

    path: str
    editable: bool


class SimSource(Part):
    """The sim as the page runs it: `module` to import, its files, and their hash."""

    hash: str
    module: str
    sources: list[Source]


class Tensor(Part):
    """Name, type ("float32", "uint8") and static shape of one graph input or output."""

    name: str
    dtype: str
    shape: list[int]


class StateTensor(Part):
    """One carried tensor: the step graph's `input` is fed by its own `output`.

    All zeros start a game, except `observed` ones, `state_frame` (RGBA) and `state_sensors` (as the
    sim's status lists them): those start from what the sim shows, and may be replaced by what it
    shows before any step.
    """

    input: str
    output: str
    dtype: str
    shape: list[int]
    observed: bool


def titled(precision: str, evaluations: int) -> str:
    """Return what a variant is called in tables."""
    return f"{precision}, {evaluations} evaluations" if evaluations > 1 else precision


class Variant(Part):
    """One precision of the model that passed the parity gate, and the backends it passed on.

    `evaluations`: how often its network is evaluated for a frame, all within the graph; `macs`: the
    multiply-accumulates of that frame.
    """

    name: Literal["fp32", "fp16", "int8"]
    backends: list[Literal["wasm", "webgpu"]]
    evaluations: int = 1
    macs: int
    step: File
    parity: dict[str, float]

    @property
    def title(self) -> str:
        """What it is called in tables."""
        return titled(self.name, self.evaluations)


class Model(Part):
    """One world model. The page takes the first variant that the device runs.


    step: (state..., action, chance) -> (frame, state..., reward, terminated).
    It starts from states of zeros, and is brought to what the sim shows by steps through `history`
    recent frames, each given the states that are observed.
    """

    family: str
    label: str
    parameters: int
    history: int
    state: list[StateTensor]
    inputs: list[Tensor]
    outputs: list[Tensor]
    variants: list[Variant]
    metrics: dict[str, Any]
    provenance: dict[str, Any]
    older: str = ""  # what the page says of a model that is of the sim before an edit


class World(Part):
    """`world.json`: all that the page needs to play one world."""

    format: Literal[1] = FORMAT
    name: str
    title: str
    spec: dict[str, Any]
    sim: SimSource
    models: list[Model]
    poster: File | None


class SiteFile(File):
    """One file of the site with what it belongs to: "page", "runtime" or a world's name."""

    group: str


class Site(Part):
    """`wm/site.json`: the one manifest that is never cached.

    `version` changes with any byte of the site. `runtime` maps "app", "pyodide", "ort" and
    "editor" to their content-hashed folders; `worlds` maps names to their `world.json`.
    """

    format: Literal[1] = FORMAT
    version: str
    runtime: dict[str, str]
    worlds: dict[str, str]
    files: list[SiteFile]
