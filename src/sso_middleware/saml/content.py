"""Content models, as a DTD writes them, made into automata: which children an element may have, in which order.

`(saml:Issuer ds:Signature?)? samlp:Status`: names, with ? * + | ( ). Each name in the text is a place;
the children are followed from place to place (Glushkov's construction). As XML demands of a DTD, a name
never leads to two places, so that no look ahead and no way back is needed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Place:
    """Where one stands after a child, or before the first."""

    may_end: bool = False
    next: dict[str, Place] = field(default_factory=dict)
    """By the name of the next child."""


@dataclass(slots=True, eq=False)
class _Piece:
    """A part of a model: what may come first in it and last, and whether it may be left out."""

    first: dict[str, Place]
    last: list[Place]
    may_be_left_out: bool


def read_model(model: str) -> Place:
    """The place before the first child. Raises ValueError if a name leads to two places."""
    tokens = re.findall(r"[^\s()?*+|]+|[()?*+|]", model)
    piece = _read_choice(tokens)
    start = Place(piece.may_be_left_out, piece.first)
    for place in piece.last:
        place.may_end = True
    return start


def _read_choice(tokens: list[str]) -> _Piece:
    piece = _read_sequence(tokens)
    while tokens and tokens[0] == "|":
        tokens.pop(0)
        other = _read_sequence(tokens)
        piece = _Piece(
            _join(piece.first, other.first), piece.last + other.last, piece.may_be_left_out or other.may_be_left_out
        )
    return piece


def _read_sequence(tokens: list[str]) -> _Piece:
    whole = _Piece({}, [], may_be_left_out=True)
    while tokens and tokens[0] not in ("|", ")"):
        piece = _read_repeated(tokens)
        _connect(whole.last, piece.first)
        whole = _Piece(
            _join(whole.first, piece.first) if whole.may_be_left_out else whole.first,
            whole.last + piece.last if piece.may_be_left_out else piece.last,
            whole.may_be_left_out and piece.may_be_left_out,
        )
    return whole


def _read_repeated(tokens: list[str]) -> _Piece:
    first = tokens.pop(0)
    if first == "(":
        piece = _read_choice(tokens)
        tokens.pop(0)
    else:
        place = Place()
        piece = _Piece({first: place}, [place], may_be_left_out=False)
    often = tokens.pop(0) if tokens and tokens[0] in ("?", "*", "+") else ""
    if often in ("*", "+"):
        _connect(piece.last, piece.first)
    return _Piece(piece.first, piece.last, piece.may_be_left_out or often in ("?", "*"))


def _connect(places: list[Place], first: dict[str, Place]) -> None:
    for place in places:
        place.next = _join(place.next, first)


def _join(one: dict[str, Place], other: dict[str, Place]) -> dict[str, Place]:
    if any(one[name] is not other[name] for name in one.keys() & other.keys()):
        raise ValueError("a name leads to two places")
    return one | other
