"""A Django project as small as it can be, behind single sign-on: see asgi.py and wsgi.py."""
