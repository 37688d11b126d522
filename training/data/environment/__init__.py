"""Record a Gymnasium environment as a dataset of ours; it runs here alone, never in a page."""
