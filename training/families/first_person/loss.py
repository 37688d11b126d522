"""The loss of `first_person`: that of `numbers`."""

from training.families.numbers.loss import loss, source

__all__ = ["loss", "source"]
