"""A project's worlds and models: sources, keys, cache, folders, and the steps that are due."""
