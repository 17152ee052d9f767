"""An identity provider for developing: on this machine only, without passwords, with a new key each time.

A connection to one is refused unless `base_url` is on loopback (its entity id begins with
`DEV_IDP_PREFIX`).
"""

from .app import make_app
from .encryption import read_encryption_certificate
from .identity_provider import DevIdP
from .messages import Manner
from .people import PEOPLE, Person
from .server import listen, make_idp_server, serve

__all__ = [
    "PEOPLE",
    "DevIdP",
    "Manner",
    "Person",
    "listen",
    "make_app",
    "make_idp_server",
    "read_encryption_certificate",
    "serve",
]
