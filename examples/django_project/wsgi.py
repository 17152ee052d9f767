"""The WSGI entry point. Single sign-on's settings: SSO_* variables, or sso.toml in the current directory.

gunicorn django_project.wsgi:application
"""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

from sso_middleware import SSOMiddleware

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_project.settings")

application = SSOMiddleware(get_wsgi_application())
