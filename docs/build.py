"""Build the documentation as a site that opens offline: python docs/build.py [FOLDER]   (needs pip install '.[docs]').

The guides, which are Markdown files, and the API reference, from the docstrings, are pages of pdoc in one look, with
one search over both. Every ``docs/*.md`` becomes a page; `GUIDES` only says where it stands in the list.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import re
import shutil
import sys
import types
import warnings
from pathlib import Path
from typing import Any

from mnist_zoo import __version__ as version
from mnist_zoo.command import one_line_errors
from mnist_zoo.errors import install_command

ROOT = Path(__file__).resolve().parents[1]
# The guides in the order of the list beside each page. A file of docs/ that is not named here comes last.
GUIDES = {
    "Start": (
        *("README.md", "docs/first_run.md", "docs/run_folder.md", "docs/course.md", "docs/shell.md", "docs/faq.md"),
    ),
    "Your own": ("docs/own_model.md", "docs/data.md", "docs/parts.md"),
    "Networks": (
        *("docs/models.md", "docs/describe.md", "docs/classical.md", "docs/pretraining.md", "docs/transfer.md"),
        *("docs/predict.md", "docs/draw.md"),
    ),
    "Compare": (
        *("docs/sweeps.md", "docs/statistics.md", "docs/terms.md", "docs/versus.md"),
        *("docs/reproduce.md", "docs/papers.md", "results/README.md", "results/records.md"),
    ),
    "Measure": ("docs/robustness.md", "docs/speed.md", "benchmarks/results.md", "benchmarks/photos.md"),
    "Inside": ("docs/architecture.md", "CONTRIBUTING.md", "CHANGELOG.md"),
}
# The pages of the API. The first one has the public names; the others have what users call, subclass or read about.
MODULES = (
    "mnist_zoo",
    "mnist_zoo.models",
    "mnist_zoo.data",
    "mnist_zoo.training.run",
    "mnist_zoo.speed",
    "mnist_zoo.inference.predict",
    "mnist_zoo.inference.digitise",
    "mnist_zoo.inference.export",
    "mnist_zoo.weights",
    "mnist_zoo.runs",
    "mnist_zoo.errors",
)
TEMPLATES = ROOT / "docs" / "template"
HEADING = re.compile(r'^<h([1-3]) id="([^"]+)">(.*?)</h\1>$', re.MULTILINE)
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")


def groups() -> dict[str, tuple[str, ...]]:
    """Return the guides of each group of the list, with those that `GUIDES` does not name."""
    named = {path for paths in GUIDES.values() for path in paths}
    others = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
    more = tuple(path for path in others if path not in named)
    return GUIDES | ({"More": more} if more else {})


def page_name(path: str) -> str:
    """Return the name of a guide's page: ``guides.sweeps`` for ``docs/sweeps.md``, ``index`` for the README."""
    if path == "README.md":
        return "index"
    folder, _, file = path.rpartition("/")
    stem = file.removesuffix(".md").lower()
    return f"guides.{stem}" if folder in ("", "docs") else f"guides.{folder}_{stem}"


def address(name: str, seen_from: str) -> str:
    """Return the relative address of a page, as a page with another name links it."""
    return "../" * seen_from.count(".") + name.replace(".", "/") + ".html"


def text_of(path: str, copied: set[str]) -> str:
    """Return the Markdown of a guide for the site: without comments, and with links to other pages of the site.

    Args:
        path: of the guide, from the root of the repository.
        copied: gets the paths of linked files that are no pages; they belong below ``files/`` of the site.
    """
    pages = {path: page_name(path) for paths in groups().values() for path in paths}
    own = page_name(path)

    def rewritten(match: re.Match[str]) -> str:
        target, mark, anchor = match[2].partition("#")
        if not target or re.match(r"\w+:", target):
            return match[0]
        named = os.path.relpath(ROOT / Path(path).parent / target, ROOT)
        if named in pages:
            return f"[{match[1]}]({address(pages[named], own)}{mark}{anchor})"
        copied.add(named)
        return f"[{match[1]}]({'../' * own.count('.')}files/{named})"

    text = re.sub(r"^<!--.*?-->\n", "", (ROOT / path).read_text(), flags=re.MULTILINE | re.DOTALL)
    return LINK.sub(rewritten, text)


def guide_page(path: str, copied: set[str]) -> Any:
    """Return a guide as pdoc's documentation of a module. Its sections are members, so that the search finds each."""
    import pdoc.doc
    from pdoc.render_helpers import to_html

    name, text = page_name(path), text_of(path, copied)
    module = types.ModuleType(name)
    module.__docformat__ = "markdown"  # type: ignore[attr-defined]
    page: Any = pdoc.doc.Module(module)
    page.source_file = ROOT / path  # pdoc puts the images that are named from here into the page
    page.text = text
    _, _, _, page.title, intro, *rest = HEADING.split(str(to_html(text)))
    page.docstring = _as_markdown(intro)
    page.members = {}
    for anchor, title, body in zip(rest[1::4], rest[2::4], rest[3::4], strict=True):
        section: Any = pdoc.doc.Variable(name, anchor, taken_from=(name, anchor), docstring=_as_markdown(body))
        section.fullname = f"{page.title}: {title}"  # the search shows it
        page.members[anchor] = section
    page.fullname = name
    return page


def _as_markdown(html: str) -> str:
    """Return HTML as Markdown that stays as it is, without images: the search needs none."""
    return f"<div>\n{re.sub('<img[^>]*>', '', html).strip()}\n</div>"


def build(folder: Path) -> None:
    """Write the site to a folder. A docstring or annotation that pdoc cannot interpret raises an error."""
    try:
        import pdoc.doc
        import pdoc.extract
        import pdoc.render
    except ImportError:
        sys.exit(f"error: the documentation needs pdoc, which is not installed: {install_command('docs')}")
    pdoc.render.configure(
        docformat="google", show_source=False, footer_text=f"mnist_zoo {version}", template_directory=TEMPLATES
    )
    folder.mkdir(parents=True, exist_ok=True)  # before the time for the pages is spent
    _load_public_names()
    copied: set[str] = set()
    with warnings.catch_warnings(action="error"):
        named = {group: [guide_page(path, copied) for path in paths] for group, paths in groups().items()}
        pages = {page.modulename: page for guides in named.values() for page in guides}
        pages |= {name: pdoc.doc.Module.from_name(name) for name in pdoc.extract.walk_specs(MODULES)}
        reference = [(name, name) for name in MODULES]
        listed = {group: [(page.modulename, page.title) for page in guides] for group, guides in named.items()}
        listed["Start"][0] = ("index", "Overview")
        pdoc.render.env.globals |= {"listed": listed | {"API": reference}, "address": address, "dark": _dark_code()}
        for name, page in pages.items():
            file = folder / f"{name.replace('.', '/')}.html"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(pdoc.render.html_module(page, pages), encoding="utf-8")
        (folder / "search.js").write_text(pdoc.render.search_index(pages), encoding="utf-8")
    for path in copied:
        target = folder / "files" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / path).is_file():
            shutil.copy(ROOT / path, target)


def _load_public_names() -> None:
    """Import the modules first: warnings of other packages during their import are not errors."""
    for name in MODULES:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            setattr(module, public, getattr(module, public))  # pdoc does not find names that load lazily
            _hide_hooks(getattr(module, public))


def _hide_hooks(public: object) -> None:
    """Hide methods without a docstring: Lightning calls them and documents them."""
    if isinstance(public, type):
        for name, member in vars(public).items():
            if inspect.isfunction(member) and not member.__doc__:
                member.__doc__ = "Takes the arguments above." if name == "__init__" else "@private"


def _dark_code() -> str:
    """Return the colours of code on a dark page, as CSS."""
    from pygments.formatters import HtmlFormatter

    return HtmlFormatter(style="github-dark").get_style_defs(".pdoc-code")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python docs/build.py", description="Build the documentation as a site.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "site", help="where to write (default: site)")
    target = parser.parse_args().folder
    with one_line_errors():
        build(target)
        print(f"wrote {target / 'index.html'}")
