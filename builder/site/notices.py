"""Collect the works of others that a site ships, with their licences.

    for notice in notices.collect(project.cache / "vendor"):   # Pyodide, CPython, NumPy, ...
        notice.part, notice.name, notice.license, notice.texts

The list comes from the shipped files: esbuild reports what it put into the editor, and source maps
report what minified scripts hold. The licence texts come from the packages. licenses/ holds the
text of a package that has none; a package without any text is an error.

    python -m builder.notices > THIRD_PARTY_NOTICES.md         # see `make notices`
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import tempfile
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from builder.project import cache, kept
from builder.site import vendor
from sims.errors import UserError

HERE = Path(__file__).parent
TEXTS = HERE / "licenses"
PAGE = "third-party-notices"
THEME = "mkdocs-material"
LANGUAGES = "lunr-languages"
"""Shipped only by a site whose search knows other languages than English."""

PARTS = {
    "wmsite": "wmsite, which built this site",
    "pyodide": "Python in the browser",
    "ort": "Models in the browser",
    "editor": "The editor",
    "theme": "The pages",
    "environments": "Environments that run in the browser",
}
LICENSE_FILE = re.compile(r"^(licen[sc]e|copying|notice)\b", re.IGNORECASE)
# A package by its path in a source map: in node_modules, or copied into the project itself.
PACKAGED = re.compile(r"(?:node_modules|/vendor)/((?:@[^/]+/)?[^/]+)/")
NPM_LICENSES = {
    "clipboard": "MIT",
    "escape-html": "MIT",
    "focus-visible": "W3C-20150513",
    "lunr": "MIT",
    LANGUAGES: "MPL-1.1",
    "material-design-color": "MIT",
    "rxjs": "Apache-2.0",
    "stackframe": "MIT",
    "tiny-emitter": "MIT",
    "tslib": "0BSD",
}
"""Of the packages in licenses/npm, which are minified into what others publish."""
INSIDE = {"clipboard": ("tiny-emitter",)}
"""Packages that another's published script holds already."""

# Works that are linked into Pyodide's WebAssembly: name, licence, source, texts.
LINKED = (
    ("Emscripten", "MIT OR NCSA", "https://github.com/emscripten-core/emscripten", "emscripten"),
    ("musl", "MIT", "https://musl.libc.org", "musl"),
    ("compiler-rt", "Apache-2.0 WITH LLVM-exception", "https://llvm.org", "compiler-rt"),
    ("libc++", "Apache-2.0 WITH LLVM-exception", "https://llvm.org", "libcxx"),
    ("HACL*", "MIT", "https://github.com/hacl-star/hacl-star", "hacl"),
    ("mimalloc", "MIT", "https://github.com/microsoft/mimalloc", "mimalloc"),
    ("bzip2", "bzip2-1.0.6", "https://sourceware.org/bzip2", "bzip2"),
    ("xz", "0BSD", "https://tukaani.org/xz", "xz"),
    ("zstd", "BSD-3-Clause", "https://github.com/facebook/zstd", "zstd"),
    ("SQLite", "public domain", "https://www.sqlite.org", "sqlite"),
)


@dataclass(frozen=True)
class Notice:
    """One work: the part of the site that holds it, its licence, and where its source is."""

    part: str
    name: str
    version: str
    license: str
    source: str
    texts: list[str]
    remarks: list[str] = field(default_factory=list)


def collect(store: Path) -> list[Notice]:
    """Return the notices of all works that a site ships, cached in `store` until one changes.

    Raises UserError where a package has no licence text.
    """
    modules = vendor.node_modules()
    installed = cache.read_json(modules / ".package-lock.json") or {}
    parts = {
        "npm": installed.get("packages"),
        "numpy": vars(vendor.numpy_lock()),
        "versions": [_distribution(name).version for name in (THEME, "wmsite")],
        "ours": cache.tree_hash([HERE / "notices.py", TEXTS, own_license(), vendor.EDITOR], HERE),
    }

    def make(folder: Path) -> None:
        found = [_own(), *_pyodide(store, modules), *_ort(modules), *_editor(modules), *_theme()]
        cache.write_json(folder / "notices.json", [asdict(notice) for notice in found])

    folder = kept.kept(store / f"notices-{cache.key(**parts)[:12]}", make)
    return [Notice(**told) for told in cache.read_json(folder / "notices.json")]


def of_packages(modules: Collection[str]) -> Iterator[Notice]:
    """Yield the notices of installed packages, by the modules of theirs that a site ships.

    The text of one without a licence file is what its metadata says.
    """
    known = importlib.metadata.packages_distributions()
    for name in sorted({package for one in modules for package in known.get(one, [])}):
        package = _distribution(name)
        told: Any = package.metadata
        terms = str(told.get("License-Expression") or told.get("License") or "see its text")
        terms = terms.strip().splitlines()[0][:60]
        files = [Path(str(package.locate_file(file))) for file in package.files or []
                 if ".dist-info/" in str(file) and LICENSE_FILE.match(file.name)]  # fmt: skip
        texts = [_text(file) for file in files] or [f"Its package tells of its licence: {terms}"]
        home = str(told.get("Home-page") or "")
        source = home if home.startswith("https://") else ""
        yield Notice("environments", str(told["Name"]), package.version, terms, source, texts)


def own_license() -> Path:
    """Return the file with wmsite's own licence: from the checkout, or its installed copy."""
    checkout = vendor.ROOT / "LICENSE"
    return checkout if checkout.is_file() else TEXTS / "wmsite.txt"


def _own() -> Notice:
    version = importlib.metadata.version("wmsite")
    return Notice("wmsite", "wmsite", version, "MIT", "", [_text(own_license())])


def _pyodide(store: Path, modules: Path) -> Iterator[Notice]:
    npm, lock = modules / "pyodide", vendor.numpy_lock()
    described = json.loads((npm / "pyodide-lock.json").read_text(encoding="utf-8"))["info"]
    home = "https://github.com/pyodide/pyodide"
    yield Notice(
        "pyodide", "Pyodide", lock.pyodide, "MPL-2.0", f"{home}/tree/{lock.pyodide}",
        [_committed("pyodide")],
        [
            "This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0. "
            "If a copy of the MPL was not distributed with this file, You can obtain one at "
            "https://mozilla.org/MPL/2.0/.",
            "wmsite changes two things in its loader, pyodide.mjs: the address of its release and "
            "the one of its source map are taken out, as wmsite's builder does it.",
        ],
    )  # fmt: skip
    yield from _of_map(npm / "pyodide.mjs.map", "pyodide", modules)
    yield Notice(
        "pyodide", "CPython", described["python"], "PSF-2.0", "https://github.com/python/cpython",
        [_committed("cpython"), _committed("cpython-incorporated")],
        ["With it come zlib, Expat, libffi and libmpdec, whose licences are in the second text."],
    )  # fmt: skip
    platform = described["platform"].removeprefix("emscripten_").replace("_", ".")
    for name, license, source, text in LINKED:
        version = platform if name == "Emscripten" else ""
        yield Notice("pyodide", name, version, license, source, [_committed(text)])
    texts = []
    with zipfile.ZipFile(vendor.numpy_wheel(store)) as wheel:
        for member in wheel.namelist():
            if ".dist-info/licenses/" in member and not member.endswith("/"):
                texts.append(_clean(wheel.read(member).decode("utf-8", "replace")))
    source = f"https://github.com/numpy/numpy/tree/v{lock.version}"
    terms = "BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0"
    yield _whole(Notice("pyodide", "NumPy", lock.version, terms, source, _once(texts)))


def _ort(modules: Path) -> Iterator[Notice]:
    yield _npm("onnxruntime-web", "ort", modules, ("onnxruntime", "onnxruntime-third-party"))
    for name in vendor.ORT_FILES:
        if name.endswith(".min.mjs"):
            yield from _of_map(modules / "onnxruntime-web" / "dist" / f"{name}.map", "ort", modules)


def _editor(modules: Path) -> Iterator[Notice]:
    """Bundle the editor again, so that esbuild reports which packages it holds."""
    with tempfile.TemporaryDirectory() as scratch:
        told = Path(scratch) / "inputs.json"
        vendor.bundle_editor(modules, Path(scratch) / "editor.js", f"--metafile={told}")
        inputs = json.loads(told.read_text(encoding="utf-8"))["inputs"]
    names = {found[-1] for path in inputs if (found := PACKAGED.findall(path))}
    for name in sorted(names):
        yield _npm(name, "editor", modules)


def _theme() -> Iterator[Notice]:
    theme = _distribution(THEME)
    licenses = [file for file in theme.files or [] if ".dist-info/licenses/" in str(file)]
    texts = [_text(Path(str(theme.locate_file(file)))) for file in licenses]
    source = f"https://github.com/squidfunk/mkdocs-material/tree/{theme.version}"
    yield _whole(Notice("theme", THEME, theme.version, "MIT", source, texts))
    templates = Path(str(theme.locate_file("material/templates")))
    maps = sorted((templates / "assets").rglob("*.map"))
    if not maps:
        raise UserError(
            f"package {THEME}: it has no source maps, so nothing tells what its scripts hold. "
            f"Run: pip install --force-reinstall {THEME}=={theme.version}"
        )
    seen: set[str] = set()
    for file in maps:
        for notice in _of_map(file, "theme", templates):
            if notice.name not in seen:
                seen.add(notice.name)
                yield notice
    yield _npm(LANGUAGES, "theme", templates)
    for folder in sorted(path for path in (templates / ".icons").iterdir() if path.is_dir()):
        texts = [_text(file) for file in _license_files(folder)]
        name = f"{folder.name} icons"
        yield _whole(Notice("theme", name, "", "see its text", "", texts))


def _of_map(file: Path, part: str, modules: Path) -> Iterator[Notice]:
    """Yield the packages that a minified script or style holds, from its source map."""
    sources = json.loads(file.read_text(encoding="utf-8"))["sources"]
    names = {found[-1] for path in sources if (found := PACKAGED.findall(path))}
    within = {inner for name in names for inner in INSIDE.get(name, ())}
    for name in sorted(names | within):
        yield _npm(name, part, modules)


def _npm(name: str, part: str, modules: Path, texts: tuple[str, ...] = ()) -> Notice:
    """Return the notice of an npm package, installed or minified into another package."""
    folder = modules / name
    told = cache.read_json(folder / "package.json") or {}
    found = [_text(file) for file in _license_files(folder)] if folder.is_dir() else []
    found += [_committed(text) for text in texts]
    if not found and (TEXTS / "npm" / f"{name}.txt").is_file():
        found = [_committed(f"npm/{name}")]
    terms = str(told.get("license") or NPM_LICENSES.get(name, "see its text"))
    source = told.get("repository", "")
    source = str(source.get("url", "") if isinstance(source, Mapping) else source)
    source = re.sub(r"^(git\+|git:|github:)", "", source).removesuffix(".git")
    source = source if source.startswith("https://") else ""
    return _whole(Notice(part, name, str(told.get("version", "")), terms, source, found))


def _whole(notice: Notice) -> Notice:
    """Return a notice; UserError where it has no text."""
    if all(text.strip() for text in notice.texts) and notice.texts:
        return notice
    raise UserError(
        f"package {notice.name}: it has no licence text, and a site may not ship it without; "
        f"put the text into {TEXTS / 'npm' / notice.name}.txt. Run: wmsite build"
    )


def _license_files(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.is_file() and LICENSE_FILE.match(f.name))


def _committed(name: str) -> str:
    return _text(TEXTS / f"{name}.txt")


def _text(file: Path) -> str:
    try:
        return _clean(file.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise UserError(
            f"licence text {file}: {error.strerror}; install wmsite again. Run: make site"
        ) from error


def _clean(text: str) -> str:
    lines = text.replace("\f", "\n").lstrip("\ufeff").splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def _once(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _distribution(name: str) -> importlib.metadata.Distribution:
    return importlib.metadata.distribution(name)


def document(notices: list[Notice]) -> str:
    """Return the notices as Markdown; they name the texts in the repository, not repeat them."""
    files = {_text(file): file for file in sorted(TEXTS.rglob("*.txt"))}
    files[_text(own_license())] = vendor.ROOT / "LICENSE"
    lines = [
        "# Third-party notices",
        "",
        "What the sites that wmsite builds hold of others' work, and the licence of each. "
        "`make notices` makes this file from the packages; every built site has the same on its "
        f"page `{PAGE}/`.",
    ]
    for part, title in PARTS.items():
        if all(notice.part != part for notice in notices):
            continue
        lines += ["", f"## {title}"]
        for notice in notices:
            if notice.part == part:
                lines += ["", f"### {notice.name} {notice.version}".rstrip(), ""]
                lines += [f"Licence: {notice.license}", ""]
                lines += [f"Source: <{notice.source}>", ""] if notice.source else []
                for remark in notice.remarks:
                    lines += [remark, ""]
                for text in notice.texts:
                    if text in files:
                        path = files[text].relative_to(vendor.ROOT).as_posix()
                        lines += [f"Text: [{path}]({path})", ""]
                    else:
                        lines += ["````text", text, "````", ""]
                lines.pop()
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(document(collect(vendor.user_cache())), end="")
