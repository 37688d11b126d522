"""The figures that wmsite must keep, measured on this machine: `python -m bench`."""
