"""Datasets that another tool recorded: read them, and make datasets of ours from them."""
