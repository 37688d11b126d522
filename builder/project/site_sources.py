"""What a site is made of: what mkdocs.yml says, and the source files and folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from builder.project.worlds import PACKAGES, TEMPLATE, Project
from sims.errors import UserError

INHERITED = 16  # most files that mkdocs.yml inherits, one from the other


def configuration(project: Project, files: list[Path] | None = None) -> dict[str, Any]:
    """Return mkdocs.yml as plain values, with what it inherits and reads of the environment.

    Tags that name Python objects become None. `files` gets the files that it inherits.
    """
    import yaml
    from mergedeep import merge
    from yaml_env_tag import construct_env_tag

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        pass

    Loader.add_multi_constructor("", lambda loader, suffix, node: None)
    Loader.add_constructor("!ENV", construct_env_tag)
    found: list[dict[str, Any]] = []
    file = project.root / "mkdocs.yml"
    while True:
        try:
            loaded = yaml.load(file.read_text(encoding="utf-8"), Loader)
        except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
            what = "not UTF-8; " if isinstance(error, UnicodeDecodeError) else ""
            name = os.path.relpath(file, project.root)
            raise UserError(f"{name}: {what}{error}. Run: mend it, then build again") from None
        found.append(loaded if isinstance(loaded, dict) else {})
        parent = found[-1].get("INHERIT")
        if not isinstance(parent, str) or len(found) > INHERITED:
            break
        file = file.parent / parent
        if files is not None:
            files.append(file)
    return dict(merge({}, *reversed(found)))


def watched(project: Project) -> list[Path]:
    """Return the source files and folders of the site, missing ones included."""
    inherited: list[Path] = []
    config = configuration(project, inherited)
    theme = config.get("theme")
    lists = [config.get(name) for name in ("watch", "hooks")]  # MkDocs refuses other values
    named = [
        *(path for paths in lists if isinstance(paths, list) for path in paths),
        theme.get("custom_dir") if isinstance(theme, dict) else None,
        config.get("docs_dir", "docs"),
    ]
    own = ["mkdocs.yml", "sims", "families", "measures", "views", "recipes", "data-cards"]
    own += filter(None, named)
    rooms = [PACKAGES / room for room in ("builder", "training", "sims", "LICENSE")]
    rooms += [PACKAGES / "package-lock.json"]  # Pyodide, onnxruntime-web, the editor.
    own_files = [*(project.root / str(p) for p in own), *inherited]
    return list(dict.fromkeys([*own_files, *rooms, TEMPLATE]))
