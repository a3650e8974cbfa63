"""The course: its notebooks are those of its sources, its checks tell right from wrong, and its lessons run."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

COURSE = Path(__file__).parents[1] / "notebooks/course"


def module(name: str):
    """Return a module of the course, whose folder is no package."""
    specification = importlib.util.spec_from_file_location(f"course_{name}", COURSE / f"{name}.py")
    loaded = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = loaded
    specification.loader.exec_module(loaded)
    return loaded


build, checks = module("build"), module("checks")
LESSONS = [path.stem for path in build.SOURCES]
EXERCISES = 3  # a lesson
both = pytest.mark.parametrize("solved", [False, True], ids=["exercises", "solution"])
by_lesson = pytest.mark.parametrize("lesson", LESSONS)


def source(lesson: str) -> Path:
    return COURSE / "source" / f"{lesson}.py"


def cells(notebook: dict, kind: str) -> list[dict]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def verdicts(notebook: dict) -> list[str]:
    """Return what the checks printed: correct, or not yet."""
    texts = [
        "".join(output["text"])
        for cell in cells(notebook, "code")
        if "".join(cell["source"]).startswith("checks.")
        for output in cell["outputs"]
    ]
    return [re.match(r"\w+: (correct|not yet)", text)[1] for text in texts]


@both
@by_lesson
def test_a_notebook_is_committed_with_its_outputs(lesson, solved):
    committed = json.loads(build.place(source(lesson), solved).read_text())
    expected = build.notebook(source(lesson), solved)
    assert ["".join(cell["source"]) for cell in committed["cells"]] == [cell["source"] for cell in expected["cells"]], (
        f"python notebooks/course/build.py {lesson}"
    )
    code = cells(committed, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    kinds = {(output["output_type"], output.get("name")) for cell in code for output in cell["outputs"]}
    assert not kinds & {("error", None), ("stream", "stderr")}, "no errors, no warnings"
    assert not re.search(r"/(tmp|home|root|work|Users|usr|opt)/", json.dumps([cell["outputs"] for cell in code]))
    assert "It raises" not in json.dumps(committed), "an exercise that is not begun gets its hint"
    assert verdicts(committed) == ["correct" if solved else "not yet"] * EXERCISES


@by_lesson
def test_a_lesson_and_its_solution_differ_in_the_exercises_only(lesson):
    open_, solved = (cells(build.notebook(source(lesson), each), "code") for each in (False, True))
    different = [a["source"] for a, b in zip(open_, solved, strict=True) if a["source"] != b["source"]]
    assert len(different) == EXERCISES + 1, "the first cell of a solution finds checks.py"
    assert all("..." in text for text in different[1:]) and not any(
        "..." in cell["source"].replace("...,", "") for cell in solved
    )


def test_an_unknown_lesson_is_named():
    done = subprocess.run([sys.executable, str(COURSE / "build.py"), "6_poems"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("error: no lesson 6_poems; known: 1_data, 2_")


@pytest.mark.slow
@both
@by_lesson
def test_a_notebook_runs_and_its_checks_judge_it(lesson, solved):
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    place = build.place(source(lesson), solved)
    done = build.execute(build.notebook(source(lesson), solved), place.parent)
    assert verdicts(done) == ["correct" if solved else "not yet"] * EXERCISES


def said(capsys, name: str, *answers) -> str:
    getattr(checks, name)(*answers)
    return capsys.readouterr().out


IMAGES = torch.arange(0, 256, dtype=torch.uint8).reshape(4, 1, 8, 8)
LABELS = torch.tensor([3, 3, 1, 9])


def half_softmax(logits):
    powers = logits.exp()
    return powers / powers.sum(1, keepdim=True)


def summed_gradient(logits, labels):
    return logits.softmax(1) - F.one_hot(labels, logits.shape[1])


def flipped(image, kernel):
    return F.conv2d(image[None, None], kernel.flip(0, 1)[None, None])[0, 0]


def same_padding(image, kernel):
    return F.conv2d(image[None, None], kernel[None, None], padding=1)[0, 0]


def simple_interval(correct, count):
    share = correct / count
    half = 1.96 * np.sqrt(share * (1 - share) / count)
    return share - half, share + half


def without_clipping(model, pixels, labels, epsilon):
    gradient = torch.func.grad(lambda images: F.cross_entropy(model(images), labels))(pixels)
    return pixels + epsilon * gradient.sign()


def downwards(model, pixels, labels, epsilon):
    gradient = torch.func.grad(lambda images: F.cross_entropy(model(images), labels))(pixels)
    return (pixels - epsilon * gradient.sign()).clamp(0, 1)


def nearest_image(train_images, train_labels, images):
    return train_labels[torch.cdist(images.float().flatten(1), train_images.float().flatten(1)).argmin(1)]


def largest_product(train_images, train_labels, images):
    means = torch.stack([train_images[train_labels == digit].float().mean(0).flatten() for digit in range(10)])
    return (images.float().flatten(1) @ means.T).argmax(1)


def noise_of_shape(*shape: int, uniform: bool = False):
    """Return an answer that adds noise of another shape, or from another distribution, with the right deviation."""

    def noisy(images, deviation):
        noise = (torch.rand(shape) - 0.5) * 12**0.5 if uniform else torch.randn(shape)
        return (images + deviation * noise).clamp(0, 1)

    return noisy


@pytest.mark.parametrize(
    ("name", "answers", "why"),
    [
        ("brightness", ((IMAGES.float().mean(), IMAGES.float().std()), IMAGES), "not divided by 255"),
        ("class_counts", (torch.bincount(LABELS), LABELS[:3]), "of other labels"),
        ("class_counts", (torch.bincount(LABELS[:3]), LABELS[:3]), "not of all ten digits"),
        ("nearest_mean", (lambda images, labels, new: torch.zeros(len(new)),), "always 0"),
        ("nearest_mean", (nearest_image,), "the nearest image"),
        ("nearest_mean", (largest_product,), "the largest product"),
        ("softmax", (half_softmax,), "overflows"),
        ("softmax", (lambda logits: logits.softmax(0),), "over the wrong dimension"),
        ("loss_gradient", (summed_gradient,), "of the sum"),
        ("backward", (lambda *arguments: arguments[2:],), "the weights themselves"),
        ("convolve", (flipped,), "a flipped kernel"),
        ("convolve", (same_padding,), "another size"),
        ("output_side", (lambda side, kernel, stride, padding: (side + padding - kernel) // stride + 1,), "one border"),
        ("convolution_parameters", (lambda inputs, outputs, kernel: inputs * outputs * kernel**2,), "no biases"),
        ("interval", (simple_interval,), "the simple interval, 1 to 1 for 10 of 10"),
        ("paired_difference", (lambda a, b: (a.mean() - b.mean(), np.hypot(a.std(), b.std())),), "not in pairs"),
        ("selection_bias", (0.0,), "no bias"),
        ("selection_bias", (0.010,), "one trial"),
        ("selection_bias", (0.011,), "one trial"),
        ("fgsm", (without_clipping,), "not clipped"),
        ("fgsm", (downwards,), "the loss falls"),
        ("noisy", (lambda images, deviation: images + deviation * torch.randn_like(images),), "not clipped"),
        ("noisy", (noise_of_shape(50, 1, 28, 28, uniform=True),), "not normal"),
        ("noisy", (noise_of_shape(1, 28, 28),), "the same for all images"),
        ("noisy", (noise_of_shape(50, 1, 1, 1),), "the same for all pixels"),
        ("overconfidence", (lambda logits, labels: logits.softmax(1).amax(1).mean().item(),), "without the accuracy"),
        ("softmax", (lambda logits: logits.nothing,), "raises an error"),
    ],
)
def test_a_wrong_answer_is_told_so(capsys, name, answers, why):
    assert said(capsys, name, *answers).startswith(f"{name}: not yet. "), why
