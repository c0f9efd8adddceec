"""How Sphinx builds the site, from what `docs.site` has laid out for it.

Sphinx is not imported here, so that the type checkers need none of it.
"""

from __future__ import annotations

import os
import re
import sys
from inspect import getsource, isclass, isroutine
from typing import Any

import usagestream

project = "usagestream"
author = "the usagestream developers"
version = release = os.environ.get("USAGESTREAM_DOCS_VERSION", usagestream.__version__)
html_title = f"usagestream {version}"
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_heading_anchors = 4
myst_links_external_new_tab = False
nitpicky = False
default_role = "py:obj"  # what stands in backticks in a docstring is a name, where there is one
suppress_warnings = ["ref.python"]  # a name that several classes have is not looked for any further

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
maximum_signature_line_length = 80
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_theme_options: dict[str, Any] = {"top_of_page_buttons": []}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "version.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
templates_path = ["_templates"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_show_sphinx = False


def setup(app: Any) -> None:
    """Let autodoc read every class where it is written, and show it where it is imported from."""
    _bring_back()
    app.connect("autodoc-process-signature", _without_fields)
    app.connect("missing-reference", _through_the_door)


def _bring_back() -> None:
    """Let each name of the door say where its source is: what is written there is looked up."""
    for name in usagestream.__all__:
        thing: Any = getattr(usagestream, name)
        if isclass(thing) or isroutine(thing):
            thing.__module__ = _home(thing)


def _home(thing: Any) -> str:
    """Give the module that a class or function is written in, whatever it says itself."""
    written = re.compile(rf"^(class|def) {thing.__name__}\b", re.MULTILINE)
    for name, module in list(sys.modules.items()):
        is_here = name.startswith("usagestream_") and vars(module).get(thing.__name__) is thing
        if is_here and written.search(getsource(module)):
            return name
    return str(thing.__module__)


def _without_fields(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str, returns: str
) -> tuple[str, str | None] | None:
    """What a model's fields are is listed below it; a protocol is not made by calling it."""
    is_protocol = getattr(obj, "_is_protocol", False)
    if what == "class" and (is_protocol or hasattr(obj, "model_fields")):
        return "", None
    return None


def _through_the_door(app: Any, environment: Any, node: Any, text: Any) -> Any:
    """Find a name at the door that an annotation names by the module it is written in."""
    target = str(node.get("reftarget", ""))
    parts = target.split(".")
    for at, part in enumerate(parts):
        if part in usagestream.__all__ and node.get("refdomain") == "py":
            full = ".".join(["usagestream", *parts[at:]])
            resolve = environment.get_domain("py").resolve_xref
            return resolve(environment, node["refdoc"], app.builder, "obj", full, node, text)
    return None
