"""Every failure that a user can meet, in one tree, each with its exit code.

    QwenpickError
    |-- UsageError        2    an invalid value, a MODEL that does not exist
    |   `-- CatalogError       a table of models that is broken
    |-- NothingFitsError  3    no model meets what was asked
    |-- PullError         4    the hub, the connection, the bytes or the disk
    `-- RunError          5    the engine, the model's file, the answer
        |-- EngineMissingError
        `-- RepackError

A message says what happened; `hint` says what to type next. What the system refuses (an OSError:
a full disk, a home that is read-only) and no room has made an error of its own ends in one line
that names file and reason, with exit code 5: `main` in cli/main.py. Exit code 1 is a bug.
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
    """What was asked for is invalid."""

    exit_code = 2


class CatalogError(UsageError):
    """The catalogue is broken or missing."""


class NothingFitsError(QwenpickError):
    """No model meets what was asked."""

    exit_code = 3


class PullError(QwenpickError):
    """The file could not be downloaded, or is not what it should be."""

    exit_code = 4


class RunError(QwenpickError):
    """The engine, or the system, could not do it."""

    exit_code = 5


class EngineMissingError(RunError):
    """No engine is installed, or it does not start."""


class RepackError(RunError):
    """This engine cannot repack weights on this CPU, or should not."""
