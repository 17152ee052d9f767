"""Sphinx configuration. `make docs` builds with every warning an error."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "sso-middleware"
author = "The sso-middleware developers"
copyright = author
release = version = version_of("sso-middleware")

extensions = ["myst_parser", "error_table", "session_table", "decision_table"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_title = f"sso-middleware {release}"
