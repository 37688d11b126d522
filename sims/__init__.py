"""Sims: NumPy and the standard library only, the same bytes in CPython and in Pyodide."""
