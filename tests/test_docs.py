"""Documentation: the API reference builds, examples in docstrings run, and pages name only what exists."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import mnist_zoo
from mnist_zoo.hydra_app.arguments import parse_arguments
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.hydra_app.names import register_resolvers
from mnist_zoo.hydra_app.overrides import grid, parse
from results.experiments import OWN

ROOT = Path(__file__).parents[1]
PUBLIC = [name for name in mnist_zoo.__all__ if name != "__version__"]
PAGES = ("README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "mnist_zoo").rglob("*.py")
    if ">>> " in path.read_text()
)


def examples(module: ModuleType) -> list[doctest.DocTest]:
    """Return the examples in a module's docstrings."""
    return [test for test in doctest.DocTestFinder(exclude_empty=True).find(module) if test.examples]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_in_docstrings_run_as_shown(module, own_registries, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mnist_zoo.inference.export.TIMED", 0.01)
    found = examples(importlib.import_module(module))
    assert found, "doctest does not find the examples of this module"
    for test in found:
        lines: list[str] = []
        failed = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=lines.append).failed
        assert not failed, "".join(lines)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_an_example(name):
    assert ">>> " in getattr(mnist_zoo, name).__doc__


# -- the site ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Return the folder of the site, built by the command of the README."""
    pytest.importorskip("pdoc")
    folder = tmp_path_factory.mktemp("docs") / "site"
    line = [sys.executable, str(ROOT / "docs" / "build.py"), str(folder)]
    done = subprocess.run(line, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"wrote {folder / 'index.html'}\n"
    return folder


@pytest.mark.slow
@pytest.mark.xdist_group("site")
class TestSite:
    def test_every_public_name_is_documented(self, site):
        page = (site / "mnist_zoo.html").read_text()
        for name in PUBLIC:
            assert f'<section id="{name}">' in page
        assert 'id="LitClassifier.forward"' in page
        assert 'id="LitClassifier.training_step"' not in page, "Lightning documents its hooks"
        for name in ("data", "training/run", "speed"):
            assert (site / "mnist_zoo" / f"{name}.html").is_file()

    def test_every_guide_is_a_page_that_all_pages_list(self, site):
        for path in sorted((ROOT / "docs").glob("*.md")):
            assert (site / "guides" / f"{path.stem}.html").is_file()
            for page in ("guides/sweeps.html", "mnist_zoo/data.html"):
                assert f'href="../guides/{path.stem}.html"' in (site / page).read_text()

    def test_every_link_leads_to_a_page_and_a_place_on_it(self, site):
        pages = {page: page.read_text() for page in site.rglob("*.html")}
        places = {page: set(re.findall(r'\bid="([^"]+)"', text)) for page, text in pages.items()}
        wrong = []
        for page, text in pages.items():
            for link in re.findall(r'<a [^>]*?href="([^"]+)"', text):
                if re.match(r"\w+:", link) or "${" in link:  # outside, or in the search's program
                    continue
                path, _, anchor = link.partition("#")
                target = (page.parent / path).resolve() if path else page
                if not target.exists() or (anchor and target.suffix == ".html" and anchor not in places[target]):
                    wrong.append(f"{page.relative_to(site)}: {link}")
        assert wrong == []

    def test_it_opens_offline(self, site):
        for page in site.rglob("*.html"):
            loaded = re.findall(r'<(?:script|link|img)[^>]*?(?:src|href)="([^"$]+)', page.read_text())
            assert [address for address in loaded if not address.startswith("data:")] == []

    def test_the_search_finds_sections_of_guides_and_names_of_the_api(self, site):
        found = (site / "search.js").read_text()
        assert "Sweeps, clusters and searches: Resume" in found and "mnist_zoo.predict_images" in found
        assert len(found) < 4_000_000


@pytest.mark.parametrize("page", PAGES)
def test_links_and_paths_in_the_pages_exist(page):
    text = (ROOT / page).read_text()
    links = [(ROOT / page).parent / link for link in re.findall(r"\]\(([^)#:]+)\)", text)]
    paths = [ROOT / path for path in re.findall(r"`((?:mnist_zoo|tests|conf|results|benchmarks|docs)/[\w./-]+)`", text)]
    assert [str(path) for path in links + paths if not path.exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_pages_name_modules_that_exist(page, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    named = set(re.findall(r"python3? -m ([\w.]+)", (ROOT / page).read_text())) - {"pip", "venv", "pytest", "build"}
    assert [name for name in sorted(named) if importlib.util.find_spec(name) is None] == []


def test_the_files_that_the_architecture_page_lists_exist():
    rows = re.findall(r"^\| `(\w+/)` \|(.*)$", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    files = [f"{room}{name}" for room, text in rows for name in re.findall(r"`(\w+\.py)`", text)]
    assert files
    assert [name for name in files if not (ROOT / "mnist_zoo" / name).is_file()] == []


def test_an_option_that_the_build_does_not_know_is_no_folder(tmp_path):
    line = [sys.executable, str(ROOT / "docs" / "build.py"), "--nothing"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and "unrecognized arguments: --nothing" in done.stderr
    assert not any(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    pytest.importorskip("pdoc")
    (tmp_path / "file").touch()
    line = [sys.executable, str(ROOT / "docs" / "build.py"), str(tmp_path / "file" / "site")]
    done = subprocess.run(line, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path / 'file' / 'site'}: ") and done.stderr.count("\n") == 1


def test_without_pdoc_one_line_says_what_to_install(tmp_path):
    (tmp_path / "pdoc.py").write_text("raise ImportError('no pdoc')\n")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    line = [sys.executable, str(ROOT / "docs" / "build.py"), str(tmp_path / "site")]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the documentation needs pdoc, which is not installed: pip install '")
    assert done.stderr.count("\n") == 1


def networks() -> list[str]:
    """Return the names of the library's own networks, which have a file each: other tests register more."""
    return [name for name in mnist_zoo.list_models() if (ROOT / f"conf/model/{name}.yaml").is_file()]


def test_the_readme_is_short_and_counts_right():
    text = (ROOT / "README.md").read_text()
    assert text.count("\n") <= 250
    experiments = {path.stem for path in (ROOT / "conf/experiment").glob("*.yaml")}
    assert f"with {len(networks())} networks" in " ".join(text.split())
    assert f"{len(experiments - {'photo', *OWN})} experiments of papers" in text


def test_the_guide_to_papers_and_the_one_to_models_name_all_of_them():
    papers = (ROOT / "docs/reproduce.md").read_text()
    experiments = {path.stem for path in (ROOT / "conf/experiment").glob("*.yaml")}
    assert sorted(name for name in experiments if f"`{name}`" not in papers) == []
    models = (ROOT / "docs/models.md").read_text()
    assert [name for name in networks() if f"`{name}`" not in models] == []


# -- commands of the pages ---------------------------------------------------------------------------------------------


def blocks(language: str, after: str, page: str = "README.md") -> list[str]:
    """Return the code blocks of a page in a language, from a text on."""
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text[text.index(after) :], re.MULTILINE | re.DOTALL)


def trainings() -> list[str]:
    """Return the pages' commands that train: python -m mnist_zoo, in blocks and in the text."""
    code = "\n".join(block for page in PAGES for block in blocks("bash", "#", page))
    found = re.findall(r"python3? -m mnist_zoo (?!--help)[^&#\n]*", code)
    found += [
        line for page in PAGES for line in re.findall(r"`(python3? -m mnist_zoo [^`]*)`", (ROOT / page).read_text())
    ]
    return sorted({line.strip() for line in found if "<" not in line and "..." not in line and "--" not in line})


@pytest.mark.parametrize("line", trainings())
def test_the_trainings_in_the_pages_compose(line):
    register_resolvers()
    given = parse_arguments(shlex.split(line)[3:]).overrides
    known = [word for word in given if not word.startswith("hydra")]  # plug-ins of launchers are extras
    jobs = grid(parse(known))
    assert jobs
    if any("my_" in word for word in known):
        pytest.skip("parts of a plug-in of the page: tests of plug-ins train with such parts")
    assert compose_config(list(jobs[0]))["model"]["name"]
