"""How the documentation is built: ``make docs``."""

import socket
from urllib.parse import urlsplit

from sqlalchemy_imageattach.version import VERSION

project = "SQLAlchemy-ImageAttach"
author = "The SQLAlchemy-ImageAttach contributors"
copyright = f"2026, {author}"
version = release = VERSION

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "figures"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# The reference names what is documented, and where: the path at which an application imports it.
autodoc_default_options = {"show-inheritance": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
add_module_names = False
toc_object_entries_show_parents = "hide"
# A name that applications import from the package is documented there as well as in its own module.
suppress_warnings = ["ref.python"]

# Other projects' pages are linked to where they can be reached: a build without a network must not fail.
_PROJECTS = {"python": "https://docs.python.org/3/", "sqlalchemy": "https://docs.sqlalchemy.org/en/20/"}


def _is_known(url: str) -> bool:
    try:
        return bool(socket.getaddrinfo(urlsplit(url).hostname, 443))
    except OSError:
        return False


intersphinx_mapping = {name: (url, None) for name, url in _PROJECTS.items() if _is_known(url)}

copybutton_prompt_text = r"^\$ |^>>> |^\.\.\. "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"{project} {release}"
