"""Django with its sessions and its auth, in the three ways that people store sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SECRET = "an-only-key-for-the-benchmark-0123456789abcdef"


class DjangoPeers:
    """One configured Django in this process; each app is its WSGI handler with other middleware."""

    BARE = "Django, no session"
    DATABASE = "Django session + auth, database"

    def __init__(self, folder: Path) -> None:
        import django
        from django.conf import settings
        from django.http import HttpRequest, HttpResponse
        from django.urls import path

        def report(request: HttpRequest) -> HttpResponse:
            user = getattr(request, "user", None)
            assert user is None or user.username == "ada"
            return HttpResponse(b"{}", content_type="application/json")

        if not settings.configured:
            settings.configure(
                SECRET_KEY=SECRET,
                ALLOWED_HOSTS=["app.example.com"],
                ROOT_URLCONF=type("urls", (), {"urlpatterns": [path("report", report)]}),
                DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "django.db"}},
                INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
                CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
                USE_TZ=True,
                LOGGING_CONFIG=None,
            )
            django.setup()
            from django.core.management import call_command

            call_command("migrate", verbosity=0)

    def apps(self) -> dict[str, tuple[Any, str]]:
        """Name → (WSGI app, Cookie header)."""
        from django.contrib.auth.models import User

        user, _ = User.objects.get_or_create(username="ada")
        made = {self.BARE: (self._handler([], None), "")}
        for name, engine in (
            (self.DATABASE, "django.contrib.sessions.backends.db"),
            ("Django session + auth, cached_db", "django.contrib.sessions.backends.cached_db"),
            ("Django session + auth, signed cookies", "django.contrib.sessions.backends.signed_cookies"),
        ):
            middleware = [
                "django.contrib.sessions.middleware.SessionMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
            ]
            made[name] = (self._handler(middleware, engine), self._cookie(user, engine))
        return made

    def _handler(self, middleware: list[str], engine: str | None) -> Any:
        from django.core.handlers.wsgi import WSGIHandler
        from django.test import override_settings

        changes: dict[str, Any] = {"MIDDLEWARE": middleware}
        if engine is not None:
            changes["SESSION_ENGINE"] = engine
        with override_settings(**changes):
            return WSGIHandler()

    def _cookie(self, user: Any, engine: str) -> str:
        from importlib import import_module

        from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

        session = import_module(engine).SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        return f"theme=dark; _ga=GA1.1.1234567890.1234567890; sessionid={session.session_key}"
