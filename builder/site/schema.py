"""What the page knows of the manifests, all of it written from builder/site/manifest.py.

    python -m builder.site.schema

writes three files that are committed: the JSON Schema for whoever reads manifests, the types of
the page's code, and what the page checks against: the schema without its words and without what
holds of all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from builder.site import manifest

TEMPLATE = Path(manifest.__file__).parents[2] / "site_template"
HEAD = "Written by `python -m builder.site.schema` from builder/site/manifest.py: edit that."
WORDS = ("title", "description", "default")
# Of what has properties, every one is there and no other; a list of `prefixItems` has just these.
IMPLIED = ("required", "minItems", "maxItems")
NAMES = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean"}

Schema = dict[str, Any]


def schema() -> Schema:
    """Return the JSON Schema of `world.json` and `site.json`: every key is known and present."""
    models = [(manifest.World, "serialization"), (manifest.Site, "serialization")]
    _, found = models_json_schema(models, ref_template="#/$defs/{model}")  # type: ignore[arg-type]
    for one in found["$defs"].values():
        one |= {"required": list(one["properties"]), "additionalProperties": False}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": HEAD,
        "$defs": found["$defs"],
    }


def files() -> dict[Path, str]:
    """Return the text of each file that is written, by its path."""
    whole = schema()
    bare = json.dumps(_bare(whole["$defs"]), separators=(",", ":"))
    return {
        TEMPLATE / "manifest.schema.json": json.dumps(whole, indent=1) + "\n",
        TEMPLATE / "manifest.d.ts": "\n".join(_types(whole["$defs"])),
        TEMPLATE / "player" / "game" / "schema.js": f"// {HEAD}\nexport const SCHEMA = {bare};\n",
    }


def _bare(part: Any, named: bool = True) -> Any:
    """Return what the page needs of a schema; `named`: the keys are names, not the schema's."""
    if isinstance(part, list):
        return [_bare(each, False) for each in part]
    if not isinstance(part, dict):
        return part
    left_out = set() if named else {*WORDS, *IMPLIED}
    if not named and "properties" in part:
        left_out |= {"additionalProperties", "type"}
    if not named and ("enum" in part or "const" in part):
        left_out.add("type")
    if not named and part.get("additionalProperties") is True:
        left_out.add("additionalProperties")
    kept = {key: one for key, one in part.items() if key not in left_out}
    return {key: _bare(one, not named and key == "properties") for key, one in kept.items()}


def _types(defs: Schema) -> Iterator[str]:
    yield f"/** {HEAD} */"
    for name, one in defs.items():
        said = one.get("description", "").partition("\n\n")[0].split()
        yield ""
        if said:
            yield f"/** {' '.join(said)} */"
        yield f"export interface {name} {{"
        for key, value in one["properties"].items():
            yield f"  {key}: {_type(value)};"
        yield "}"
    yield ""


def _type(part: Schema) -> str:
    """Return a schema as a type of TypeScript."""
    if "$ref" in part:
        return str(part["$ref"]).rpartition("/")[2]
    if "const" in part or "enum" in part:
        return " | ".join(json.dumps(one) for one in part.get("enum", [part.get("const")]))
    if "anyOf" in part:
        return " | ".join(_type(one) for one in part["anyOf"])
    kind = part.get("type")
    if kind == "array":
        if "prefixItems" in part:
            return f"[{', '.join(_type(one) for one in part['prefixItems'])}]"
        item = _type(part["items"])
        return f"({item})[]" if "|" in item else f"{item}[]"
    if kind == "object":
        values = part.get("additionalProperties")
        return f"Record<string, {_type(values) if isinstance(values, dict) else 'unknown'}>"
    return "null" if kind == "null" else NAMES[str(kind)]


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
