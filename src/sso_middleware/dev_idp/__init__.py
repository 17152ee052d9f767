"""An identity provider for developing: on this machine only, without passwords, with a new key each time.

A connection to one is refused unless `base_url` is on loopback (its entity id begins with
`DEV_IDP_PREFIX`).
"""

from .app import make_app
from .identity_provider import DevIdP
from .people import PEOPLE, Person
from .server import listen, make_idp_server, serve

__all__ = ["PEOPLE", "DevIdP", "Person", "listen", "make_app", "make_idp_server", "serve"]
