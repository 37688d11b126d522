"""A tiny whole site against what it should be. WMSITE_GOLDEN=write renews the expectation."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

from builder.commands import build
from builder.terminal import Terminal

HERE = Path(__file__).parent
EXPECTED = HERE / "tiny.txt"


def normalised(text: str) -> str:
    """Take out what may change with any release of what we ship: hashes and the theme's files."""
    text = re.sub(r"\.[0-9a-f]{8}\.min\.", ".[hash].min.", text)
    text = re.sub(r"-[0-9a-f]{12}(?=/)", "-[hash]", text)
    return re.sub(r"-[0-9a-f]{8}(?=\.png)", "-[hash]", text)


def described(out: Path) -> str:
    """Describe a site: its files (runtimes by their folders), its worlds, what pages embed."""
    files = set()
    for file in out.rglob("*"):
        path = normalised(file.relative_to(out).as_posix())
        if file.is_file():
            files.add(re.sub(r"^(wm/(?:app|pyodide|ort|editor)-\[hash\]/).*", r"\1...", path))
    parts = ["\n".join(sorted(files))]
    told = json.loads((out / "wm" / "site.json").read_text())
    groups: dict[str, int] = {}
    for entry in told["files"]:
        groups[entry["group"]] = groups.get(entry["group"], 0) + 1
    told = {key: told[key] for key in ("format", "runtime", "worlds")}
    told["groups"] = sorted(groups)
    parts.append(normalised(json.dumps(told, indent=1)))
    for world in sorted(out.glob("wm/worlds/*/world.json")):
        text = re.sub(r'"[0-9a-f]{64}"', '"[sha256]"', world.read_text()).strip()
        parts.append(re.sub(r'"bytes": \d+', '"bytes": "[n]"', text))
    for page in sorted(out.rglob("*.html")):
        text = normalised(page.read_text())
        policy = re.search(r"<meta http-equiv=[^>]*>", text)
        assert policy
        found = [re.sub(r"('sha256-[^']*' ?)+", "'sha256'...", policy[0])]
        found += re.findall(r'<(?:link|script)[^>]*"[^"]*wm/[^>]*>', text)
        found += re.findall(r'<div class="wm-embed">.*?</div>', text, re.DOTALL)
        found += re.findall(r'<div class="wm-report">.*?</div>|<p class="wm-absent">.*?</p>', text)
        parts.append("\n".join([f"--- {page.relative_to(out)}", *found]))
    text = "\n\n".join(parts)
    # What Play loads grows with the runtimes.
    return re.sub(r'"wm-size">\([^)]*\)', '"wm-size">([size])', text) + "\n"


def test_a_tiny_site_is_as_it_should_be(starter_site: Path, tmp_path: Path) -> None:
    project = tmp_path / "tiny"
    shutil.copytree(HERE / "tiny", project)
    (project / ".wmsite").mkdir()
    shutil.copytree(starter_site / ".wmsite" / "vendor", project / ".wmsite" / "vendor")
    terminal = Terminal(quiet=True)
    build.run(build.Options(root=project), terminal)
    assert terminal.warnings == []
    found = described(project / "site")
    if os.environ.get("WMSITE_GOLDEN") == "write":
        EXPECTED.write_text(found)
    assert found == EXPECTED.read_text()
