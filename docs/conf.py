"""How Sphinx builds the pages: ``script/docs``, warnings as errors. They read as well where they lie."""

from __future__ import annotations

import sipframe

project = "sipframe"
author = "The sipframe developers"
release = version = sipframe.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinxcontrib.mermaid"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"sipframe {release}"

myst_heading_anchors = 4  # a forge makes headings the targets of links; so does this
myst_fence_as_directive = ["mermaid"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
suppress_warnings = [
    "ref.python"
]  # words about an argument, in Annotated[...], are taken for names of many things
