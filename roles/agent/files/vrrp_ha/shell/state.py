# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What survives the agent: the epoch, the drained VRIDs, the numbers of the last synchronisation messages of other
members, and the bindings with the wall-clock time of their end.

The epoch grows with every start, so that the authenticator of a binding message is never used twice. Bindings are
packed by the loop in pieces and written by a thread, for a disk may take seconds; a snapshot takes the place of the
last one only when all of it is on disk. Lifetimes count on while the agent or the whole host is down.
"""

from __future__ import annotations

import fcntl
import json
import os
import queue
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from ..core.commons import Heard
from ..core.types import Binding, Instant, packed, text

_MAGIC = b"vrrpha-bindings1"
_HEADER = struct.Struct("!16sQ")  # magic, wall clock in microseconds
_ENTRY = struct.Struct("!BxHHxxQ16s16s")  # VRID, flags, sequence, wall-clock end in microseconds, HoA, CoA
_TRAILER = struct.Struct("!QI")  # number of entries, CRC-32 of all before
_PIECE = 500  # entries packed at a time: well under a millisecond
_BINDINGS, _DRAINED, _HEARD, _EPOCH, _LOCK = "bindings", "drained.json", "heard.json", "epoch", "lock"


class StateError(Exception):
    """The state directory cannot be used; the message says why and what to do."""


class Cache(Protocol):
    """What a snapshot needs of a binding cache."""

    def chunk(self, start: int, limit: int) -> tuple[list[Binding], int | None]:
        """Bindings of at most `limit` places from `start`, and where to go on."""


class StateDirectory:
    """One agent's; it is locked for as long as the object lives."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._file("").mkdir(mode=0o750, parents=True, exist_ok=True)
            self._lock = os.open(self._file(_LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateError(
                f"{path} is in use by another agent: stop that one, or give this one a state_directory of its own"
            ) from None
        except OSError as error:
            raise StateError(
                f"{path} cannot be used: {error.strerror}: make it writable for the agent, or set state_directory"
            ) from None
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="state", daemon=True)
        self._thread.start()
        self.failure: str | None = None  # the last write's, None once one succeeds

    def next_epoch(self) -> int:
        """A number greater than at any start before, also when the directory was lost; on disk before it returns."""
        try:
            last = int(self._file(_EPOCH).read_text("ascii"))
        except (OSError, ValueError):
            last = 0
        epoch = max(last + 1, int(time.time())) & 0xFFFFFFFF
        try:
            self._replace(_EPOCH, [f"{epoch}\n".encode()])
        except OSError as error:
            raise StateError(f"{self.path} cannot be written to: {error.strerror}: the agent needs it") from None
        return epoch

    def drained(self) -> frozenset[int]:
        """The VRIDs that were drained when the agent stopped."""
        try:
            content = json.loads(self._file(_DRAINED).read_text("utf-8"))
            return frozenset(int(vrid) for vrid in content["vrids"])
        except (OSError, ValueError, KeyError, TypeError):
            return frozenset()

    def save_drained(self, vrids: Iterable[int]) -> None:
        """Remember the drained VRIDs; written soon, by the thread."""
        content = json.dumps({"format": 1, "vrids": sorted(vrids)}) + "\n"
        self._jobs.put(lambda: self._replace(_DRAINED, [content.encode()]))

    def heard(self) -> Heard:
        """The number of the last synchronisation message of each other member, by VRID, as far as it is known."""
        try:
            content = json.loads(self._file(_HEARD).read_text("utf-8"))["vrids"]
            return {
                int(vrid): {packed(source): int(number) for source, number in numbers.items()}
                for vrid, numbers in content.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def save_heard(self, heard: Heard) -> None:
        """Remember these numbers; written soon, by the thread."""
        vrids = {vrid: {text(source): number for source, number in numbers.items()} for vrid, numbers in heard.items()}
        content = json.dumps({"format": 1, "vrids": vrids}) + "\n"
        self._jobs.put(lambda: self._replace(_HEARD, [content.encode()]))

    def bindings(self, now: Instant, wall_us: int) -> dict[int, list[Binding]]:
        """The bindings of the last snapshot that still live, by VRID; StateError if it is damaged."""
        try:
            data = self._file(_BINDINGS).read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StateError(f"{self._file(_BINDINGS)} cannot be read: {error.strerror}") from None
        return _unpack(data, now, wall_us)

    def save_bindings(self, caches: Mapping[int, Cache], now: Instant, wall_us: int) -> Iterator[None]:
        """Write a snapshot, one piece for each next(); the thread puts it in place after the last."""
        pieces: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._jobs.put(lambda: self._replace(_BINDINGS, iter(pieces.get, None)))
        offset = wall_us - now
        header = _HEADER.pack(_MAGIC, wall_us)
        checksum = zlib.crc32(header)
        pieces.put(header)
        count = 0
        pack = _ENTRY.pack
        try:
            for vrid, cache in caches.items():
                place: int | None = 0
                while place is not None:
                    found, place = cache.chunk(place, _PIECE)
                    piece = b"".join(
                        pack(vrid, b.flags, b.sequence, max(0, b.expires + offset), b.home_address, b.care_of_address)
                        for b in found
                    )
                    checksum = zlib.crc32(piece, checksum)
                    count += len(found)
                    pieces.put(piece)
                    yield
            pieces.put(_TRAILER.pack(count, checksum))
        finally:
            pieces.put(None)  # without its trailer the thread's file is never believed

    def close(self, patience_s: float = 10.0) -> None:
        """Wait for what is being written, then let go of the directory."""
        self._jobs.put(None)
        self._thread.join(patience_s)
        os.close(self._lock)

    # --- the thread ----------------------------------------------------------------------------------------

    def _work(self) -> None:
        while job := self._jobs.get():
            try:
                job()
                self.failure = None
            except OSError as error:
                self.failure = f"{self.path}: {error.strerror}"

    def _replace(self, name: str, pieces: Iterable[bytes]) -> None:
        temporary = self._file(f".{name}.new")
        complete = True
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        try:
            last = b""
            for piece in pieces:
                last = piece
                view = memoryview(piece)
                while view:
                    view = view[os.write(descriptor, view) :]
            complete = name != _BINDINGS or len(last) == _TRAILER.size  # or the agent died in the middle
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if complete:
            temporary.replace(self._file(name))
            directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def _file(self, name: str) -> Path:
        return Path(self.path, name)


def is_in_use(path: str) -> bool:
    """Whether an agent runs with this state directory."""
    try:
        descriptor = os.open(Path(path, _LOCK), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _unpack(data: bytes, now: Instant, wall_us: int) -> dict[int, list[Binding]]:
    body = len(data) - _HEADER.size - _TRAILER.size
    if body < 0 or body % _ENTRY.size or not data.startswith(_MAGIC):
        raise StateError("the snapshot of the bindings is damaged: wrong size or start")
    end = len(data) - _TRAILER.size
    count, checksum = _TRAILER.unpack_from(data, end)
    if count != body // _ENTRY.size or checksum != zlib.crc32(memoryview(data)[:end]):
        raise StateError("the snapshot of the bindings is damaged: wrong checksum")
    saved_at = _HEADER.unpack_from(data)[1]
    # A clock that went back while the host was off (no battery, no NTP yet) must not lengthen a lifetime.
    elapsed = max(0, wall_us - saved_at)
    result: dict[int, list[Binding]] = {}
    for vrid, flags, sequence, ends, home, care_of in _ENTRY.iter_unpack(data[_HEADER.size : end]):
        remaining = ends - saved_at - elapsed
        if remaining > 0:
            binding = Binding(home, care_of, sequence, flags, Instant(now + remaining))
            result.setdefault(vrid, []).append(binding)
    return result
