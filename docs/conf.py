"""Sphinx configuration; build with: sphinx-build -W docs docs/_build/html."""

import sys
from pathlib import Path

import pyomo_j3o

sys.path.insert(0, str(Path(__file__).parent))

project = "pyomo_j3o"
author = "pyomo_j3o developers"
copyright = "pyomo_j3o developers"
version = release = pyomo_j3o.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_design",
    "page_scripts",
]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
# Tables are parts of other pages, written by the commands docs/make_*_table.py.
exclude_patterns = ["_build", "*_table.md", "experiments/results/*"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = "pyomo_j3o"
html_static_path = ["_static"]
html_css_files = ["site.css"]
