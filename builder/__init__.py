"""The `wmsite` command: cache, export, quantize, vendor, render, manifest."""
