"""The MkDocs plugin: fences for worlds, reports and galleries, the page's policy, no other hosts.

`wmsite build` sets `current` to its results. Without it (plain `mkdocs serve`) a fence shows one
line.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket
from mkdocs.config import config_options
from mkdocs.config.base import Config
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import BasePlugin
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

from builder.project import cache
from builder.site import (
    embed,
    gallery,
    manifest,
    notices_page,
    policy,
    signatures,
    site_files,
    tables,
)
from builder.site.notices import Notice
from builder.terminal import Terminal
from sims.errors import UserError

HASH = hashlib.sha256().digest_size
MODES = ("sim", "overlay", "split", "neural", "difference")
# Material loads these in cases that this site never has; our pages name no other host.
FOREIGN = re.compile(rb"https://(?:unpkg\.com|api\.github\.com|gitlab\.com/api)/?")
# Texts of the theme that say too little, or repeat too much, for people who cannot see the page.
NAMED = {
    'data-md-component="search" role="dialog"': 'data-md-component="search" role="dialog" '
    'aria-label="Search"',
}
UNNAMED = (b'("nav",{class:"md-code__nav"}', b'("div",{class:"md-code__nav"}')


@dataclass(frozen=True)
class Shown:
    """One world as pages show it; `folder` is its URL from the site's root."""

    manifest: manifest.World
    folder: str
    play_bytes: dict[str | None, int]  # of Play with each model; None: without any
    weights: dict[str, Path]
    families: list[str]  # that have a recipe or weights, even if no page shows them
    card: Path  # the folder of its dataset card, which may be missing


@dataclass
class Build:
    """The results of the build that the pages need."""

    terminal: Terminal
    worlds: dict[str, Shown]
    app: str
    cache: Path
    base: str | None = None
    overrides: list[Path] = field(default_factory=list)
    app_files: frozenset[str] = frozenset()
    notices: list[Notice] = field(default_factory=list)


current: Build | None = None


class Options(Config):  # type: ignore[no-untyped-call]
    """The options of a site's owner, in mkdocs.yml under `plugins`, `wmsite`."""

    first_load = config_options.Type(
        (int, float), default=site_files.FIRST_LOAD
    )  # MB, see wmsite check
    unlisted = config_options.ListOfItems(config_options.Type(str), default=[])  # on no page


def chosen(config: Mapping[str, Any]) -> tuple[float, list[str]]:
    """Return the options of mkdocs.yml: the first load in MB, and worlds on no page."""
    plugins = config.get("plugins")
    named = [p["wmsite"] for p in plugins or () if isinstance(p, dict) and p.get("wmsite")]
    options = Options()
    options.load_dict(named[0] if named else {})
    failed, _ = options.validate()
    if failed:
        key, why = failed[0]
        raise UserError(f"mkdocs.yml: plugins.wmsite.{key}: {why}. Run: mend it, then build again")
    return float(options.first_load), list(options.unlisted)


class Compiled(BytecodeCache):
    """Compiled templates in a folder, each with its hash: damaged bytecode crashes Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load_bytecode(self, bucket: Bucket) -> None:
        """Load a template's bytecode, if it is as it was written."""
        try:
            data = (self.folder / f"{bucket.key}.cache").read_bytes()
        except OSError:
            return
        told, code = data[:HASH], data[HASH:]
        if hashlib.sha256(code).digest() == told:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Store a template's bytecode."""
        code = bucket.bytecode_to_string()
        cache.write(self.folder / f"{bucket.key}.cache", hashlib.sha256(code).digest() + code)


class WmsitePlugin(BasePlugin[Options]):  # type: ignore[no-untyped-call]
    """Turn fences into worlds and reports, and inject a Content-Security-Policy."""

    page: Page | None = None
    files: Files | None = None
    source: str = ""
    fault: UserError | None = None
    translated = False  # Whether the search knows languages other than English.

    def on_config(self, config: MkDocsConfig) -> MkDocsConfig:
        """Register the fences and set the options that every site needs."""
        if "pymdownx.superfences" not in config.markdown_extensions:
            config.markdown_extensions.append("pymdownx.superfences")
        options = config.mdx_configs.setdefault("pymdownx.superfences", {})
        options["custom_fences"] = [
            *options.get("custom_fences", []),
            {"name": "world", "class": "world", "format": self._world},
            {"name": "world-report", "class": "world-report", "format": self._report},
            {"name": "world-gallery", "class": "world-gallery", "format": self._gallery},
        ]
        config.extra.setdefault("generator", False)
        if "mkdocstrings" in config.plugins:
            signatures.install()
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
        """Leave out what no page loads: source maps, bytecode, stemmers of other languages."""
        languages = {str(config.theme.get("language", "en"))}
        search: Any = config.plugins.get("material/search") or config.plugins.get("search")
        if search:
            languages |= set(search.config.get("lang") or [])
        self.translated = not languages <= {"en"}
        if not self.translated:
            for file in list(files):
                if "/lunr/" in file.src_uri:
                    files.remove(file)
        for file in list(files):
            # A hook beside the pages leaves bytecode there.
            if file.src_uri.endswith(".map") or "__pycache__/" in file.src_uri:
                files.remove(file)
        if current and current.notices:
            files.append(notices_page.file(files, config))
        return files

    def on_env(self, env: Environment, config: MkDocsConfig, files: Files) -> Environment:
        """Store the compiled templates, which halves the time for a small site; list notices."""
        if current:
            current.cache.mkdir(parents=True, exist_ok=True)
            env.bytecode_cache = Compiled(current.cache)
            env.globals["notices"] = notices_page.context(current.notices, self.translated)
        return env

    def on_page_markdown(
        self, markdown: str, page: Page, config: MkDocsConfig, files: Files
    ) -> str:
        """Remember which page the next fences belong to."""
        self.page, self.files, self.source, self.fault = page, files, markdown, None
        return markdown

    def on_page_content(self, html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
        """Raise the error of a fence of this page: Markdown swallows it where it happens."""
        if self.fault:
            raise self.fault
        if "toc" in (page.meta.get("hide") or []):
            return html
        return html.replace("</wm-world></div>", f"</wm-world></div>{embed.contents(page.toc)}", 1)

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
        """Remove other hosts' addresses and dangling source maps from the theme's scripts."""
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
            return embed.world_element(shown, root, current.app, mode, model)
        except UserError as error:
            self.fault = self.fault or error
            return ""

    def _report(self, source: str, *_: Any, **__: Any) -> str:
        """Format a `world-report` fence."""
        from builder.site import report

        try:
            known_keys = {"world", "section", "model", "about", "fold"}
            options = self._options(source, known_keys, {"world", "section"})
            known = ("comparison", "scenarios", *report.OF_WORLD, *report.SECTIONS)
            if options["section"] not in known:
                raise self._wrong(f"section {options['section']!r} is none of {', '.join(known)}")
            if not current or not self.page:
                return '<p class="wm-absent">This report is made by <code>wmsite build</code>.</p>'
            shown = self._shown(options["world"])
            family = self._family(shown, options)
            about = self._about(shown, options["section"], options.get("about"))
            root = _to_root(self.page.url)
            made = report.section(shown, options["section"], root, family, about)
            if "<script" in made.lower():
                # A page's policy allows scripts by their hash, so a script in the data would run.
                raise self._wrong(f"section {options['section']!r}: what it shows holds a script")
            folded = html.escape(options["fold"]) if "fold" in options else None
            return tables.fold(folded, made) if folded else made
        except UserError as error:
            self.fault = self.fault or error
            return ""

    def _gallery(self, source: str, *_: Any, **__: Any) -> str:
        """Format a `world-gallery` fence: for each world, its `page`, and what the card `says`."""
        try:
            if not current or not self.page or not self.files:
                return '<p class="wm-absent">This gallery is made by <code>wmsite build</code>.</p>'
            cards = []
            for name, told in self._options(source, set(current.worlds), set()).items():
                keys = {"page", "says"}
                if not isinstance(told, dict) or set(told) != keys:
                    raise self._wrong(f"world {name!r} needs `page: ...` and `says: ...`")
                file = self.files.get_file_from_path(str(told["page"]))
                if file is None:
                    raise self._wrong(f"world {name!r}: there is no page {told['page']!r} in docs/")
                url = file.url_relative_to(self.page.file)
                cards.append(gallery.Card(self._shown(name), url, str(told["says"])))
            return gallery.gallery(cards, _to_root(self.page.url))
        except UserError as error:
            self.fault = self.fault or error
            return ""

    def _about(self, shown: Shown, section: str, about: Any) -> dict[str, str]:
        """Return a fence's line for each scenario; UserError unless it covers exactly all."""
        if about is None:
            return {}
        if section != "scenarios" or not isinstance(about, dict):
            raise self._wrong("`about` is for `section: scenarios`, with lines like `name: words`")
        known = shown.manifest.spec["scenarios"]
        if wrong := [*(n for n in about if n not in known), *(n for n in known if n not in about)]:
            what = "lacks" if wrong[0] in known else "names no scenario of the world with"
            raise self._wrong(f"`about` {what} {wrong[0]!r}")
        return {str(name): str(said) for name, said in about.items()}

    def _options(self, source: str, known: set[str], needed: set[str]) -> dict[str, Any]:
        """Read a fence's YAML; UserError for anything but the known keys."""
        try:
            options = yaml.safe_load(source) or {}
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # Such as 31 February.
            raise self._wrong(f"the fence is no YAML: {error}") from None
        if not isinstance(options, dict):
            raise self._wrong("the fence needs lines like `world: name`")
        for key in options:
            if key not in known:
                raise self._wrong(f"unknown key {key!r}; known: {', '.join(sorted(known))}")
        for key in sorted(needed - set(options)):
            raise self._wrong(f"the fence lacks `{key}: ...`")
        return {str(k): v if isinstance(v, dict) else str(v) for k, v in options.items()}

    def _shown(self, name: str) -> Shown:
        worlds = current.worlds if current else {}
        if name not in worlds:
            raise self._wrong(
                f"world {name!r} is not in sims/; known: {', '.join(worlds) or 'none'}"
            )
        return worlds[name]

    def _family(self, shown: Shown, options: dict[str, Any]) -> str | None:
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


def finish(page: str, root: str) -> str:
    """Add what every page has, the player to a page that has a world, and the policy."""
    head = []
    if current:
        wanted = ["styles/site.css", "offline/site.js"]
        if "<wm-world" in page:
            wanted += ["element/player.css", "element/player.js"]
        if "<wm-sample" in page:
            wanted += ["element/player.css", "element/sample.css", "element/sample.js"]
        if "wm-report" in page:
            wanted += ["styles/report.css"]
        for name in dict.fromkeys(wanted):
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
    return policy.added(page)


def _to_root(url: str) -> str:
    root = get_relative_url(".", url)
    return root if root.endswith("/") else f"{root}/"


def _site_url(site_url: str | None, base: str) -> str:
    """Return the site's address with its path replaced, or only the path without an address."""
    host = re.match(r"[a-z]+://[^/]*", site_url or "")
    return (host[0] if host else "") + base
