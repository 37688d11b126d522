"""Read the frames of a dataset that another tool recorded: images in Parquet, or videos.

Every frame becomes RGB, and a frame that is too large is made smaller. Videos need PyAV, which
wmsite does not install.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sims.contract import Array
from sims.errors import UserError

PYAV = "15.1.0"  # the version that LeRobot 0.4 and later ask for
GRID = 8  # a frame that is made smaller gets sides that this divides
LARGEST = 8192  # pixels of a side, so that a false header takes no memory


@dataclass(frozen=True)
class View:
    """One camera of the recording: its column, its size there, and the size at which it is read."""

    column: str
    name: str
    video: bool
    there: tuple[int, int]  # height, width
    size: tuple[int, int]


def fitted(height: int, width: int, side: int) -> tuple[int, int]:
    """Return the size at which a frame is read: its larger side has at most `side` pixels."""
    larger = max(height, width)
    if larger <= side:
        return height, width
    return _even(height * side / larger, side), _even(width * side / larger, side)


def _even(pixels: float, side: int) -> int:
    return max(1, min(side, max(GRID, round(pixels / GRID) * GRID)))


def decode(images: list[Any], view: View) -> Array:
    """Decode compressed images: uint8 [N, H, W, 3]. ValueError for one that is no such image."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.stack([*pool.map(lambda told: _decoded(told, view), images)])


def _decoded(told: Any, view: View) -> Array:
    from PIL import Image

    data = told.get("bytes") if isinstance(told, dict) else None
    if not data:
        raise ValueError(f"{view.column} lacks an image")
    try:
        with Image.open(io.BytesIO(data)) as image:
            if (image.height, image.width) != view.there:
                raise ValueError(_other(view, image.height, image.width))
            return _small(image, view)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{view.column} holds an image that can't be decoded ({error})") from error


def _small(image: Any, view: View) -> Array:
    """Return an image as RGB at the size of its view; each pixel is the mean of what it covers."""
    from PIL import Image

    rgb = image.convert("RGB")
    if view.size != view.there:
        rgb = rgb.resize(view.size[::-1], Image.Resampling.BOX)
    return np.asarray(rgb, np.uint8)


def _other(view: View, height: int, width: int) -> str:
    said = f"{view.there[1]} x {view.there[0]}"
    return f"{view.column} is {width} x {height}; info.json tells {said}"


def pyav(where: str) -> Any:
    """Import PyAV; UserError that begins with `where` if it is not installed."""
    try:
        import av
    except ImportError:
        raise UserError(
            f"{where}: its frames are videos, and PyAV, which reads videos, is not installed. "
            f"Run: pip install av=={PYAV}",
            exit_code=3,
        ) from None
    return av


def video(path: Path, view: View, start: float, times: Array, where: str) -> Generator[Array]:
    """Yield uint8 [H, W, 3] for each of `times`, in seconds after `start`: the nearest frame.

    Raises ValueError for a file that is no such video, or has no frame within half a step of a
    time.
    """
    av = pyav(where)
    step = float(times[1] - times[0]) if len(times) > 1 else 1.0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError("it holds no video")
            stream = container.streams.video[0]
            if (stream.height, stream.width) != view.there:
                raise ValueError(_other(view, stream.height, stream.width))
            stream.thread_type = "AUTO"
            container.seek(
                max(0, math.floor(start / stream.time_base) - 1), backward=True, stream=stream
            )
            frames = (frame for frame in container.decode(stream) if frame.time is not None)
            before, after = None, next(frames, None)
            for row, time in enumerate(times.tolist()):
                wanted = start + time
                while after is not None and (after.time is None or after.time <= wanted):
                    before, after = (
                        (after if after.time is not None else before),
                        next(frames, None),
                    )
                near = min(
                    (one for one in (before, after) if one is not None),
                    key=lambda one: abs(one.time - wanted),
                    default=None,
                )
                if near is None or abs(near.time - wanted) > step / 2:
                    raise ValueError(f"it has no frame at {wanted:.3f} s, for row {row}")
                yield _small(near.to_image(), view)
    except av.FFmpegError as error:
        raise ValueError(f"it can't be decoded ({error})") from error
