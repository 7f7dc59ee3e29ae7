"""Sphinx's settings. `make docs` first gathers the pages into one folder: docs/_site/build.py."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_site"))
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import sphinx.ext.autosummary
import sphinx.ext.napoleon

import flaxact

project = "flaxact"
author = "The flaxact authors"
project_copyright = author
version = release = flaxact.__version__

extensions = [
    "mathml",  # docs/_site/mathml.py
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
# The indexes of other projects are read from the network, so only where it is asked for.
if os.environ.get("FLAXACT_DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "jax": ("https://docs.jax.dev/en/latest", None),
        "flax": ("https://flax.readthedocs.io/en/latest", None),
        "optax": ("https://optax.readthedocs.io/en/latest", None),
    }
    intersphinx_timeout = 20

root_doc = "index"
exclude_patterns = ["files"]  # what pages link to and is no page
highlight_language = "none"
suppress_warnings = ["myst.header"]  # results begin a page's tables at the third level

# Notebooks are run by the tests, not here.
nb_execution_mode = "off"
myst_enable_extensions = ["attrs_inline", "colon_fence", "dollarmath", "html_image"]
myst_fence_as_directive = ["math"]  # as GitHub shows it
myst_heading_anchors = 4
myst_links_external_new_tab = False

add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autosummary_generate = False  # the pages are made by docs/_site/reference.py
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"flaxact {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}

# Summaries end at the end of a sentence.
sphinx.ext.autosummary.WELL_KNOWN_ABBREVIATIONS += ("eq.", "eqs.", "Eq.", "Fig.", "p.")
GoogleDocstring = sphinx.ext.napoleon.GoogleDocstring


def _untyped(docstring: GoogleDocstring) -> tuple[str, list[str]]:
    """A property's text: what stands before its colon is no type, since an annotation says that."""
    lines = docstring._consume_to_end()
    return "", GoogleDocstring(lines, docstring._config).lines()


GoogleDocstring._consume_inline_attribute = _untyped
