"""Every failure that a user can meet, in one tree, each with its exit code.

    QwenpickError
    |-- UsageError        2    a value that cannot be understood, a MODEL that does not exist
    |   `-- CatalogError       a table of models that is broken
    |-- NothingFitsError  3    no model meets what was asked
    |-- PullError         4    the hub, the line, the bytes or the disk
    `-- RunError          5    the engine, the model's file, the answer
        |-- EngineMissingError
        `-- RepackError

A message says what happened; `hint` says what to type next.
"""


class QwenpickError(Exception):
    """A failure with a message, a next step and an exit code.

    Args:
        message: What happened, one sentence.
        hint: What to type or do next, one line; empty where the message says it.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(QwenpickError):
    """What was asked cannot be understood."""

    exit_code = 2


class CatalogError(UsageError):
    """The table of models is broken, or is not there."""


class NothingFitsError(QwenpickError):
    """No model meets what was asked."""

    exit_code = 3


class PullError(QwenpickError):
    """The file could not be brought here, or is not what it should be."""

    exit_code = 4


class RunError(QwenpickError):
    """The engine could not do it."""

    exit_code = 5


class EngineMissingError(RunError):
    """No engine is installed in this environment, or one that does not start."""


class RepackError(RunError):
    """This engine can't keep weights repacked on this processor, or should not."""
