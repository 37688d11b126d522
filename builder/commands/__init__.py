"""The verbs of `wmsite`, one module each, with a `run` function that `builder.cli` calls."""
