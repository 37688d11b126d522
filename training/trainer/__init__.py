"""The training loop: sampling, loss, optimiser, ranks and checkpoints."""
