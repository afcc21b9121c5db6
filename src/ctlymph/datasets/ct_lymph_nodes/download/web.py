"""What every download by HTTP needs: patience, limits, and words for what a server says."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.io.atomic import explained

if TYPE_CHECKING:
    import httpx

_BUSY = {408, 425, 429}
_LONGEST_ANSWER = 16 << 20

Result = TypeVar("Result")
Advance = Callable[[int], None]


class PassingError(Exception):
    """A fault that may be gone at the next try.

    Attributes:
        wait_s: How long the server asked to be left alone; 0 where it did not say.
    """

    def __init__(self, fault: str, wait_s: float = 0.0) -> None:
        super().__init__(fault)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Patience:
    """How often a server is asked, and how long it is waited for.

    Attributes:
        tries: How often, in all.
        first_wait_s: Pause after the first fault; it doubles with each further one.
        longest_wait_s: Longest pause; a server that asks for a longer one is not asked again.
        connect_s: How long a connection may take.
        silent_s: How long a connection may bring nothing. NBIA packs an archive before it sends it.
        sleep: Makes a pause of so many seconds.
    """

    tries: int = 6
    first_wait_s: float = 2.0
    longest_wait_s: float = 300.0
    connect_s: float = 20.0
    silent_s: float = 120.0
    sleep: Callable[[float], None] = time.sleep

    def persist(self, what: str, attempt: Callable[[], Result]) -> Result:
        """Call ``attempt`` until it meets no passing fault.

        Args:
            what: What is wanted from whom, for the message.
            attempt: May raise :class:`PassingError`, or an error of httpx.

        Raises:
            CtlymphError: If the tries are used up; and what ``attempt`` raises of the kind.
        """
        import httpx

        for number in range(self.tries):
            try:
                return attempt()
            except PassingError as error:
                fault, wait_s = str(error), error.wait_s
            except httpx.RequestError as error:
                fault, wait_s = _in_words(error), 0.0
            if wait_s > self.longest_wait_s:
                raise CtlymphError(f"{what}: {fault}, and asks to wait {wait_s:.0f} s; try again then")
            if number + 1 < self.tries:
                self.sleep(max(wait_s, min(self.first_wait_s * 2**number, self.longest_wait_s)))
        raise CtlymphError(f"{what}: {fault}, at the last of {self.tries} tries; try again later")


def new_client(patience: Patience) -> httpx.Client:
    """Return a client that says who it is and does not wait for ever."""
    from importlib.metadata import version

    import httpx

    return httpx.Client(
        # Packed answers would make sizes, limits and ranges ambiguous.
        headers={"User-Agent": f"ctlymph/{version('ctlymph')}", "Accept-Encoding": "identity"},
        timeout=httpx.Timeout(patience.silent_s, connect=patience.connect_s),
        follow_redirects=True,
    )


def check(response: httpx.Response) -> None:
    """Go on if the server serves.

    Raises:
        PassingError: If it is overloaded or at fault.
        CtlymphError: If it refuses; with what it said.
    """
    if response.is_success:
        return
    said = shown(next(response.iter_bytes(1000), b"").decode("utf-8", "replace"))
    fault = f"the server answered {response.status_code}" + (f" ({said})" if said else "")
    if response.status_code in _BUSY or response.is_server_error:
        raise PassingError(fault, _seconds(response.headers.get("Retry-After", "")))
    raise CtlymphError(f"{response.request.url}: {fault}; check what is asked for, or use another source")


def content(response: httpx.Response) -> bytes:
    """Return the body of an answer that should be short.

    Raises:
        CtlymphError: If it is not.
    """
    parts, count = [], 0
    for chunk in response.iter_bytes():
        parts.append(chunk)
        count += len(chunk)
        if count > _LONGEST_ANSWER:
            _refuse_length(response, _LONGEST_ANSWER)
    return b"".join(parts)


def save(response: httpx.Response, path: Path, limit: int, advance: Advance, *, append: bool = False) -> None:
    """Write the body of an answer to a file, as it arrives.

    Args:
        response: The answer, not yet read.
        path: The file.
        limit: Bytes that the file may grow to.
        advance: Told the bytes as they arrive.
        append: Whether the body goes on where the file ends.

    Raises:
        CtlymphError: If the file passes the limit, or cannot be written.
    """
    with explained(path), path.open("ab" if append else "wb") as stream:
        # In pieces as they come: of pieces of a set size, httpx would withhold the last one from a broken connection.
        for chunk in response.iter_raw():
            if stream.tell() + len(chunk) > limit:
                _refuse_length(response, limit)
            stream.write(chunk)
            advance(len(chunk))


def _refuse_length(response: httpx.Response, limit: int) -> NoReturn:
    raise CtlymphError(
        f"{response.request.url} sends more than the {limit / 1e6:.1f} MB that can be meant; use another source"
    )


def _seconds(retry_after: str) -> float:
    """Return the wait that a ``Retry-After`` asks for, in seconds or as a date; 0 where it says neither."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max(0.0, (date - datetime.now(UTC)).total_seconds()) if date.tzinfo else 0.0


def _in_words(error: httpx.RequestError) -> str:
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return "the server was silent for too long"
    if isinstance(error, httpx.ConnectError):
        return f"cannot connect ({shown(error)})"
    return f"the connection broke ({shown(error) or type(error).__name__})"
