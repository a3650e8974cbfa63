"""The pages from what they show: the HTML page is one file with its style and its scripts, and loads nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from mnist_zoo import __version__
from mnist_zoo.plots.tables import escape, markdown
from mnist_zoo.report.every_run import every_run
from mnist_zoo.report.terms import TERMS, explanation, identifier, linked

REFRESH = 10  # seconds after which a live page loads itself again
STYLE = "report.css"
SCRIPTS = (
    "page.js",
    "tables.js",
    "charts.js",
    "plots.js",
    "drawn.js",
    "images.js",
    "runs.js",
    "live.js",
)  # in this order


def render(content: dict[str, Any], data: dict[str, Any]) -> dict[str, str]:
    """Return ``report.html`` and ``report.md``.

    Args:
        content: for the templates.
        data: for the scripts of the HTML page; numbers, texts, lists and objects.
    """
    environment = Environment(
        loader=PackageLoader("mnist_zoo.report"),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"md": escape, "linked": linked, "identifier": identifier}
    environment.globals["explanation"] = explanation
    style, script = _text(STYLE), '"use strict";\n' + "\n".join(_text(name) for name in SCRIPTS)
    content = content | {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "version": __version__,
        "terms": TERMS,
        "style": Markup(style),  # files of this package
        "script": Markup(script),
        "runs": every_run(data),
        "policy": _policy(style, script),
        "refresh": REFRESH,
        "data": embedded(data | {"refresh": REFRESH if content["live"] else 0}),
        "markdown": markdown,
        "cells": lambda rows: [[escape(cell) for cell in row] for row in rows],
    }
    return {name: environment.get_template(f"{name}.j2").render(content) for name in ("report.md", "report.html")}


def _text(name: str) -> str:
    return (files("mnist_zoo.report") / "templates" / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Return a content-security policy that allows this style, this script and images within the page, and no more."""
    own = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in (style, script)]
    rest = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'"
    return f"{rest}; style-src {own[0]}; script-src {own[1]}"


def embedded(data: object) -> Markup:
    """Return data as JSON that cannot end the element it stands in."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
