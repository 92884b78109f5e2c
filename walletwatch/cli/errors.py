"""How a command ends when it cannot do its work: one block on stderr, and an exit status that means something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path
from traceback import extract_tb
from typing import Any


class Exit(IntEnum):
    """Exit statuses."""

    FINE = 0
    BAD_ANSWER = 1
    """The command worked, and the answer is bad."""
    USAGE = 2
    """Wrong usage or configuration."""
    UNREACHABLE = 3
    """Something needed is unreachable."""
    BROKEN = 70
    """A fault of the program itself (EX_SOFTWARE): no answer was given."""


class CommandError(Exception):
    """What happened, where, and what to do."""

    code = Exit.USAGE

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.where = where
        self.hint = hint

    def block(self) -> str:
        """The text for stderr."""
        return show_block(str(self), self.where, self.hint)


class UsageProblem(CommandError):
    """The command line or the configuration is wrong."""


class BadAnswer(CommandError):
    """The command worked, and what it found is bad."""

    code = Exit.BAD_ANSWER


class Unavailable(CommandError):
    """A node, the database or a sink cannot be reached."""

    code = Exit.UNREACHABLE


def show_block(message: str, where: str = "", hint: str = "") -> str:
    """`error: what` / `where:` / `do:` on lines of their own."""
    lines = [f"error: {message}"]
    lines += [f"where: {where}"] if where else []
    lines += [f"   do: {hint}"] if hint else []
    return "\n".join(lines) + "\n"


def explain(error: BaseException) -> tuple[str, Exit]:
    """The block and the status for anything a command may raise. Messages of foreign exceptions are left out unless
    their kind is known: a library may quote a URL with its password.
    """
    if isinstance(error, CommandError):
        return error.block(), error.code
    known = _explain_known(error)
    if known is not None:
        return known
    frames = [f for f in extract_tb(error.__traceback__) if "/walletwatch/" in f.filename or "/chains/" in f.filename]
    place = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    hint = "this is a fault of the program: please report it with this line"
    return show_block(f"unexpected {type(error).__name__}", place, hint), Exit.BROKEN


def _explain_known(error: BaseException) -> tuple[str, Exit] | None:
    """Errors of our own packages; they are imported here, when something went wrong, to keep `--help` quick."""
    from chains.errors import ChainError
    from walletwatch.alerts.lifecycle import NotPossible
    from walletwatch.audit.notes import InvalidNote
    from walletwatch.service.act_endpoint import EndpointError
    from walletwatch.service.trials import TrialFailed
    from walletwatch.settings import Fault, SecretMissing, SettingsError
    from walletwatch.store import StoreError

    blocks: tuple[tuple[type[BaseException], Callable[[Any], tuple[str, Exit]]], ...] = (
        (SettingsError, lambda e: (show_faults(e.problems), Exit.USAGE)),
        (Fault, lambda e: (show_block(str(e), hint=e.hint), Exit.USAGE)),
        (SecretMissing, lambda e: (show_block(str(e), hint="set it, and run the command again"), Exit.USAGE)),
        (InvalidNote, lambda e: (show_block(str(e), "[audit]"), Exit.USAGE)),
        (NotPossible, lambda e: (show_block(str(e)), Exit.USAGE)),
        (StoreError, lambda e: (show_block(str(e), "[store]"), _store_status(str(e)))),
        (ChainError, lambda e: (show_block(str(e), e.endpoint, "see `walletwatch status`"), Exit.UNREACHABLE)),
        (EndpointError, lambda e: (show_block(str(e), "[[approval_feed]]", "another `listen`?"), Exit.USAGE)),
        (TrialFailed, lambda e: (show_block(str(e)), Exit.UNREACHABLE)),
        (OSError, lambda e: (show_block(e.strerror or type(e).__name__, str(e.filename or "")), Exit.UNREACHABLE)),
    )
    for kind, explained in blocks:
        if isinstance(error, kind):
            return explained(error)
    if type(error).__module__.startswith("sqlalchemy."):
        message = f"the database does not answer as it should ({type(error).__name__})"
        return show_block(message, "[store]", "see `walletwatch db current`, the server, the disk"), Exit.UNREACHABLE
    return None


def show_faults(problems: Sequence[object]) -> str:
    """Every fault of a configuration, for stderr."""
    head = f"error: the configuration has {len(problems)} {'fault' if len(problems) == 1 else 'faults'}\n"
    return head + "".join(f"{problem}\n" for problem in problems)


def _store_status(message: str) -> Exit:
    return Exit.USAGE if "db upgrade" in message else Exit.UNREACHABLE
