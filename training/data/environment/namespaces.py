"""The packages that well-known environments come from."""

from __future__ import annotations

# Where the IDs of a namespace, or with a first word, come from: the package and its module.
KNOWN = {
    "ALE": ("ale-py", "ale_py"),
    "MiniGrid": ("minigrid", "minigrid"),
    "BabyAI": ("minigrid", "minigrid"),
    "Vizdoom": ("vizdoom", "vizdoom.gymnasium_wrapper"),
    "FlappyBird": ("flappy-bird-gymnasium", "flappy_bird_gymnasium"),
    "Crafter": ("crafter", "crafter"),
    "highway": ("highway-env", "highway_env"),
    "merge": ("highway-env", "highway_env"),
    "roundabout": ("highway-env", "highway_env"),
    "parking": ("highway-env", "highway_env"),
    "intersection": ("highway-env", "highway_env"),
    "racetrack": ("highway-env", "highway_env"),
    "MiniWorld": ("miniworld", "miniworld"),
    "procgen": ("procgen", "procgen"),
}


def package_of(asked: str) -> tuple[str, str] | None:
    """Return the package of an ID of a known namespace, and the module that registers it."""
    name = asked.rpartition(":")[2]
    for word, package in KNOWN.items():
        if name.startswith(f"{word}/") or name.partition("-")[0].startswith(word):
            return package
    return None
