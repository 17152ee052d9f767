"""`SSOMiddleware(app)` picks the shell that fits the app.

The two shells are real classes, since servers look at `iscoroutinefunction(app.__call__)`.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, overload

from .asgi import ASGIApp, ASGIMiddleware, StartRefused
from .errors import ConfigurationError
from .hooks import Hooks
from .settings import Settings
from .sso import SSO
from .wsgi import WSGIMiddleware

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class SSOMiddleware:
    """Wrap a WSGI or ASGI app; what comes back is a `WSGIMiddleware` or an `ASGIMiddleware`.

    `settings` is a `Settings`, or a mapping, or None for the environment and `sso.toml`; keyword
    arguments win over both. Raises ConfigurationError with everything that is wrong, and TypeError if
    the app's kind can't be told: then use one of the two classes by name (with `SSO(settings, hooks)`).
    """

    @overload
    def __new__(  # type: ignore[misc]  # it never makes one of its own
        cls,
        app: ASGIApp,
        /,
        settings: Settings | Mapping[str, Any] | None = None,
        *,
        hooks: Hooks | None = None,
        **options: Any,
    ) -> ASGIMiddleware: ...

    @overload
    def __new__(  # type: ignore[misc]  # it never makes one of its own
        cls,
        app: WSGIApplication,
        /,
        settings: Settings | Mapping[str, Any] | None = None,
        *,
        hooks: Hooks | None = None,
        **options: Any,
    ) -> WSGIMiddleware: ...

    def __new__(  # type: ignore[misc]  # it never makes one of its own
        cls,
        app: Any,
        /,
        settings: Settings | Mapping[str, Any] | None = None,
        *,
        hooks: Hooks | None = None,
        **options: Any,
    ) -> ASGIMiddleware | WSGIMiddleware:
        shell = ASGIMiddleware if is_asgi(app) else WSGIMiddleware
        if isinstance(settings, Settings) and options:
            raise TypeError("give either a Settings or single options, not both")
        try:
            loaded = settings if isinstance(settings, Settings) else Settings.load(settings, **options)
            return shell(app, SSO(loaded, hooks or Hooks()))
        except ConfigurationError as error:
            if shell is ASGIMiddleware and _is_inside_a_loop():
                return StartRefused(error)
            raise


def _is_inside_a_loop() -> bool:
    """Whether the server runs already, so that an exception here would reach nobody who reads it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def is_asgi(app: object) -> bool:
    """Whether this is an ASGI app: by its coroutine `__call__`, else by its number of parameters."""
    if isinstance(app, type) or not callable(app):
        raise TypeError(_unclear(app))
    plain: Any = app
    while isinstance(plain, functools.partial):
        plain = plain.func
    if inspect.iscoroutinefunction(plain) or inspect.iscoroutinefunction(type(plain).__call__):
        return True
    count = _positional_parameters(app)
    if count not in (2, 3):
        raise TypeError(_unclear(app))
    return count == 3


def _positional_parameters(app: Any) -> int | None:
    """How many positional arguments the app must be given; None if it doesn't say."""
    try:
        parameters = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):
        return None
    kinds = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return len(kinds)


def _unclear(app: object) -> str:
    kind = "a class" if isinstance(app, type) else f"a {type(app).__name__}"
    return (
        f"can't tell whether {kind} is an ASGI app (scope, receive, send) or a WSGI app (environ, start_response):"
        " wrap it in sso_middleware.ASGIMiddleware or sso_middleware.WSGIMiddleware by name"
    )
