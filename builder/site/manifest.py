"""The typed contract between the builder and the page: `world.json` and `site.json`.

Nothing else describes them: builder/site/schema.py writes the JSON Schema, the types of the page's
code and what the page checks from these models. URLs are relative to the file that holds them.
After an edit here run `python -m builder.site.schema`.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from sims.contract import Spec
from training.evaluation.heads import ENDED

FORMAT: Literal[1] = 1


class Part(BaseModel):
    """Base of every part: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AsSpec:
    """A spec as `Spec.to_json` writes it: checked as one, kept as plain values."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def plain(value: Any, check: core_schema.ValidatorFunctionWrapHandler) -> Any:
            value = json.loads(json.dumps(value))
            if value != json.loads(json.dumps(check(value).to_json())):
                raise ValueError("is not as `Spec.to_json` writes it")
            return value

        return core_schema.no_info_wrap_validator_function(
            plain,
            handler.generate_schema(Spec),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value),
        )


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
    """The sim as the page runs it: `module` to import, its files, and their hash.

    `opening`: of the first ticks of a game, 8 hex digits each (`Host.opening`). A page whose Python
    plays otherwise says so.
    """

    hash: str
    module: str
    sources: list[Source]
    opening: list[str] = []


class Tensor(Part):
    """Name, type ("float32", "uint8") and static shape of one graph input or output."""

    name: str
    dtype: Literal["float32", "uint8"]
    shape: list[int]


class StateTensor(Part):
    """One carried tensor: the step graph's `input` is fed by its own `output`.

    All zeros start a game, except `observed` ones: those start from what the sim shows, and may be
    replaced by what it shows before any step. They are `state_frame` (RGBA; each camera in the top
    left corner of a plane as large as the largest), `state_sensors` (all sensors of at most one
    dimension, one after the other) and `state_<name>` for a sensor of several dimensions.
    """

    input: str
    output: str
    dtype: Literal["float32", "uint8"]
    shape: list[int]
    observed: bool


def titled(precision: str, evaluations: int) -> str:
    """Return what a variant is called in tables."""
    return f"{precision}, {evaluations} evaluations" if evaluations > 1 else precision


class Variant(Part):
    """One precision of the model that passed the parity gate, and the backends it passed on.

    `evaluations`: how often its network is evaluated for a frame, all within the graph; `macs`: the
    multiply-accumulates of that frame. `ends`: whether it was found to know when a game ends; one
    that doesn't never ends a game of its own. `scores`: whether it tells rewards, so that a game of
    its own has a score.
    """

    name: Literal["fp32", "fp16", "int8"]
    backends: list[Literal["wasm", "webgpu"]]
    evaluations: int = 1
    macs: int
    ends: bool = False
    scores: bool = False
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
    recent frames, each given the states that are observed. A game has ended where `terminated` is
    above `ended_above`; a reward is the nearest of `rewards`, or itself where there are none.
    """

    family: str
    label: str
    parameters: int
    history: int
    ended_above: float = ENDED
    rewards: list[float] = []
    state: list[StateTensor]
    inputs: list[Tensor]
    outputs: list[Tensor]
    variants: list[Variant]
    metrics: dict[str, Any]
    provenance: dict[str, Any]
    older: str = ""  # what the page says of a model that is of the sim before an edit


class Starts(File):
    """Recorded moments of held-out episodes: where a world without a simulator starts.

    The file is zlib's. In it are, little-endian, one after the other: int32 `count`, int32 history
    and int32 `ahead`; int32 lengths [count]; uint8 frames [count, F, cameras, H, W, 3], laid out as
    `state_frame`; and float32 sensors [count, F, all of the spec's, one after the other], actions
    [count, F - 1, as the graph's input], chances [count, F - 1, the spec's]. F is history +
    `ahead`: a game begins at the last frame of the history, and the frames behind it show how the
    recorded one went on. `lengths` says how many of them there are.
    """

    count: int
    ahead: int


class World(Part):
    """`world.json`: all that the page needs to play one world.

    A world that was learned from recordings has no `sim`: its models start from `starts`.

    `hud` says what a HUD field's number is, where that is found: "reward", the sum of the rewards,
    or a sensor's, "sensor.lives.0", or a multiple of one in whole numbers, "sensor.speed.0 * 3.6".
    A game that the model plays alone has these of the model.
    """

    format: Literal[1] = FORMAT
    name: str
    title: str
    spec: Annotated[dict[str, Any], AsSpec()]
    hud: dict[str, str] = {}
    sim: SimSource | None
    models: list[Model]
    poster: File | None
    starts: Starts | None = None


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
