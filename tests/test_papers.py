"""Results for papers and notebooks: data frames, LaTeX, vector graphics, published numbers and files of users."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from synthetic_runs import write_runs

from mnist_zoo import load_runs
from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.arguments import prepare
from mnist_zoo.hydra_app.plan import job_record
from mnist_zoo.hydra_app.search_space import read_space
from mnist_zoo.report import published, write_report
from mnist_zoo.report.frames import PLAIN
from mnist_zoo.report.paper import WIDTH, escaped, latex, vector_graphics
from mnist_zoo.runs import read_metrics


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return write_runs(tmp_path_factory.mktemp("sweep"), configurations=2, seeds=2, images=200, epochs=2)


def test_a_data_frame_has_a_row_for_each_run_and_the_documented_columns(runs, version_0_1_0):
    frame = load_runs(runs)
    assert len(frame) == 4 and sorted(frame["seed"]) == [0, 0, 1, 1]
    for row in frame.itertuples():
        metrics = read_metrics(Path(row.folder))
        assert (row.val_acc, row.lr, row.model) == (metrics["val_acc"], metrics["lr"], metrics["model"])
    assert set(frame["optimizer"]) == {"adam"} and set(frame["loss"]) == {"cross_entropy"}
    assert set(frame["augment"]) == {"none"}
    documented = set(re.findall(r"``(\w+)``", load_runs.__doc__))
    assert set(frame.columns) == documented and set(PLAIN) < documented
    both = load_runs(runs, version_0_1_0 / "run")
    assert len(both) == 5
    with pytest.raises(InputError, match="there is no folder"):
        load_runs(runs / "none")


def test_latex_is_escaped_and_numbers_are_right():
    table = latex(["label", "test %"], [["lr=0.1 a_b", "99.10 ± 0.02"], ["50 % & more", "-"]], "A_caption")
    assert r"\begin{tabular}{lr}" in table and r"\caption{A\_caption}" in table
    assert r"    lr=0.1 a\_b & 99.10 $\pm$ 0.02 \\" in table and r"50 \% \& more" in table
    assert [table.index(rule) for rule in ("toprule", "midrule", "bottomrule")] == sorted(
        table.index(rule) for rule in ("toprule", "midrule", "bottomrule")
    )
    assert escaped("\\{~^") == r"\textbackslash{}\{\textasciitilde{}\textasciicircum{}"


@pytest.mark.parametrize("width", [4.0, 20.0])
def test_vector_graphics_fit_the_page_and_are_the_same_each_time(width):
    figure = Figure(figsize=(width, 3))
    figure.add_subplot().set_xlabel("learning rate")
    found = vector_graphics(figure)
    assert found["pdf"].startswith(b"%PDF") and found["pdf"] == vector_graphics(figure)["pdf"]
    root = ElementTree.fromstring(found["svg"])
    assert float(root.get("width").removesuffix("pt")) == pytest.approx(72 * min(width, WIDTH), abs=1)
    assert b">learning rate<" in found["svg"], "text stays text"
    assert tuple(figure.get_size_inches()) == (width, 3), "the figure is as it was"


@pytest.mark.slow
def test_a_report_for_a_paper_has_each_plot_and_table_in_each_format(runs, tmp_path):
    write_report([runs], tmp_path / "plain", runs)
    write_report([runs], tmp_path / "paper", runs, for_paper=True)
    plain, paper = (
        {path.relative_to(tmp_path / name).as_posix() for path in (tmp_path / name).rglob("*.*")}
        for name in ("plain", "paper")
    )
    figures = {name.removesuffix(".png") for name in plain if name.endswith(".png")}
    assert figures and {f"{name}.{kind}" for name in figures for kind in ("svg", "pdf")} < paper
    assert plain < paper and any(name.endswith(".tex") for name in paper)
    assert not [name for name in plain if name.endswith((".svg", ".pdf", ".tex"))]


HEADER = "paper,dataset,lr,metric,value,unit,note,zoo_model,zoo_overrides,ours\n"


@pytest.fixture
def own_numbers(monkeypatch):
    monkeypatch.setattr(published, "_FURTHER", [])


def test_published_numbers_of_users_are_compared_as_those_of_the_papers(runs, tmp_path, own_numbers):
    (tmp_path / "my.csv").write_text(HEADER + "mine,mnist,0.001,test_acc,98.70,%,my note,mlp,,\n")
    before = len(published.published_rows())
    published.add_published(tmp_path / "my.csv")
    assert len(published.published_rows()) == before + 1
    row = published.published_rows()[-1]
    assert (row.experiment, row.value, row.half_unit, row.lr) == ("mine", 98.7, pytest.approx(0.005), 0.001)
    page = write_report([runs], tmp_path / "report", runs)
    assert "98.7" in page.with_name("report.md").read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "lacks the column paper: it needs paper, dataset"),
        (HEADER + "mine,mnist,,test_acc,high,%,,mlp,,\n", "line 2: value='high': it must be a number"),
        (HEADER + "mine,mnist,x,test_acc,1,%,,mlp,,\n", "line 2: lr='x': it must be a number"),
        (HEADER + "mine,mnist,,test_acc,1,%,,,,\n", "line 2: zoo_model and metric must not be empty"),
        (HEADER + "mine,mnist,,test_acc,1,%,,mlp,affine,\n", "line 2: zoo_overrides must be words"),
        (HEADER + "mine,mnist\n", "line 2: it must have as many columns as the first line"),
        (None, "No such file"),
    ],
)
def test_a_wrong_file_of_numbers_is_one_line_that_names_it(tmp_path, own_numbers, content, message):
    if content is not None:
        (tmp_path / "my.csv").write_text(content)
    with pytest.raises(InputError, match=message) as error:
        published.add_published(tmp_path / "my.csv")
    assert "my.csv" in str(error.value) and "\n" not in str(error.value)


def test_a_search_space_may_be_a_file_of_the_user(tmp_path):
    (tmp_path / "space.yaml").write_text("overrides: [model=mlp]\nspace:\n  lr: {low: 0.001, high: 0.1, log: true}\n")
    assert read_space(str(tmp_path / "space.yaml"))["space"]["lr"]["log"] is True


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "needs overrides: a list of words|needs space"),
        ("overrides: x\nspace: {lr: {choices: [1]}}", "needs overrides: a list of words such as model=cnn"),
        ("overrides: []", "needs space: settings with choices"),
        ("space: {lr: 5}", r"lr needs choices: \[...\], or low: and high:, not 5"),
        ("space: {lr: {low: 1}}", "lr needs choices"),
        ("a: [", "is no YAML file"),
        (None, "No such file or directory: name a file, or one of dropout"),
    ],
)
def test_a_wrong_search_space_is_one_line_that_names_it(tmp_path, content, message):
    path = tmp_path / "space.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        read_space(str(path))
    assert "space.yaml" in str(error.value) and "\n" not in str(error.value)


def test_an_experiment_may_be_in_a_folder_of_the_user(tmp_path):
    (tmp_path / "experiment").mkdir()
    mine = tmp_path / "experiment/mine.yaml"
    mine.write_text("# @package _global_\nlr: 0.5\nhydra: {sweeper: {params: {model: 'mlp,cnn'}}}\n")
    place = ["--config-dir", str(tmp_path)]
    assert prepare([*place, "experiment=mine", "model=mlp"])[-2:] == ["experiment=mine", "model=mlp"]
    words = prepare(["-m", *place, "experiment=mine", "model=mlp"])
    assert "hydra.sweeper.params=null" in words, "the command line replaces what the experiment sweeps"
    before = job_record(["experiment=mine"], (tmp_path,))
    assert job_record(["experiment=mine"], (tmp_path, tmp_path / "other"))["overrides"] == before["overrides"]


@pytest.mark.slow
def test_a_sweep_notices_a_change_of_the_users_experiment(tmp_path):
    (tmp_path / "conf/experiment").mkdir(parents=True)
    mine = tmp_path / "conf/experiment/mine.yaml"
    line = [sys.executable, "-m", "mnist_zoo", "-m", "--config-dir", "conf", "experiment=mine", "seed=0"]
    line += ["data=mnist5k", "data.train_fraction=0.05", "model=mlp", "epochs=1", "trainer=cpu", "logger=none"]
    said = []
    for rate in (0.5, 0.5, 0.25):
        mine.write_text(f"# @package _global_\nlr: {rate}\n")
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        said.append((done.returncode, done.stdout + done.stderr))
    assert said[0][0] == 0 and "1 to run" in said[0][1], said[0][1]
    assert said[1][0] == 0 and "1 finished" in said[1][1], said[1][1]
    assert said[2][0] == 1 and "lr: 0.5 -> 0.25" in said[2][1], said[2][1]
