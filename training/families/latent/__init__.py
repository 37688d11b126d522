"""`latent`: every observation encoded into one grid, a gated transition on it, and decoders."""
