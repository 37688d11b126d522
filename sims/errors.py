"""The one exception that every room raises for what a user can mend."""

from __future__ import annotations


class UserError(Exception):
    """Say what, where, why and what to do next, on one line; shown without a traceback.

    `exit_code` is what the command exits with: 1 for a failed build or check, 2 for bad
    usage, 3 when something must be trained and torch is not installed.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code
