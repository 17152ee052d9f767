"""A dictionary in bounded memory, that forgets what was not asked for longest: of what anybody can make us remember.

Two generations in place of a list by age: no walk, and no lock, which a fork could leave held. Threads
share it: the worst that two at once can do is to forget something, or to remember it a little longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class _Young(dict[K, V]):
    """What was put or found lately; what is missing here may be among what was put or found before."""

    __slots__ = ("find_old",)
    find_old: Callable[[K], V | None]

    def __missing__(self, key: K) -> V | None:
        return self.find_old(key)


class Bounded(Generic[K, V]):
    """Holds at most twice `most` of what was put or found last."""

    __slots__ = ("_most", "_old", "_young", "get")

    def __init__(self, most: int) -> None:
        self._most = most
        self._young: _Young[K, V] = _Young()
        self._young.find_old = self._find_old
        self._old: dict[K, V] = {}
        self.get: Callable[[K], V | None] = self._young.__getitem__
        """The value, or None. A dictionary's own look-up, since requests wait for it."""

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def _find_old(self, key: K) -> V | None:
        value = self._old.get(key)
        if value is not None:
            self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        young = self._young
        if len(young) >= self._most and key not in young:
            self._old = dict(young)
            young.clear()
        young[key] = value

    def pop(self, key: K) -> V | None:
        young = self._young.pop(key, None)  # first: at any moment another thread may make the young the old
        old = self._old.pop(key, None)
        return young or old

    def values(self) -> Iterator[V]:
        """All of them as they are now; one that is held twice comes twice."""
        yield from list(self._young.values())
        yield from list(self._old.values())

    def clear(self) -> None:
        self._young.clear()
        self._old = {}
