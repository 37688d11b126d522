"""Check a built site without a browser, for `wmsite check`; each function yields problems.

A problem is one line, "place: what is wrong". A check that yields no problem has passed.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import quote, unquote, urljoin, urlsplit

from pydantic import ValidationError

from builder.project import cache
from builder.site import download, manifest
from sims.errors import UserError
from training import contained

MAX_FILE = 25 * 1024 * 1024
FIRST_LOAD = 12.0  # MB compressed: the most that a reader on a phone should wait for

# Attributes whose address the browser loads; links that a reader only follows are not here.
LOADING = {
    "src",
    "srcset",
    "poster",
    "data",
    "background",
    "formaction",
    "action",
    "xlink:href",
    "imagesrcset",
}
NAVIGATING = {"a", "area"}
QUIET_RELS = {"alternate", "author", "canonical", "help", "license", "me", "next", "prev", "search"}
FOREIGN = re.compile(r"^\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
LOCAL_SCHEMES = re.compile(r"^\s*(?:data|blob|about|javascript|mailto|tel):", re.IGNORECASE)
CSS_ADDRESS = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")
# A script could load an address at the start of a string. An address inside a sentence (a message
# that names its documentation) is harmless.
# (a message that names its documentation) is not.
JS_ADDRESS = re.compile(r"""["'`]((?:https?:|wss?:)?//[\w.-]+\.\w[^"'`\s]*)""")
# Names of things, which no page loads.
NAMESPACES = ("http://www.w3.org/", "https://www.w3.org/")


@dataclass
class Page:
    """One HTML file: its anchors, and (line, tag, attribute, address) of all it refers to."""

    anchors: set[str] = field(default_factory=set)
    references: list[tuple[int, str, str, str]] = field(default_factory=list)
    scripts: list[tuple[int, str]] = field(default_factory=list)
    styles: list[tuple[int, str]] = field(default_factory=list)
    worlds: list[tuple[str, str]] = field(default_factory=list)
    footer: bool = False


class Reader(HTMLParser):
    """Collect a `Page` from HTML or SVG."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the names and addresses of a tag."""
        values = {name: value or "" for name, value in attrs}
        line = self.getpos()[0]
        self.page.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.page.footer |= tag == "footer"
        if tag == "wm-world":
            self.page.worlds.append((values.get("world", ""), values.get("mode", "")))
        for name, value in values.items():
            if name in ("srcset", "imagesrcset"):
                for part in value.split(","):
                    self.page.references.append((line, tag, name, part.strip().split(" ")[0]))
            elif name == "href" or name in LOADING:
                quiet = tag == "link" and set(values.get("rel", "").split()) & QUIET_RELS
                self.page.references.append((line, "a" if quiet else tag, name, value))
            elif name == "style":
                self.page.styles.append((line, value))
        if tag == "meta" and values.get("http-equiv", "").lower() == "refresh":
            address = values.get("content", "").partition("=")[2]
            self.page.references.append((line, tag, "content", address))
        self.inside = tag if tag in ("script", "style") and "src" not in values else ""

    def handle_data(self, data: str) -> None:
        """Store inline scripts and styles."""
        line = self.getpos()[0]
        if self.inside == "script":
            self.page.scripts.append((line, data))
        elif self.inside == "style":
            self.page.styles.append((line, data))

    def handle_endtag(self, tag: str) -> None:
        """Leave a script or style."""
        self.inside = ""


def read_pages(site: Path) -> dict[str, Page]:
    """Return all HTML pages by their path in the site."""
    pages = {}
    for file in sorted(site.rglob("*.html")):
        reader = Reader()
        reader.feed(file.read_text(encoding="utf-8", errors="replace"))
        pages[file.relative_to(site).as_posix()] = reader.page
    return pages


def links(site: Path, pages: dict[str, Page], base: str) -> Iterator[str]:
    """Check that every address within the site leads to a file, and every anchor is on its page."""
    root = unquote(base)
    for path, page in pages.items():
        # A host shows 404.html at any address, so only absolute links work there.
        here = base + quote(path)
        for line, tag, _, address in page.references:
            if FOREIGN.match(address) or LOCAL_SCHEMES.match(address):
                continue
            parts = urlsplit(urljoin(here, address.strip()))
            place = f"{path}:{line}"
            if path == "404.html" and not address.startswith(("/", "#", "?")) and address:
                if tag not in NAVIGATING or not address.startswith("javascript"):
                    yield f"{place}: {address}: 404.html needs links that start with {base}"
                continue
            target = unquote(parts.path)
            if not target.startswith(root):
                yield f"{place}: {address}: leads out of the site ({base})"
                continue
            found = _file(site, target[len(root) :])
            if found is None:
                yield f"{place}: {address}: there is no such file"
                continue
            anchor = unquote(parts.fragment)
            name = found.relative_to(site).as_posix()
            if tag in NAVIGATING and anchor and name in pages:
                known = pages[name].anchors
                if anchor not in known and anchor != "top" and "=" not in anchor:
                    yield f"{place}: {address}: {name} has no anchor #{anchor}"


def _file(site: Path, path: str) -> Path | None:
    target = site / PurePosixPath(path)
    for file in (target, target / "index.html"):
        if file.is_file() and (file == target) == (not path.endswith("/") and bool(path)):
            return file
    # Hosts redirect /folder to /folder/.
    index = target / "index.html"
    return index if index.is_file() else None


def third_parties(site: Path, pages: dict[str, Page]) -> Iterator[str]:
    """Check that no page loads anything from another host; links to follow are allowed."""
    for path, page in pages.items():
        for line, tag, name, address in page.references:
            if FOREIGN.match(address) and tag not in NAVIGATING:
                yield f"{path}:{line}: <{tag} {name}={address}>: third-party address"
        for line, text in page.scripts:
            for found in _script_addresses(text):
                yield f"{path}:{line}: {found}: third-party address in a script"
        for line, text in page.styles:
            for found in _style_addresses(text):
                yield f"{path}:{line}: {found}: third-party address in a style"
    for file in cache.files_of(site):
        path = file.relative_to(site).as_posix()
        if file.suffix in (".js", ".mjs"):
            for found in _script_addresses(_text(file)):
                yield f"{path}: {found}: third-party address in a script"
        elif file.suffix == ".css":
            for found in _style_addresses(_text(file)):
                yield f"{path}: {found}: third-party address in a style"
        elif file.suffix == ".svg":
            reader = Reader()
            reader.feed(_text(file))
            for line, tag, name, address in reader.page.references:
                if FOREIGN.match(address) and tag not in NAVIGATING:
                    yield f"{path}:{line}: <{tag} {name}={address}>: third-party address"


def _script_addresses(text: str) -> list[str]:
    found = dict.fromkeys(match[1] for match in JS_ADDRESS.finditer(text))
    return [address for address in found if not address.startswith(NAMESPACES)]


def _style_addresses(text: str) -> list[str]:
    found = dict.fromkeys(a or b for a, b in CSS_ADDRESS.findall(text))
    return [address for address in found if FOREIGN.match(address)]


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


Part = TypeVar("Part", bound=manifest.Part)


def read(file: Path, model: type[Part]) -> Part | str:
    """Return a manifest file as its model, or the problem with it."""
    try:
        return model.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return "is missing"
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg']}" if where else first["msg"]


def hashes(site: Path, built: Mapping[str, str] | None = None) -> Iterator[str]:
    """Check that every file is as the manifests say, and that the manifests name every file.

    `built` has the sha256 of each file that the build wrote, by path, where that is known.
    """
    told = set()
    for problem in _by_manifests(site):
        told.add(problem.partition(": ")[0])
        yield problem
    for name, sha256 in (built or {}).items():
        if name not in told and not (site / name).is_file():
            yield f"{name}: is missing, though the build wrote it"
        elif name not in told and cache.sha256_file(site / name) != sha256:
            yield f"{name}: is not what the build wrote"


def _by_manifests(site: Path) -> Iterator[str]:
    home = site / "wm"
    listed = read(home / "site.json", manifest.Site)
    if isinstance(listed, str):
        yield f"wm/site.json: {listed}"
        return
    seen = set()
    for entry in listed.files:
        file = Path(os.path.normpath(home / entry.url))
        seen.add(file)
        yield from _same(site, file, entry)
    for file in cache.files_of(site):
        if file not in seen and file not in (site / "sw.js", home / "site.json"):
            yield f"{file.relative_to(site).as_posix()}: wm/site.json does not list it"
    for part, folder in listed.runtime.items():
        if not (home / folder).is_dir():
            yield f"wm/site.json: runtime {part}: there is no folder {folder}"
    for name, url in listed.worlds.items():
        world = read(home / url, manifest.World)
        place = os.path.relpath(home / url, site)
        if isinstance(world, str):
            yield f"{place}: {world}"
            continue
        if world.name != name:
            yield f"{place}: is of world {world.name!r}, site.json calls it {name!r}"
        for used in world_files(world):
            yield from _same(site, Path(os.path.normpath((home / url).parent / used.url)), used)


def world_files(world: manifest.World) -> list[manifest.File]:
    """Return all files that a world manifest names."""
    files: list[manifest.File] = [*(world.sim.sources if world.sim else [])]
    files += [world.starts] if world.starts else []
    for model in world.models:
        files += [variant.step for variant in model.variants]
    return [*files, *([world.poster] if world.poster else [])]


def _same(site: Path, file: Path, entry: manifest.File) -> Iterator[str]:
    place = os.path.relpath(file, site)
    try:
        contained.inside(site, place, place)
    except UserError:
        yield f"{place}: is a link or outside of the site, though a manifest lists it"
        return
    if not file.is_file():
        yield f"{place}: is missing, though a manifest lists it"
    elif file.stat().st_size != entry.bytes:
        yield f"{place}: {file.stat().st_size} bytes, the manifest says {entry.bytes}"
    elif cache.sha256_file(file) != entry.sha256:
        yield f"{place}: its sha256 is not the manifest's"


def sizes(site: Path) -> Iterator[str]:
    """Check that no file is larger than hosts accept."""
    for file in cache.files_of(site):
        if file.stat().st_size > MAX_FILE:
            path = file.relative_to(site).as_posix()
            yield f"{path}: {file.stat().st_size / 2**20:.1f} MiB, over {MAX_FILE >> 20} MiB"


def advice(
    site: Path, pages: dict[str, Page], first_load: float, unlisted: Collection[str]
) -> Iterator[str]:
    """Warn of likely mistakes: a world on no page, a first load over `first_load` MB."""
    home = site / "wm"
    listed = read(home / "site.json", manifest.Site)
    if isinstance(listed, str):
        return  # `hashes` reports it.
    shown = {name for page in pages.values() for name, _ in page.worlds}
    for name, url in listed.worlds.items():
        if name not in shown and name not in unlisted:
            yield (
                f"world {name!r}: it is on no page, so nobody can play it. Put a `world` fence on "
                f"one, or name it in mkdocs.yml: `- wmsite: {{unlisted: [{name}]}}`"
            )
        world = read(home / url, manifest.World)
        if isinstance(world, str):
            continue  # `hashes` reports it, and missing files too.
        files = download.first_load(home, listed.runtime, world, (home / url).parent)
        files = [file for file in files if file.is_file()]
        most = first_load * 1e6
        total = download.compressed(files)
        if most < total < 1.3 * most:
            # Compressed as a good host sends it. This is slow, and never saves less than a third.
            total = download.compressed(files, quality=9)
        if total > most:
            yield (
                f"world {name!r}: its first load is {total / 1e6:.1f} MB compressed, over "
                f"{first_load:g} MB. Make its model smaller, import less in its sim, or accept it "
                f"in mkdocs.yml: `- wmsite: {{first_load: {math.ceil(total / 1e6)}}}`"
            )
