"""A page's Content-Security-Policy: its own origin, and its inline scripts by their hash."""

from __future__ import annotations

import base64
import hashlib
import re

from builder.project.worlds import TEMPLATE

SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>(?P<body>.*?)</script>", re.DOTALL)
# A worker from a blob runs sims, in a frame that has this policy and its own.
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'{scripts}; worker-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'"
)


def added(page: str) -> str:
    """Return a page with its policy in its head."""
    hashes = inline_hashes(page) + ([sandbox_hash()] if "<wm-world" in page else [])
    policy = POLICY.format(scripts="".join(f" '{h}'" for h in hashes))
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    return page.replace("<head>", f"<head>\n{meta}", 1)


def inline_hashes(page: str) -> list[str]:
    """Return "sha256-..." of every inline script that runs, each once, in order."""
    found: dict[str, None] = {}
    for script in SCRIPT.finditer(page):
        attributes = script["attributes"]
        if "src=" in attributes or "application/json" in attributes:
            continue
        found[_hash(script["body"])] = None
    return list(found)


def sandbox_hash() -> str:
    """Return "sha256-..." of the script in the frame that sims run in."""
    text = (TEMPLATE / "player" / "sim" / "sandbox.js").read_text(encoding="utf-8")
    return _hash(text.split("const FRAME = `")[1].split("`;")[0])


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
