"""The MkDocs plugin: `world` and `world-report` fences, the page's policy, nothing from others.

`wmsite build` sets `current` to what it made; without it (plain `mkdocs serve`) a fence says so.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemBytecodeCache
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import BasePlugin
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

from builder import manifest, strip
from builder.terminal import Terminal, size
from sims.errors import UserError

MODES = ("sim", "overlay", "split", "neural", "difference")
SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>(?P<body>.*?)</script>", re.DOTALL)
# Loaded by Material in cases that this site never has; our pages name no other host.
FOREIGN = re.compile(rb"https://(?:unpkg\.com|api\.github\.com|gitlab\.com/api)/?")
# What the theme says too little, or too often, of to those who can't see the page.
NAMED = {
    'data-md-component="search" role="dialog"': 'data-md-component="search" role="dialog" '
    'aria-label="Search"',
}
UNNAMED = (b'("nav",{class:"md-code__nav"}', b'("div",{class:"md-code__nav"}')
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'{scripts}; worker-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'"
)


@dataclass(frozen=True)
class Shown:
    """One world as pages show it; `folder` is its URL from the site's root."""

    manifest: manifest.World
    folder: str
    play_bytes: int
    weights: dict[str, Path]
    families: list[str]  # that have a recipe or weights, though they may not be shown


@dataclass
class Build:
    """What the build made for the pages."""

    terminal: Terminal
    worlds: dict[str, Shown]
    app: str
    cache: Path
    base: str | None = None
    overrides: list[Path] = field(default_factory=list)
    app_files: frozenset[str] = frozenset()


current: Build | None = None


class WmsitePlugin(BasePlugin):  # type: ignore[type-arg,no-untyped-call]
    """Turn fences into worlds and reports, and inject a Content-Security-Policy."""

    page: Page | None = None
    source: str = ""
    fault: UserError | None = None

    def on_config(self, config: MkDocsConfig) -> MkDocsConfig:
        """Register the fences and set what every site of ours needs."""
        if "pymdownx.superfences" not in config.markdown_extensions:
            config.markdown_extensions.append("pymdownx.superfences")
        options = config.mdx_configs.setdefault("pymdownx.superfences", {})
        options["custom_fences"] = [
            *options.get("custom_fences", []),
            {"name": "world", "class": "world", "format": self._world},
            {"name": "world-report", "class": "world-report", "format": self._report},
        ]
        config.extra.setdefault("generator", False)
        features = config.theme.get("features") or []
        for feature in [f for f in features if f.startswith("navigation.instant")]:
            features.remove(feature)
            if current:
                current.terminal.warn(
                    f"mkdocs.yml: theme feature {feature!r} is left out: a page's policy and "
                    "player belong to that page alone"
                )
        if config.theme.get("font"):
            config.theme["font"] = False
            if current:
                current.terminal.warn(
                    "mkdocs.yml: theme.font is left out: fonts would come from another host. "
                    "Set `font: false`"
                )
        if current:
            place = 1 if config.theme.custom_dir else 0
            config.theme.dirs[place:place] = [str(p) for p in current.overrides]
            if current.base is not None:
                config.site_url = _site_url(config.site_url, current.base)
        return config

    def on_files(self, files: Files, config: MkDocsConfig) -> Files:
        """Leave out what no page loads: source maps, and stemmers of other languages."""
        languages = {str(config.theme.get("language", "en"))}
        search: Any = config.plugins.get("material/search") or config.plugins.get("search")
        if search:
            languages |= set(search.config.get("lang") or [])
        if languages <= {"en"}:
            for file in list(files):
                if "/lunr/" in file.src_uri:
                    files.remove(file)
        for file in list(files):
            if file.src_uri.endswith(".map"):
                files.remove(file)
        return files

    def on_env(self, env: Environment, config: MkDocsConfig, files: Files) -> Environment:
        """Keep the theme's templates compiled: half of what a small site costs."""
        if current:
            current.cache.mkdir(parents=True, exist_ok=True)
            env.bytecode_cache = FileSystemBytecodeCache(str(current.cache))
        return env

    def on_page_markdown(
        self, markdown: str, page: Page, config: MkDocsConfig, files: Files
    ) -> str:
        """Remember whose fences come next."""
        self.page, self.source, self.fault = page, markdown, None
        return markdown

    def on_page_content(self, html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
        """Raise what a fence of this page found wrong: Markdown swallows it where it happens."""
        if self.fault:
            raise self.fault
        return html

    def on_post_page(self, output: str, page: Page, config: MkDocsConfig) -> str:
        """Finish one page; a canonical link needs the site's whole address."""
        if "://" not in (config.site_url or ""):
            output = re.sub(r'<link rel="canonical"[^>]*>', "", output)
        return finish(output, _to_root(page.url))

    def on_post_template(self, output: str, template_name: str, config: MkDocsConfig) -> str:
        """Finish the 404 page, whose URLs are absolute; leave out a sitemap without addresses."""
        if template_name == "404.html":
            path = re.sub(r"^[a-z]+://[^/]*", "", config.site_url or "/") or "/"
            return finish(output, path)
        if template_name == "sitemap.xml" and "://" not in (config.site_url or ""):
            return ""
        return output

    def on_post_build(self, config: MkDocsConfig) -> None:
        """Take other hosts' addresses and dangling source maps out of the theme's scripts."""
        site = Path(config.site_dir)
        for file in [*site.glob("assets/**/*.js"), *site.glob("assets/**/*.css")]:
            data = file.read_bytes()
            kept = re.sub(rb"\n?(?://# |/\*# )sourceMappingURL=\S+(?: ?\*/)?", b"", data)
            kept = FOREIGN.sub(b"./", kept).replace(*UNNAMED)
            if kept != data:
                file.write_bytes(kept)
        for name in ("sitemap.xml", "sitemap.xml.gz"):
            if "://" not in (config.site_url or ""):
                (site / name).unlink(missing_ok=True)

    def _world(self, source: str, *_: Any, **__: Any) -> str:
        """Format a `world` fence."""
        try:
            options = self._options(source, {"world", "mode", "model"}, {"world"})
            if not current or not self.page:
                return '<p class="wm-absent">This world is built by <code>wmsite build</code>.</p>'
            shown = self._shown(options["world"])
            root = _to_root(self.page.url)
            modelled = bool(shown.manifest.models)
            mode = options.get("mode") or ("overlay" if modelled else "sim")
            if mode not in MODES:
                raise self._wrong(f"mode {mode!r} is none of {', '.join(MODES)}")
            model = self._family(shown, options)
            if model not in [m.family for m in shown.manifest.models]:
                model = None
            return world_element(shown, root, mode, model)
        except UserError as error:
            self.fault = self.fault or error
            return ""

    def _report(self, source: str, *_: Any, **__: Any) -> str:
        """Format a `world-report` fence."""
        from builder import report

        try:
            options = self._options(source, {"world", "section", "model"}, {"world", "section"})
            known = ("comparison", *report.SECTIONS)
            if options["section"] not in known:
                raise self._wrong(f"section {options['section']!r} is none of {', '.join(known)}")
            if not current or not self.page:
                return '<p class="wm-absent">This report is made by <code>wmsite build</code>.</p>'
            shown = self._shown(options["world"])
            family = self._family(shown, options)
            return report.section(shown, options["section"], _to_root(self.page.url), family)
        except UserError as error:
            self.fault = self.fault or error
            return ""

    def _options(self, source: str, known: set[str], needed: set[str]) -> dict[str, str]:
        """Read a fence's YAML; UserError for anything but the known keys."""
        try:
            options = yaml.safe_load(source) or {}
        except yaml.YAMLError as error:
            raise self._wrong(f"the fence is no YAML: {error}") from None
        if not isinstance(options, dict):
            raise self._wrong("the fence needs lines like `world: name`")
        for key in options:
            if key not in known:
                raise self._wrong(f"unknown key {key!r}; known: {', '.join(sorted(known))}")
        for key in sorted(needed - set(options)):
            raise self._wrong(f"the fence lacks `{key}: ...`")
        return {str(k): str(v) for k, v in options.items()}

    def _shown(self, name: str) -> Shown:
        worlds = current.worlds if current else {}
        if name not in worlds:
            raise self._wrong(
                f"world {name!r} is not in sims/; known: {', '.join(worlds) or 'none'}"
            )
        return worlds[name]

    def _family(self, shown: Shown, options: dict[str, str]) -> str | None:
        """Return the fence's `model`; UserError where a world with models lacks that one."""
        family = options.get("model")
        known = shown.families
        if family and known and family not in known:
            raise self._wrong(
                f"world {options['world']!r} has no model {family!r}; it has {', '.join(known)}"
            )
        return family

    def _wrong(self, what: str) -> UserError:
        file = self.page.file.src_uri if self.page else "?"
        return UserError(f"docs/{file}: {what}. Run: mend the fence, then build again")


def world_element(shown: Shown, root: str, mode: str, model: str | None) -> str:
    """Return `<wm-world>` with what is seen before its script runs, and without it.

    `root` is the site's root relative to the page, with a slash at its end.
    """
    world = shown.manifest
    width, height = strip.size(world.spec["cameras"])
    narrow = strip.size(world.spec["cameras"], narrow=True)
    poster = f"{root}{shown.folder}{world.poster.url}" if world.poster else ""
    attributes = {
        "world": world.name,
        "mode": mode,
        "src": f"{root}wm/site.json",
        **({"model": model} if model else {}),
    }
    ratio = f"--wm-aspect: {width} / {height}"
    if narrow != (width, height):
        ratio += f"; --wm-narrow: {narrow[0]} / {narrow[1]}"
    given = " ".join(f'{name}="{html.escape(value)}"' for name, value in attributes.items())
    # Cameras that look around: the page lays them out by the room that there is.
    given += " data-around" if narrow != (width, height) else ""
    title = html.escape(world.title)
    source = next((s for s in world.sim.sources if s.editable), None)
    link = (
        f' Its rules are in <a href="{root}{shown.folder}{source.url}">{source.path}</a>.'
        if source
        else ""
    )
    return (
        f'<div class="wm-embed"><wm-world {given} style="{ratio}">'
        f'<img class="wm-poster" src="{poster}" width="{width}" height="{height}" '
        f'alt="{title}: a frame of the game">'
        f'<button class="wm-play" type="button">Play {title} '
        f'<span class="wm-size">({size(shown.play_bytes)})</span></button>'
        f'<noscript><p class="wm-noscript">{title} runs in your browser and needs JavaScript '
        f"and WebAssembly: the picture shows one frame of it.{link}</p></noscript>"
        "</wm-world></div>"
    )


def finish(page: str, root: str) -> str:
    """Add what every page has, the player to a page that has a world, and the policy."""
    head = []
    if current:
        wanted = ["site.css", "site.js"]
        wanted += ["player.css", "player.js"] if "<wm-world" in page else []
        wanted += ["report.css"] if "wm-report" in page else []
        for name in wanted:
            if name not in current.app_files:
                continue
            url = f"{root}{current.app}{name}"
            head.append(
                f'<link rel="stylesheet" href="{url}">'
                if name.endswith(".css")
                else f'<script type="module" src="{url}"></script>'
            )
        head.append(f'<link rel="manifest" href="{root}manifest.webmanifest">')
    page = page.replace("</head>", "\n".join([*head, "</head>"]), 1)
    for found, named in NAMED.items():
        page = page.replace(found, named, 1)
    policy = POLICY.format(scripts="".join(f" '{h}'" for h in inline_hashes(page)))
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    return page.replace("<head>", f"<head>\n{meta}", 1)


def inline_hashes(page: str) -> list[str]:
    """Return "sha256-..." of every inline script that runs, each once, in order."""
    found: dict[str, None] = {}
    for script in SCRIPT.finditer(page):
        attributes = script["attributes"]
        if "src=" in attributes or "application/json" in attributes:
            continue
        digest = hashlib.sha256(script["body"].encode()).digest()
        found[f"sha256-{base64.b64encode(digest).decode()}"] = None
    return list(found)


def _to_root(url: str) -> str:
    root = get_relative_url(".", url)
    return root if root.endswith("/") else f"{root}/"


def _site_url(site_url: str | None, base: str) -> str:
    """Return the site's address with its path replaced; the path alone where none is given."""
    host = re.match(r"[a-z]+://[^/]*", site_url or "")
    return (host[0] if host else "") + base
