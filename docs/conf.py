"""How the site is made: python -m sphinx -W --keep-going docs site."""

import shutil
import typing
from pathlib import Path

import jax

# Types are shown by these names, not as what they stand for.
jax.typing.ArrayLike = typing.NewType("ArrayLike", object)
jax.Array.__qualname__ = "Array"

import optax_stepping  # noqa: E402

HERE = Path(__file__).parent
# Sphinx reads below its own folder only.
for folder in ("notebooks", "benchmarks"):
    shutil.copytree(
        HERE.parent / folder,
        HERE / "copied" / folder,
        ignore=lambda _, names: [n for n in names if not n.endswith((".ipynb", ".md", ".png"))],
        dirs_exist_ok=True,
    )


def setup(app):
    """Links that work in the checkout lead to the copies."""

    def redirect(_app, _name, source):
        for folder in ("notebooks", "benchmarks"):
            source[0] = source[0].replace(f"](../../{folder}/", f"](../copied/{folder}/")

    app.connect("source-read", redirect)


project = "optax-stepping"
version = release = optax_stepping.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = project
html_static_path = ["static"]
html_css_files = ["titles.css"]
templates_path = ["templates"]
autosummary_generate = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
napoleon_use_ivar = True
myst_heading_anchors = 3
# The notebooks bring their outputs along.
nb_execution_mode = "off"
