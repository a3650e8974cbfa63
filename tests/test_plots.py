"""Plots: style, tables, predictions, TensorBoard, configurations, data sets, and the command ``explore``."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from mnist_zoo import create_model, explore, list_models, plots
from mnist_zoo.confidence import Calibration, calibration
from mnist_zoo.data import Batches, ImageSet, MNISTDataModule, register_dataset
from mnist_zoo.errors import InputError
from mnist_zoo.plots import embedding, exploration
from mnist_zoo.plots.images import confusion_matrix, image_grid
from mnist_zoo.plots.reliability import reliability
from mnist_zoo.plots.search import restyle
from mnist_zoo.plots.style import COLOURS, STYLE, drawn_as, duration, look, style
from mnist_zoo.plots.tables import markdown
from mnist_zoo.plots.tensorboard import log_figures, log_graph
from mnist_zoo.report import figures


@register_dataset("halves")
def halves(root: Path) -> ImageSet:
    """Two classes of 60 images: the upper or the lower half is bright."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    images = rng.integers(0, 60, (120, 28, 28)).astype(np.uint8)
    images[labels == 0, :14] += 180
    images[labels == 1, 14:] += 180
    return ImageSet(images, labels, images[:20], labels[:20], ("above", "below"))


@pytest.fixture
def data() -> MNISTDataModule:
    return MNISTDataModule("halves", val_size=20, augment={"shift": 0.2})


# -- style and tables ------------------------------------------------------------------------------------------------


DURATIONS = [
    (0.3351, "0.335 s"),
    (9.99, "9.99 s"),
    (18.4, "18 s"),
    (119, "119 s"),
    (204, "3.4 min"),
    (7199, "120.0 min"),
    (7560, "2.1 h"),
]


@pytest.mark.parametrize(("seconds", "text"), DURATIONS)
def test_a_duration_has_a_readable_unit(seconds, text):
    assert duration(seconds) == text


def test_the_first_28_series_look_different():
    assert len({look(index) for index in range(28)}) == 28
    assert {look(index)[0] for index in range(7)} == set(COLOURS)


def test_the_style_ends_with_its_block():
    before = matplotlib.rcParams["grid.color"]
    with style():
        assert matplotlib.rcParams["grid.color"] == STYLE["grid.color"] != before
    assert matplotlib.rcParams["grid.color"] == before


def test_a_configuration_looks_the_same_in_every_plot_of_a_report():
    with style(["cnn lr=1", "mlp", "cnn lr=2"]):
        alone, line = drawn_as(["mlp"])["mlp"], drawn_as(["cnn", "mlp"])
        found = reliability({"mlp": calibration(np.eye(2), np.array([0, 1]))}).axes[0].lines[1]
    assert alone.colour == line["mlp"].colour == found.get_color() == COLOURS[1]
    assert line["cnn"].colour == COLOURS[0], "several learning rates of a model have its colour"
    assert drawn_as(["mlp"])["mlp"].colour == COLOURS[0], "outside of a report, the first is blue"


def test_plots_of_optuna_have_the_style_of_ours():
    import optuna
    from optuna.visualization import matplotlib as drawn

    study = optuna.create_study(direction="maximize")
    for value in (0.9, 0.95):
        distribution = {"lr": optuna.distributions.FloatDistribution(0, 1)}
        trial = optuna.trial.create_trial(
            params={"lr": value}, distributions=distribution, value=value, intermediate_values={1: value}
        )
        study.add_trial(trial)
    plots = {
        "history": (drawn.plot_optimization_history, "trial", "validation accuracy (fraction)"),
        "curves": (drawn.plot_intermediate_values, "epoch", "validation accuracy (fraction)"),
        "slices": (drawn.plot_slice, "lr", "validation accuracy (fraction)"),
    }
    before = dict(matplotlib.rcParams)
    for name, (draw, x, y) in plots.items():
        with style(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            axis = draw(study)
            restyle(axis.figure, name)
        assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_title()) == (x, y, "")
        assert matplotlib.colors.to_hex(axis.get_facecolor()) == "#ffffff"
        assert {matplotlib.colors.to_hex(line.get_color()).upper() for line in axis.lines} <= set(COLOURS)
        plt.close(axis.figure)
    assert dict(matplotlib.rcParams) == before, "Optuna's style ends with the block"


def test_a_markdown_table_escapes_bars():
    assert markdown(["a", "b"], [[1, "x|y"]]) == ["| a | b |", "| --- | --- |", "| 1 | x\\|y |"]


def test_plots_imports_no_other_room():
    allowed = ("mnist_zoo.plots", "mnist_zoo.confidence", "mnist_zoo.errors", "mnist_zoo.files", "mnist_zoo.runs")
    for path in Path(plots.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text())
        for block in [node for node in tree.body if isinstance(node, ast.If)]:  # if TYPE_CHECKING
            tree.body.remove(block)
        modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        ours = [module for module in modules if module.startswith("mnist_zoo")]
        assert all(module.startswith(allowed) for module in ours), f"{path.name} imports {ours}"


# -- predictions -----------------------------------------------------------------------------------------------------


def test_a_grid_shows_every_image_below_its_caption():
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 4, 4), np.uint8)
    (axis,) = image_grid(images, ["a", "b\ntrue: c", "d"], [False, True, False], columns=2).axes
    for image, shown, text, caption in zip(images, axis.images, axis.texts, ["a", "b\ntrue: c", "d"], strict=True):
        left, right, bottom, top = shown.get_extent()
        x, y = text.get_position()
        assert text.get_text() == caption and left < x < right and y < top < bottom, "y grows downwards"
        assert (np.asarray(shown.get_array()) == image[0]).all()
    first, second, third = (shown.get_extent() for shown in axis.images)
    assert first[1] < second[0] and first[2] < third[3] and first[:2] == third[:2], "no image covers another"
    assert axis.texts[0].get_color() != axis.texts[1].get_color(), "errors have another colour"


def test_a_confusion_matrix_shows_every_count_above_0():
    axis = confusion_matrix(np.array([[8, 0], [3, 9]]), ["cat", "dog"]).axes[0]
    assert {text.get_position(): text.get_text() for text in axis.texts} == {(0, 0): "8", (0, 1): "3", (1, 1): "9"}
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("predicted class", "true class")


def test_the_reliability_diagram_has_one_line_per_network():
    measured = Calibration(np.array([0.6, 0.9]), np.array([1.0, 0.5]), np.array([2, 2]), ece=0.4)
    upper, lower = reliability({"mlp": measured, "cnn": measured}).axes
    assert [line.get_label() for line in upper.lines] == ["perfect", "mlp: ECE 40.00 %", "cnn: ECE 40.00 %"]
    assert upper.lines[1].get_xydata().tolist() == [[0.6, 1.0], [0.9, 0.5]]
    assert [bar.get_height() for bar in lower.patches] == [2, 2]


def test_tensorboard_shows_the_confusion_matrix_predictions_and_errors():
    class Writer(dict):
        def add_figure(self, tag, figure):
            self[tag] = figure

    labels = np.arange(200) % 10
    logits = np.eye(10, dtype=np.float32)[labels]
    logits[3] = logits[4]  # a 3 is taken for a 4
    writer = Writer()
    log_figures(writer, np.zeros((200, 1, 28, 28), np.uint8), labels, logits, [str(digit) for digit in range(10)])
    assert list(writer) == ["test/confusion_matrix", "test/predictions", "test/errors"]
    assert [text.get_text() for text in writer["test/errors"].axes[0].texts] == ["4\ntrue: 3"]
    assert "4\ntrue: 3" in [text.get_text() for text in writer["test/predictions"].axes[0].texts]


def graph_of(folder: Path) -> list[str]:
    """Return the names of the operations in the graphs that TensorBoard would show."""
    events = EventAccumulator(str(folder), size_guidance={"graph": 0}).Reload()
    return [node.name for node in events.Graph().node]


@pytest.mark.parametrize("name", ["mlp", "cnn_dropout", "cnn_batchnorm"])
def test_tensorboard_shows_the_graph_of_a_network_and_leaves_it_as_it_was(tmp_path, name):
    model = create_model(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    writer = SummaryWriter(tmp_path)
    log_graph(writer, model, (1, 28, 28))
    writer.close()
    assert len(graph_of(tmp_path)) > 5
    assert model.training and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models())
def test_every_network_has_a_graph(tmp_path, name):
    writer = SummaryWriter(tmp_path)
    log_graph(writer, create_model(name), (1, 28, 28))
    writer.close()
    assert len(graph_of(tmp_path)) > 5


def test_a_network_without_a_graph_is_a_warning(tmp_path, capsys):
    class Untraceable(torch.nn.Module):
        def forward(self, x):
            raise RuntimeError("no such shape\nwith details")

    writer = SummaryWriter(tmp_path)
    with pytest.warns(UserWarning, match="does not show the network's graph, which cannot be traced: no such shape$"):
        log_graph(writer, Untraceable(), (1, 28, 28))
    writer.close()
    assert capsys.readouterr().out == ""


# -- configurations (mnist_zoo.report.figures) ----------------------------------------------------------------------


def test_the_correlations_are_pearsons_and_a_constant_row_has_none():
    predicted = np.array([[0, 1, 2, 3], [0, 1, 3, 2], [5, 5, 5, 5]])
    classes, errors = figures.correlations(predicted, np.array([0, 1, 2, 3]), ["a", "b", "c"]).axes[:2]
    nan = np.nan  # of "a", which has no errors, and of "c", which predicts one class and is always wrong
    shown = np.asarray(classes.images[0].get_array().filled(nan))
    assert shown == pytest.approx(np.array([[1, 0.8, nan], [0.8, 1, nan], [nan, nan, 1]]), nan_ok=True)
    assert np.asarray(errors.images[0].get_array().filled(nan)) == pytest.approx(
        np.array([[1, nan, nan], [nan, 1, nan], [nan, nan, 1]]), nan_ok=True
    )
    assert figures.correlations(predicted[:1], predicted[0], ["a"]) is None, "one network"


def test_an_accuracy_axis_shows_accuracies_on_a_log_scale_of_errors():
    axis = Figure().subplots()
    axis.plot([1, 2], [0.4, 9.0])
    figures.accuracy_axis(axis, images=10_000)
    low, high = axis.get_ylim()
    assert low > high, "the best models are at the top"
    assert [axis.yaxis.get_major_formatter()(error) for error in (0.5, 10)] == ["99.5", "90"]


# -- data sets -------------------------------------------------------------------------------------------------------


def test_class_counts_are_bars(data):
    axis = exploration.class_counts(data).axes[0]
    assert [bar.get_height() for bar in axis.patches] == [50, 50, 10, 10, 10, 10]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["above", "below"]


def test_samples_are_the_first_images_of_each_class(data):
    (axis,) = exploration.samples(data, per_class=3).axes
    assert [text.get_text() for text in axis.texts] == ["above"] * 3 + ["below"] * 3
    images, labels = data.images("train").numpy(), data.labels("train").numpy()
    assert (np.asarray(axis.images[4].get_array()) == images[labels == 1][1, 0]).all()


def test_the_mean_image_of_a_class_is_its_mean(data):
    (axis,) = exploration.mean_images(data).axes
    images, labels = data.images("train").numpy(), data.labels("train").numpy()
    assert axis.texts[0].get_text() == "above"
    assert np.asarray(axis.images[0].get_array()) == pytest.approx(images[labels == 0, 0].mean(axis=0) / 255)


def test_augmented_rows_begin_with_the_original_image(data):
    batches = Batches(data.images("train")[:2], data.labels("train")[:2], 2, seed=data.seed, augment=data.augment)
    (axis,) = exploration.augmented(batches, data.class_names, columns=5).axes
    shown = [np.asarray(image.get_array()) for image in axis.images]
    assert len(shown) == 2 * 5
    original = data.images("train")[0, 0].numpy() / 255
    assert shown[0] == pytest.approx(original)
    assert all(np.abs(other - original).max() > 0.1 for other in shown[1:5]), "another shift in each epoch"


def test_tsne_separates_classes_that_pixels_separate(data, capsys):
    chosen, positions = embedding.embed(data.images("train").numpy(), 60)
    assert positions.shape == (60, 2) and len(set(chosen)) == 60
    labels = data.labels("train").numpy()[chosen]
    centres = np.stack([positions[labels == c].mean(axis=0) for c in (0, 1)])
    nearest = np.linalg.norm(positions[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == labels).mean() > 0.95
    assert "t-SNE of 60 images" in capsys.readouterr().out, "it takes long, so it reports its progress"


@pytest.mark.parametrize("count", [9, 101])
def test_a_wrong_number_of_images_is_refused(data, count):
    with pytest.raises(InputError, match=f"--tsne {count}: choose from 10 to 100 images"):
        exploration.tsne(data, count)


def test_many_images_need_opentsne(data, monkeypatch):
    monkeypatch.setattr(embedding, "SCIKIT_LEARN_LIMIT", 50)
    monkeypatch.setattr(embedding.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs openTSNE: pip install '"):
        exploration.tsne(data, 60)


@pytest.mark.slow
def test_opentsne_shows_its_progress(data, monkeypatch, capsys):
    pytest.importorskip("openTSNE")
    monkeypatch.setattr(embedding, "SCIKIT_LEARN_LIMIT", 50)
    _, positions = embedding.embed(data.images("train").numpy(), 60)
    assert positions.shape == (60, 2)
    assert "  50 iterations" in capsys.readouterr().out


# -- the command -----------------------------------------------------------------------------------------------------


def test_the_command_writes_every_plot(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["explore", "data=mnist5k", "--tsne", "100", "--out", str(tmp_path)])
    explore.main()
    names = ["class_counts", "samples", "augmented", "mean_images", "tsne"]
    assert {path.stem for path in tmp_path.glob("*.png")} == set(names)
    printed = capsys.readouterr().out
    assert "mnist5k: 3,667 train, 333 val, 1,000 test" in printed
    assert all(f"{tmp_path / name}.png" in printed for name in names)
    assert printed.endswith("next: python -m mnist_zoo data=mnist5k\n")


REFUSED = [  # arguments, the error
    (["data=mnst"], "error: unknown data 'mnst'; did you mean mnist"),
    (["data=custom", "data.name=halves", "--out", __file__], f"error: cannot write to {__file__} (File exists)"),
    (["data=custom", "data.name=halves", "--out", ""], "error: --out is empty: name a folder"),
    (["data=custom", "data.name=halves", "--tsne", "-3"], "error: --tsne -3: choose from 10 to "),
    (["data=custom", "data.name=halves", "--tsne", "6000"], "error: --tsne 6000: choose from 10 to "),
]


@pytest.mark.parametrize(
    ("arguments", "message"), REFUSED, ids=["data", "out", "empty out", "negative tsne", "large tsne"]
)
def test_an_error_is_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["explore", *arguments])
    with pytest.raises(SystemExit) as stopped:
        explore.main()
    assert stopped.value.code == 1
    printed = capsys.readouterr().err
    assert printed.startswith(message) and printed.count("\n") == 1
    assert not list(tmp_path.rglob("*.png")), "nothing is drawn before the error"


@pytest.mark.filterwarnings("default")
def test_without_the_files_the_fallback_is_drawn_with_a_warning_of_one_line(tmp_path, monkeypatch, capsys):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.MNIST", offline)
    root, out = tmp_path / "nothing", tmp_path / "out"
    monkeypatch.setattr("sys.argv", ["explore", f"data.root={root}", "--tsne", "0", "--out", str(out)])
    explore.main()
    said = capsys.readouterr()
    assert said.err.startswith("warning: MNIST is not in") and said.err.count("\n") == 1
    assert "continuing with data=mnist5k" in said.err and "mnist5k: 3,667 train" in said.out


def test_a_full_disk_is_one_line(tmp_path, monkeypatch, capsys):
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    arguments = ["data=custom", "data.name=halves", "--tsne", "0", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["explore", *arguments])
    with pytest.raises(SystemExit) as stopped:
        explore.main()
    said = capsys.readouterr().err
    assert stopped.value.code == 1 and said.count("\n") == 1 and "No space left on device" in said


def test_a_dollar_sign_in_a_name_is_no_formula():
    image = np.zeros((1, 1, 4, 4), np.uint8)
    figure = image_grid(image, ["$x$"])
    figure.canvas.draw()
    assert figure.axes[0].texts[0].get_text() == r"\$x\$"


@pytest.mark.parametrize(
    ("costs", "values", "front"),
    [
        ([3, 1, 2], [9, 5, 7], [1, 2, 0]),
        ([1, 2, 3], [9, 5, 9], [0]),  # as good at a higher cost is beaten
        ([1, 1, 2], [5, 7, 8], [1, 2]),
        ([np.nan, 2, 1], [9, 5, 1], [2, 1]),
        ([], [], []),
    ],
)
def test_the_pareto_front_is_what_no_other_one_beats_in_both(costs, values, front):
    assert figures.pareto_front(np.array(costs, float), np.array(values, float)) == front
