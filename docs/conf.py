"""How the site is made: python -m sphinx -W --keep-going docs site."""

import shutil
from pathlib import Path

import optax_stepping

HERE = Path(__file__).parent
# Sphinx reads below its own folder only.
for folder in ("notebooks", "benchmarks"):
    shutil.copytree(
        HERE.parent / folder,
        HERE / "copied" / folder,
        ignore=lambda _, names: [n for n in names if not n.endswith((".ipynb", ".md", ".png"))],
        dirs_exist_ok=True,
    )

project = "optax-stepping"
version = release = optax_stepping.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = project
exclude_patterns = ["README.md"]
autosummary_generate = True
autodoc_typehints = "none"
napoleon_use_ivar = True
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
# The notebooks bring their outputs along.
nb_execution_mode = "off"
