"""One module a verb, each with a `run` function that `builder.cli` calls."""
