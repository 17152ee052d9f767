"""How a fault that nobody expected is told in the log: by where it happened, never by its own text.

An exception of somebody else's may quote anything: a URL with a token in it, an attribute, a key.
"""

from __future__ import annotations

import traceback


def stack_of(error: BaseException) -> str:
    """The lines of code that it went through, the last one last."""
    return "".join(traceback.format_tb(error.__traceback__)).rstrip()
