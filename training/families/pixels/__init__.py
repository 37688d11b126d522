"""`pixels`: a model that sees frames and actions alone, and draws each frame as a whole."""
