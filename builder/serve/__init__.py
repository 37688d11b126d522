"""The code that only `wmsite serve` needs: the server, and the stream of changes."""
