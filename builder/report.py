"""Static HTML and SVG of what is known about a world's models."""

from __future__ import annotations

from builder.plugin import Shown

SECTIONS = ("evaluation", "architecture", "data", "curves", "rollouts", "provenance")


def section(shown: Shown, name: str, root: str) -> str:
    """Return one section as HTML."""
    return '<p class="wm-absent">This world has no trained model yet.</p>'
