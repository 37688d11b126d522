"""The evaluation of a model: starts, players, metrics and intervals."""
