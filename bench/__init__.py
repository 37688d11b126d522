"""The figures that wmsite is held to, measured on the machine at hand: `python -m bench`."""
