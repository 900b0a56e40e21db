"""Let SQL text through on purpose: declared where a module is loaded, for one block at a time.

A declaration is made at the top of a module, so whatever may let SQL text through is known as soon
as the modules are imported, before anything of it has run. A block lets the text of one session
through while the function that holds the ``with`` statement is running: not in other tasks and
threads, and not while a generator with the block in it is suspended.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol, Self
from weakref import WeakSet

from greenlet import getcurrent

from stockade.errors import ConfigurationError
from stockade.tenancy.errors import OpaqueSQLError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType, TracebackType

    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

    from stockade.core.identity import TenantId
    from stockade.events import EventLog
    from stockade.tenancy.refusals import Refusals

SCOPE_KEY: Final = "stockade_scope"
"""Where a session keeps the ASGI scope of the request that it is for."""

_SHORTEST_REASON: Final = 8
_LONGEST_REASON: Final = 200
_FINGERPRINT_DIGITS: Final = 12
_FINGERPRINTS: Final = 8
# A block without an end, such as that of a worker, tells of itself meanwhile.
_STATEMENTS_OF_AN_EVENT: Final = 1000


class RawSession(Protocol):
    """What a block needs of a tenant's session."""

    info: dict[Any, Any]

    @property
    def tenant_id(self) -> TenantId:
        """The tenant of the session."""

    @property
    def raw_blocks(self) -> RawBlocks:
        """The blocks in which the session takes SQL text."""


class UnsafeRaw:
    """A declaration that SQL text is let through; `unsafe_raw` makes it.

    Attributes:
        reason: Why, in words.
        module: Name of the module that it was made in.
        file: Path of that module.
        line: Line in it.
    """

    def __init__(self, reason: str, *, module: str, file: str, line: int) -> None:
        self.reason = reason
        self.module = module
        self.file = file
        self.line = line

    def __call__(
        self,
        session: Session | AsyncSession | scoped_session[Any] | async_scoped_session[Any],
    ) -> RawBlock:
        """Return a block for ``with``, in which a tenant's session takes SQL text.

        It is a plain ``with`` for an asynchronous session as well.

        Args:
            session: A session of a tenant.

        Raises:
            TypeError: It is no session of a tenant, where nothing is isolated.
            OpaqueSQLError: The application has started before this was declared, so nobody has
                been told of it.
        """
        found: Any = session
        if hasattr(found, "registry") and callable(found):
            found = found()
        found = getattr(found, "sync_session", found)
        rules = getattr(found, "raw_rules", None)
        if not isinstance(rules, RawRules):
            message = "unsafe_raw() is for the session of a tenant; nothing is isolated in another"
            raise TypeError(message)
        rules.require_listed(self, found.tenant_id)
        return RawBlock(self, found, rules)

    def __repr__(self) -> str:
        return f"<unsafe_raw of {self.module}:{self.line}>"


_DECLARED: Final[WeakSet[UnsafeRaw]] = WeakSet()


def unsafe_raw(reason: str) -> UnsafeRaw:
    """Declare that SQL text is let through somewhere, and why; at the top of a module.

    ``with DECLARED(session):`` then lets the text of that session through. What is written with the
    ORM or the Core stays isolated in the block.

    Args:
        reason: Why that is safe: one line of 8 to 200 characters. `stockade check` lists it, with
            the file and the line.

    Raises:
        ConfigurationError: The reason is not of that form, or this is no top of a module: what a
            function declares is not known before it runs.
    """
    given: object = reason
    if (
        not isinstance(given, str)
        or not given.isprintable()
        or not _SHORTEST_REASON <= len(given.strip()) <= len(given) <= _LONGEST_REASON
    ):
        message = (
            "unsafe_raw() needs the reason why the SQL is safe: one line of "
            f"{_SHORTEST_REASON} to {_LONGEST_REASON} characters"
        )
        raise ConfigurationError(message)
    frame = sys._getframe(1)  # noqa: SLF001 - there is no public way to the caller.
    module = str(frame.f_globals.get("__name__"))
    if not _is_top(frame):
        message = (
            f"unsafe_raw() is declared at the top of a module, not in {frame.f_code.co_qualname} "
            f"({module}:{frame.f_lineno}): what a function declares is not known before it runs"
        )
        raise ConfigurationError(message)
    made = UnsafeRaw(reason, module=module, file=frame.f_code.co_filename, line=frame.f_lineno)
    _DECLARED.add(made)
    return made


def _is_top(frame: FrameType | None) -> bool:
    """Tell whether a frame is that of a module, or of a class in one."""
    while frame is not None and frame.f_code.co_name != "<module>":
        if frame.f_code.co_flags & inspect.CO_OPTIMIZED:
            return False
        frame = frame.f_back
    # Text that exec() runs has no file that anybody could look up.
    return frame is not None and not frame.f_code.co_filename.startswith("<")


def declared() -> list[UnsafeRaw]:
    """Return every declaration of the modules that are loaded."""
    return sorted(_DECLARED, key=lambda each: (each.module, each.line, each.reason))


class RawRules:
    """What one isolation has to say about SQL text.

    Args:
        events: Where each block is recorded.
        refusals: Where refusals are recorded.
        held: What holds the text of a block.

    Attributes:
        held: ``nothing``, ``row-level security`` with what it does not know, or ``unverified``.
    """

    def __init__(self, events: EventLog, refusals: Refusals, *, held: str) -> None:
        self.events = events
        self.held = held
        self._refusals = refusals
        self._listed: frozenset[UnsafeRaw] | None = None

    def seal(self, listed: Iterable[UnsafeRaw]) -> None:
        """Let nothing through but what is declared until now, and so was listed at the start."""
        self._listed = frozenset(listed)

    def require_listed(self, made: UnsafeRaw, tenant_id: TenantId) -> None:
        """Return if a declaration was made before the start.

        Raises:
            OpaqueSQLError: It was made later.
        """
        if self._listed is not None and made not in self._listed:
            error = OpaqueSQLError(
                f"the unsafe_raw() of {made.module}:{made.line} was declared after the start: "
                "import that module where the application is made",
                reason="tenancy.raw_undeclared",
            )
            raise self._refusals.record(error, tenant_id=tenant_id)


def _running() -> object:
    """Return the task that is running, the event loop if a callback of it is, or None."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return asyncio.current_task(loop) or loop


class RawBlocks:
    """The open blocks of one session."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: tuple[RawBlock, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._open)

    def find(self) -> RawBlock | None:
        """Return the innermost block around the running code, if there is one."""
        return next((block for block in reversed(self._open) if block.is_around()), None)

    def add(self, block: RawBlock) -> None:
        """Open a block."""
        self._open = (*self._open, block)

    def remove(self, block: RawBlock) -> None:
        """Close a block, whichever it is."""
        self._open = tuple(each for each in self._open if each is not block)


class RawBlock:
    """The context in which a session takes SQL text; a declaration makes it, once each.

    Args:
        made: What was declared.
        session: The session.
        rules: What its isolation has to say.
    """

    def __init__(self, made: UnsafeRaw, session: RawSession, rules: RawRules) -> None:
        self._made = made
        self.session = session
        self._rules = rules
        self._frame: FrameType | None = None
        self._runs: object = None
        self._used = ""
        self._statements = 0
        self._fingerprints: dict[str, None] = {}

    def __enter__(self) -> Self:
        """Open the block.

        Raises:
            RuntimeError: It was opened before.
        """
        if self._used:
            message = "a block of unsafe_raw() is used once: ask the declaration for another"
            raise RuntimeError(message)
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no public way.
        while frame is not None and frame.f_globals.get("__name__") == "contextlib":
            # An ExitStack opens it for the function that calls the stack.
            frame = frame.f_back
        self._frame = frame
        self._runs = _running()
        if frame is not None:
            self._used = f"{frame.f_globals.get('__name__')}:{frame.f_lineno}"
        self.session.raw_blocks.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the block and record it, if it has let something through."""
        self.session.raw_blocks.remove(self)
        self._frame = self._runs = None
        self._report()

    def is_around(self) -> bool:
        """Tell whether the function that has opened the block is running.

        A generator that is suspended, another task and another thread are not inside of the block.
        """
        opened = self._frame
        # A task may run above the frame of the function: in a loop that this has started.
        if opened is None or _running() is not self._runs:
            return False
        context: Any = getcurrent()
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no public way.
        while True:
            while frame is not None:
                if frame is opened:
                    return True
                frame = frame.f_back
            # An AsyncSession runs its statements in a greenlet below the task.
            context = context.parent
            if context is None:
                return False
            frame = context.gr_frame

    def note(self, statement: str) -> None:
        """Count SQL text that is let through."""
        self._statements += 1
        if len(self._fingerprints) < _FINGERPRINTS:
            digest = hashlib.sha256(statement.encode(errors="surrogatepass")).hexdigest()
            self._fingerprints[digest[:_FINGERPRINT_DIGITS]] = None
        if self._statements == _STATEMENTS_OF_AN_EVENT:
            self._report()

    def _report(self) -> None:
        if not self._statements:
            return
        made = self._made
        details = {
            "why": made.reason,
            "declared": f"{made.module}:{made.line}",
            "used": self._used,
            "tenant": self.session.tenant_id,
            "statements": str(self._statements),
            "fingerprints": ",".join(self._fingerprints),
            "held_by": self._rules.held,
        }
        self._statements = 0
        self._fingerprints.clear()
        self._rules.events.emit(
            "tenancy.raw_sql",
            scope=self.session.info.get(SCOPE_KEY),
            reason="tenancy.raw_sql",
            details=details,
        )
