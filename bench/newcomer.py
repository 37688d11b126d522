"""What a newcomer does, `wmsite new` and `wmsite build`: its minutes, and the model's metrics."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sims.errors import UserError


def built(world: str, family: str, *new: str) -> tuple[float, dict[str, Any]]:
    """Make a project with `wmsite new`, and build it: its minutes, and the model's metrics."""
    with tempfile.TemporaryDirectory(prefix="wmsite-bench-") as place:
        project = Path(place) / "project"
        began = time.monotonic()
        for arguments in (["new", str(project), *new], ["-C", str(project), "build"]):
            command = [sys.executable, "-m", "builder.cli", *arguments]
            if subprocess.run(command).returncode:
                raise UserError(f"bench {world}: a run failed. Run: the same, and look")
        minutes = (time.monotonic() - began) / 60
        told = project / "weights" / world / family / "metrics.json"
        return minutes, dict(json.loads(told.read_text()))
