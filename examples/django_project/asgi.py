"""The ASGI entry point. Single sign-on's settings: SSO_* variables, or sso.toml in the current directory.

uvicorn django_project.asgi:application
"""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

from sso_middleware import SSOMiddleware

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_project.settings")

application = SSOMiddleware(get_asgi_application())
