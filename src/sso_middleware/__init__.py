"""Wrap any WSGI or ASGI app in `SSOMiddleware`, and it has enterprise SAML 2.0 single sign-on."""

from .asgi import ASGIMiddleware
from .errors import ConfigurationError, SSOError
from .events import Event
from .hooks import Continue, Hooks, HostUser, Identity, Link, RecoveryAccess, Reject, RoleAssignment, SignedInByHost
from .mail import Mail
from .middleware import SSOMiddleware
from .principal import Principal, current_principal
from .settings import ConnectionSettings, Settings
from .sso import SSO
from .wsgi import WSGIMiddleware

__all__ = [
    "SSO",
    "ASGIMiddleware",
    "ConfigurationError",
    "ConnectionSettings",
    "Continue",
    "Event",
    "Hooks",
    "HostUser",
    "Identity",
    "Link",
    "Mail",
    "Principal",
    "RecoveryAccess",
    "Reject",
    "RoleAssignment",
    "SSOError",
    "SSOMiddleware",
    "Settings",
    "SignedInByHost",
    "WSGIMiddleware",
    "current_principal",
]
