"""The loss of `transition`: that of `latent`."""

from training.families.latent.loss import loss, source

__all__ = ["loss", "source"]
