"""A dictionary in bounded memory, that forgets what was not asked for longest: of what anybody can make us remember.

Two generations in place of a list by age: dropping the older one takes no walk and no lock, which a
fork could leave held. Threads share it: each step is one of the interpreter's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Bounded(Generic[K, V]):
    """Holds at most twice `most` of what was put or found last."""

    __slots__ = ("_most", "_old", "_young")

    def __init__(self, most: int) -> None:
        self._most = most
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: K) -> V | None:
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        if len(self._young) >= self._most and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def pop(self, key: K) -> V | None:
        old = self._old.pop(key, None)
        return self._young.pop(key, None) or old

    def values(self) -> Iterator[V]:
        """All of them as they are now; one that is held twice comes twice."""
        yield from list(self._young.values())
        yield from list(self._old.values())

    def clear(self) -> None:
        self._young, self._old = {}, {}
