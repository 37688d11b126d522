"""Stands for the C code of `multiprocessing`, which Gymnasium imports; a page has no processes."""


class SemLock:
    """Is imported, and never used."""

    SEM_VALUE_MAX = 1


def sem_unlink(name: str) -> None:
    """Refuse: there is none."""
    raise OSError(name)
