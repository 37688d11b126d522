"""Write the page of third-party notices, and check it for `wmsite check`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel

from builder.site import notices, site_files
from sims.errors import UserError

SOURCE = f"{notices.PAGE}.md"
MARKDOWN = """---
title: Third-party notices
description: Whose work this site ships, and under which licences.
template: notices.html
hide: [toc]
---

# Third-party notices

Beside the work of its authors, this site ships the work of others. Each is named here, with its
licence and the whole text of it.
"""
# The names that the page must have for each part of a site; every site has the first two parts.
NEEDED = {
    "wmsite": ("wmsite",),
    "theme": (notices.THEME, "lunr"),
    "pyodide": ("Pyodide", "CPython", "NumPy"),
    "ort": ("onnxruntime-web",),
    "editor": ("@codemirror/view", "@lezer/common"),
}
ALWAYS = ("wmsite", "theme")
NOTICE = re.compile(
    r'<details class="wm-notice" data-part="([^"]*)" data-name="([^"]*)">(.*?)</details>', re.DOTALL
)
TEXT = re.compile(r"<pre[^>]*>(.*?)</pre>", re.DOTALL)


def file(files: Files, config: MkDocsConfig) -> File:
    """Return the page, and give the footer its address; UserError where docs/ has such a page."""
    if SOURCE in files.src_uris:
        raise UserError(
            f"docs/{SOURCE}: the build makes the page of this name itself; give yours another. "
            "Run: wmsite build"
        )
    made = File.generated(config, SOURCE, content=MARKDOWN, inclusion=InclusionLevel.NOT_IN_NAV)
    config.extra["wm_notices"] = made.url
    return made


def context(listed: list[notices.Notice], translated: bool) -> dict[str, Any]:
    """Return the values for the page's template.

    `translated` says whether the site's search knows languages other than English.
    """
    of: dict[str, list[notices.Notice]] = {part: [] for part in notices.PARTS}
    for notice in listed:
        if translated or notice.name != notices.LANGUAGES:
            of[notice.part].append(notice)
    return {"parts": [(part, title) for part, title in notices.PARTS.items() if of[part]], "of": of}


def absent(
    site: Path, pages: Mapping[str, site_files.Page], runtimes: Collection[str]
) -> Iterator[str]:
    """Yield each work that a built site ships and does not name.

    `runtimes` are the parts that `wm/site.json` names.
    """
    page = next(
        (p for p in (f"{notices.PAGE}/index.html", f"{notices.PAGE}.html") if p in pages), ""
    )
    if not page:
        yield f"{notices.PAGE}/: is missing; it names whose work the site ships, with the licences"
        return
    told: dict[str, set[str]] = defaultdict(set)
    for part, name, body in NOTICE.findall((site / page).read_text(encoding="utf-8")):
        told[part].add(name)
        if not all(text.strip() for text in TEXT.findall(body) or [""]):
            yield f"{page}: {name}: the text of its licence is missing"
    for part in [part for part in NEEDED if part in ALWAYS or part in runtimes]:
        for name in NEEDED[part]:
            if name not in told[part]:
                yield f"{page}: it does not name {name}, which the site ships"
    for path, one in pages.items():
        linked = any(notices.PAGE in urlsplit(address).path for *_, address in one.references)
        if one.footer and not linked and path != page:
            yield f"{path}: its footer does not link to {notices.PAGE}/"
