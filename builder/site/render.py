"""Render the site's pages with MkDocs Material, and write `site.json`, which lists all files."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from builder.project import cache
from builder.project.worlds import TEMPLATE, Project
from builder.site import manifest
from builder.terminal import Terminal
from sims.errors import UserError

APP_FILES = {".js", ".css", ".json", ".svg", ".png", ".py"}
# A style sheet and a classic script name their parts like this, one on each line.
PART = re.compile(r'^(?:@import |importScripts\()"(\.[^"]+)"\)?;\n', re.MULTILINE)


class _Warnings(logging.Handler):
    """Turn MkDocs' warnings into warnings of wmsite."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.WARNING)
        self.terminal = terminal
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Count one warning; keep an error, which MkDocs also raises, but without its message."""
        if record.levelno == logging.WARNING:
            self.terminal.warn(record.getMessage())
        else:
            self.errors.append(record.getMessage())


def pages(project: Project, out: Path, build: object, terminal: Terminal) -> None:
    """Render docs/ into the folder `out` (emptied first); UserError for whatever MkDocs refuses."""
    os.environ.setdefault("NO_MKDOCS_2_WARNING", "1")  # Material's banner; our pins are exact.
    import jinja2
    import yaml
    from mkdocs.commands import build as mkdocs_build
    from mkdocs.config import load_config
    from mkdocs.exceptions import MkDocsException

    from builder.site import plugin

    log = logging.getLogger("mkdocs")
    handler = _Warnings(terminal)
    log.addHandler(handler)
    log.propagate = False
    plugin.current = build  # type: ignore[assignment]
    try:
        config = load_config(str(project.root / "mkdocs.yml"), site_dir=str(out))
        if not any(isinstance(p, plugin.WmsitePlugin) for p in config.plugins.values()):
            raise UserError(
                "mkdocs.yml: `plugins` lacks `wmsite`, which shows the worlds. "
                "Run: add `- wmsite` there, then build again"
            )
        config.plugins.on_startup(command="build", dirty=False)
        try:
            mkdocs_build.build(config)
        finally:
            config.plugins.on_shutdown()
    except UnicodeDecodeError as error:
        said = _reason(error, handler.errors)
        raise UserError(f"docs: {said}: not UTF-8 ({error}). Run: save it as UTF-8") from error
    except jinja2.TemplateError as error:
        place = getattr(error, "filename", None) or "a template"
        line = getattr(error, "lineno", None)
        raise UserError(
            f"theme: {place}{f':{line}' if line else ''}: {error}. Run: mend it, then build again"
        ) from error
    except (MkDocsException, yaml.YAMLError, RecursionError) as error:
        raise UserError(
            f"mkdocs.yml: {_reason(error, handler.errors)}. Run: mend it, then build again"
        ) from error
    finally:
        plugin.current = None
        log.removeHandler(handler)


def _reason(error: Exception, errors: list[str]) -> str:
    return "; ".join(errors or [str(error).strip()]).rstrip(".") or type(error).__name__


def app(out: Path, views: Iterable[Path] = ()) -> tuple[str, frozenset[str]]:
    """Copy the player into a folder under `out`, named by its content; return (name, files).

    `views` are a project's own; they go beside the views that ship.
    """
    source = TEMPLATE / "player"
    parts: set[Path] = set()
    found = {
        file: joined(file, parts) for file in cache.files_of(source) if file.suffix in APP_FILES
    }
    files = {
        file.relative_to(source).as_posix(): data
        for file, data in found.items()
        if file not in parts
    }
    files |= {f"views/{file.name}": file.read_bytes() for file in views}
    name = f"app-{cache.hashed({path: cache.sha256(data) for path, data in files.items()})}"
    for path, data in files.items():
        target = out / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return name, frozenset(files)


def joined(file: Path, parts: set[Path]) -> bytes:
    """Return a file with its parts in place of the lines that name them; add the parts to `parts`.

    The sources of style sheets and of the service worker are split into parts; a page loads one
    file.
    """

    def part(line: re.Match[str]) -> str:
        named = Path(os.path.normpath(file.parent / line[1]))
        parts.add(named)
        return joined(named, parts).decode()

    data = file.read_bytes()
    if file.suffix not in (".css", ".js"):
        return data
    return PART.sub(part, data.decode()).encode()


def folder(files: dict[str, Path], out: Path, stem: str) -> str:
    """Copy files into `out`/<stem>-<their hash>/ and return that name."""
    name = f"{stem}-{cache.hashed({path: cache.sha256_file(f) for path, f in files.items()})}"
    (out / name).mkdir(parents=True)
    for path, file in files.items():
        target = out / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return name


def root_files(out: Path, icons: dict[int, bytes], title: str) -> None:
    """Write the service worker, and the files that make the site installable, at its root."""
    worker = TEMPLATE / "sw.js"
    if worker.is_file():
        (out / "sw.js").write_bytes(joined(worker, set()))
    entries = []
    for edge, data in icons.items():
        name = f"wm/icon-{edge}-{cache.sha256(data)[:8]}.png"
        (out / name).write_bytes(data)
        entries.append({"src": name, "sizes": f"{edge}x{edge}", "type": "image/png"})
    described = {
        "name": title,
        "short_name": title[:12],
        "id": ".",
        "start_url": ".",
        "scope": ".",
        "display": "standalone",
        "background_color": "#0c0e1c",
        "theme_color": "#0c0e1c",
        "icons": entries,
    }
    (out / "manifest.webmanifest").write_text(
        json.dumps(described, indent=1) + "\n", encoding="utf-8"
    )


def site_json(out: Path, runtime: dict[str, str], worlds: dict[str, str]) -> manifest.Site:
    """List every file of the site in `wm/site.json`; URLs are relative to that file."""
    homes = {folder: name for name, folder in worlds.items()}
    files = []
    for file in cache.files_of(out):
        path = file.relative_to(out).as_posix()
        if path in ("sw.js", "wm/site.json"):
            continue
        group = "runtime" if path.startswith("wm/") else "page"
        for home, name in homes.items():
            if path.startswith(home):
                group = name
        files.append(
            manifest.SiteFile(
                url=os.path.relpath(path, "wm"),
                sha256=cache.sha256_file(file),
                bytes=file.stat().st_size,
                group=group,
            )
        )
    site = manifest.Site(
        version=cache.hashed({f.url: f.sha256 for f in files}),
        runtime=runtime,
        worlds={name: f"{os.path.relpath(home, 'wm')}/world.json" for name, home in worlds.items()},
        files=files,
    )
    (out / "wm" / "site.json").write_text(site.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return site
