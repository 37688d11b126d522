"""The page holds its own Python to what the build's played, and tells a difference once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from drive import Open, notice, play, sees, state, until


@pytest.mark.alone
def test_another_python_is_told_of_and_the_game_plays_on(open_page: Open, site: Path) -> None:
    page = open_page(service_workers="block")
    play(page, model=False)
    sees(page, "g.sim.opening === 'same'", 60)
    assert not page.query_selector(".wm-notice:visible")

    # As if this browser computed the third tick otherwise: what the build wrote is another's.
    (file,) = site.glob("wm/worlds/*/world.json")
    world = json.loads(file.read_text())
    world["sim"]["opening"][2] = "0" * 8
    text = json.dumps(world).encode()
    listed = json.loads((site / "wm" / "site.json").read_text())
    (entry,) = (e for e in listed["files"] if e["url"].endswith("/world.json"))
    entry |= {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)}

    def other(route: Any) -> None:
        whole = route.request.url.endswith("site.json")
        route.fulfill(status=200, body=json.dumps(listed).encode() if whole else text)

    page.route("**/world.json", other)
    page.route("**/site.json", other)
    page.reload()
    page.wait_for_selector("wm-world[data-phase=idle]")
    play(page, model=False)
    sees(page, "g.sim.opening === 'differs'", 60)
    assert "plays differently here from tick 3 on" in notice(page)
    tick = state(page)["tick"]
    until(page, f"s.phase === 'playing' && s.tick > {tick + 3}")
