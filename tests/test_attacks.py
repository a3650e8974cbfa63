"""Attacks: each against an independent implementation on the same network, and what they promise by themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mnist_zoo import MNISTDataModule, evaluate_model
from mnist_zoo.adversary import random_start, step
from mnist_zoo.errors import InputError
from mnist_zoo.robustness.attacks import loss_gradient, rises
from mnist_zoo.robustness.images import Images, in_batches
from mnist_zoo.robustness.subject import Subject, read_subject

# Attacks are compared on images of the training set here: what counts is that two implementations agree.
IMAGES = 60


@pytest.fixture(scope="module")
def subject() -> Subject:
    return read_subject("mlp", torch.device("cpu"))[0]


@pytest.fixture(scope="module")
def images() -> Images:
    data = MNISTDataModule("mnist5k")
    labels = data.labels("test")[:IMAGES].clone()
    labels[:3] = (labels[:3] + 1) % 10  # wrong without attack
    return Images.of((data.images("test")[:IMAGES], labels))


@pytest.fixture(scope="module")
def batch(images) -> tuple[torch.Tensor, torch.Tensor]:
    ((_, pixels, labels),) = in_batches(images.test, images.test_labels, torch.device("cpu"))
    return pixels, labels


def measure(subject, images, name, **options):
    """Return the outcome of a test on the network of a subject."""
    return evaluate_model(subject.network, images, on=[name], options={name: options})[name]


# -- against foolbox and the adversarial robustness toolbox ----------------------------------------------------------


def test_fgsm_breaks_the_images_that_foolbox_breaks(subject, images, batch):
    foolbox = pytest.importorskip("foolbox")
    epsilons = [0.05, 0.1, 0.2, 0.3]
    theirs = foolbox.PyTorchModel(subject.network, bounds=(0, 1))
    broken = foolbox.attacks.LinfFastGradientAttack(random_start=False)(theirs, *batch, epsilons=epsilons)[2]
    ours = measure(subject, images, "fgsm", epsilons=epsilons)
    assert ours.arrays["correct"].tolist() == (~broken).tolist()
    assert 0.1 < ours.values["accuracy"][1] < 0.9, "else the comparison says nothing"


@pytest.mark.parametrize(("norm", "attack", "epsilon"), [("linf", "LinfPGD", 0.1), ("l2", "L2PGD", 1.5)])
def test_the_steps_of_pgd_are_those_of_foolbox(subject, batch, norm, attack, epsilon):
    """From the same start, because random starts differ."""
    foolbox = pytest.importorskip("foolbox")
    pixels, labels = batch
    theirs = getattr(foolbox.attacks, attack)(steps=7, rel_stepsize=0.3, random_start=False)
    found, _, _ = theirs(foolbox.PyTorchModel(subject.network, bounds=(0, 1)), pixels, labels, epsilons=epsilon)
    attacked = pixels
    for _ in range(7):
        attacked = step(attacked, loss_gradient(subject, attacked, labels)[0], pixels, 0.3 * epsilon, epsilon, norm)
    assert torch.allclose(attacked, found, atol=1e-5)
    assert (attacked - pixels).abs().max() > 0.05


@pytest.mark.parametrize(("name", "attack", "epsilon"), [("pgd", "LinfPGD", 0.08), ("pgd_l2", "L2PGD", 1.2)])
def test_pgd_is_as_strong_as_foolbox(subject, images, batch, name, attack, epsilon):
    foolbox = pytest.importorskip("foolbox")
    theirs = getattr(foolbox.attacks, attack)(steps=20, rel_stepsize=2.5 / 20)
    broken = theirs(foolbox.PyTorchModel(subject.network, bounds=(0, 1)), *batch, epsilons=epsilon)[2]
    ours = measure(subject, images, name, epsilons=[epsilon], steps=20).values["accuracy"][0]
    expected = (~broken).double().mean().item()
    assert 0.1 < expected < 0.9, "else the comparison says nothing"
    assert abs(ours - expected) <= 3 / IMAGES


@pytest.mark.slow  # importing the toolbox takes seconds
def test_square_is_as_strong_as_that_of_the_toolbox(subject, images, batch):
    art = pytest.importorskip("art.attacks.evasion")
    from art.estimators.classification import PyTorchClassifier

    queries, epsilon = 200, 0.15
    classifier = PyTorchClassifier(
        subject.network, nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0, 1), device_type="cpu"
    )
    np.random.seed(0)  # the toolbox draws from it
    attack = art.SquareAttack(classifier, norm=np.inf, eps=epsilon, max_iter=queries, p_init=0.8, verbose=False)
    pixels, labels = batch
    attacked = torch.from_numpy(attack.generate(pixels.numpy(), labels.numpy()))
    expected = (subject.logits(attacked).argmax(1) == labels).double().mean().item()
    found = measure(subject, images, "square", epsilons=[epsilon], queries=queries).values["accuracy"][0]
    assert 0.1 < expected < 0.9, "else the comparison says nothing"
    assert abs(found - expected) <= 6 / IMAGES


# -- what they promise by themselves ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.2), ("l2", 2.0)])
def test_attacked_images_stay_in_the_ball_and_are_images(batch, norm, epsilon):
    pixels = batch[0]
    start = random_start(pixels, epsilon, norm, torch.Generator().manual_seed(0))
    moved = step(start, torch.randn_like(pixels), pixels, 3 * epsilon, epsilon, norm)
    for attacked in (start, moved):
        change = (attacked - pixels).flatten(1)
        length = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
        assert length.max() <= epsilon * (1 + 1e-5)
        assert length.max() > 0.5 * epsilon
        assert attacked.min() >= 0 and attacked.max() <= 1


@pytest.mark.parametrize("name", ["fgsm", "pgd", "pgd_l2", "square"])
def test_images_that_are_wrong_without_attack_count_as_wrong(subject, images, name):
    options = {"epsilons": [0.0, 0.05]} | ({"queries": 5} if name == "square" else {})
    clean = evaluate_model(subject.network, images, on=["clean"])["clean"]
    outcome = measure(subject, images, name, **options)
    assert outcome.values["clean_accuracy"] == clean.values["accuracy"] < 1
    assert outcome.arrays["correct"].shape == (2, IMAGES)
    assert outcome.arrays["correct"][0].tolist() == clean.arrays["correct"].tolist(), "epsilon 0 changes nothing"
    assert not (outcome.arrays["correct"][1] & ~clean.arrays["correct"]).any()


def test_a_network_that_takes_no_empty_batches_is_attacked(images):
    """All images of the only batch are wrong, so that none is left to be attacked."""

    class Constant(nn.Module):
        def forward(self, pixels):
            return pixels.view(len(pixels), -1)[:, :10] * 0 + torch.tensor([0.0] * 9 + [1.0])

    others = Images.of((images.test[:4], torch.zeros(4).long()))
    for name in ("fgsm", "pgd", "pgd_l2", "square"):
        assert evaluate_model(Constant(), others, on=[name])[name].values["accuracy"][0] == 0, name


def test_a_step_without_length_stays_where_it_is(batch):
    still = torch.zeros_like(batch[0])
    assert torch.equal(step(batch[0], still, batch[0], 0.0, 0.0, "l2"), batch[0])


def test_restarts_and_steps_make_pgd_stronger(subject, images):
    weak = measure(subject, images, "pgd", epsilons=[0.1], steps=2)
    steps = measure(subject, images, "pgd", epsilons=[0.1], steps=20)
    both = measure(subject, images, "pgd", epsilons=[0.1], steps=20, restarts=3)
    assert weak.values["accuracy"][0] > steps.values["accuracy"][0] >= both.values["accuracy"][0]


@pytest.mark.parametrize("name", ["pgd", "square", "masking"])
def test_the_seed_decides(subject, images, name):
    options = {"pgd": {"epsilons": [0.1], "steps": 1}, "square": {"epsilons": [0.15], "queries": 20}}.get(name, {})
    first, same, other = (measure(subject, images, name, **options, seed=seed).arrays["correct"] for seed in (0, 0, 1))
    assert (first == same).all() and (first != other).any()


def test_masked_gradients_are_reported(subject, images):
    """Logits so large that the loss is flat: gradients vanish, and attacks by gradients seem to fail."""

    class Steep(nn.Module):
        def forward(self, pixels):
            return (subject.network(pixels) * 1e6).clamp(max=1e30)

    options = {"pgd": {"epsilons": [0.3]}, "square": {"epsilons": [0.3], "queries": 100}}
    found = evaluate_model(Steep(), images, on=["pgd", "square"], options=options)
    assert any("with epsilon 1" in sign for sign in found["pgd"].values["signs"])
    assert found["square"].values["signs"] == ["Square is stronger than PGD at epsilon 0.3"]
    honest = evaluate_model(subject.network, images, on=["pgd", "square"], options=options)
    assert [outcome.values["signs"] for outcome in honest.values()] == [[], []]


def test_steps_too_small_to_cross_an_image_are_no_sign_of_masked_gradients(subject, images):
    """With epsilon 1 an attack may replace the whole image, but not with two steps of 0.001."""
    values = measure(subject, images, "pgd", epsilons=(0.1,), steps=2, step_size=0.001).values
    assert values["accuracy_at_1"] > 0.05 and values["signs"] == []


@pytest.mark.parametrize(
    ("accuracy", "signs"),
    [([0.9, 0.5, 0.1], 0), ([0.5, 0.51, 0.5], 0), ([0.9, 0.5, 0.6], 1)],
)
def test_a_larger_epsilon_that_is_weaker_is_a_sign(accuracy, signs):
    assert len(rises((0.1, 0.2, 0.3), accuracy)) == signs


def test_masking_zeroes_the_given_share(images):
    class Share(nn.Module):
        """Class 1 if between a quarter and a third of the values are 0, else class 0."""

        def forward(self, pixels):
            share = (pixels == 0).double().flatten(1).mean(1)
            inside = ((share > 0.25) & (share < 1 / 3)).float()
            return torch.stack([1 - inside, inside], 1)

    white = (torch.full((20, 1, 28, 28), 255, dtype=torch.uint8), torch.ones(20).long())
    outcome = evaluate_model(Share(), white, on=["masking"], options={"masking": {"shares": [0.0, 0.29, 0.6]}})
    assert outcome["masking"].values["accuracy"] == [0.0, 1.0, 0.0]


def test_a_network_without_gradients_is_named(images):
    class Counts(nn.Module):
        def forward(self, pixels):
            return (pixels > 0.5).float().flatten(1)[:, :10]

    with pytest.raises(InputError, match="Counts has no gradients with respect to its images"):
        evaluate_model(Counts(), images, on=["fgsm"])


def test_memory_stays_bounded(images):
    """However many images there are, the network gets them in batches."""
    seen = []

    class Counter(nn.Module):
        def forward(self, pixels):
            seen.append(len(pixels))
            return pixels.flatten(1)[:, :10]

    many = (images.test.repeat(30, 1, 1, 1), images.test_labels.repeat(30))
    options = {"pgd": {"steps": 1, "images": None}, "fgsm": {"images": None}}
    evaluate_model(Counter(), many, on=["clean", "masking", "fgsm", "pgd"], options=options)
    assert max(seen) <= 500 < len(many[0])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fgsm", {"epsilons": [1.5]}, "epsilons=1.5: it must be from 0 to 1"),
        ("pgd", {"epsilons": [-0.1]}, "epsilons=-0.1: it must be from 0 to 1"),
        ("pgd_l2", {"epsilons": [101]}, "epsilons=101: it must be from 0 to 100"),
        ("pgd", {"epsilons": []}, "it must be a list of numbers"),
        ("pgd", {"epsilons": 0.3}, "it must be a list of numbers"),
        ("pgd", {"epsilons": [0.3, 0.1]}, "the numbers must ascend"),
        ("pgd", {"epsilons": ["x"]}, "it must be a number"),
        ("pgd", {"steps": 0}, "steps=0: it must be from 1"),
        ("pgd", {"steps": 2.5}, "it must be an integer"),
        ("pgd", {"restarts": 0}, "restarts=0"),
        ("pgd", {"step_size": 0}, "step_size=0: it must be from"),
        ("square", {"queries": 0}, "queries=0"),
        ("square", {"first_share": 0}, "first_share=0"),
        ("square", {"epsilon": [0.1]}, "unknown option 'epsilon'; did you mean epsilons?"),
        ("masking", {"shares": [1.1]}, "shares=1.1: it must be from 0 to 1"),
        ("masking", {"split": "train"}, "unknown split 'train'"),
        ("clean", {"split": "val"}, "no validation split"),
    ],
)
def test_values_out_of_range_are_refused_in_one_line(subject, images, name, options, message):
    with pytest.raises(InputError, match=message) as caught:
        measure(subject, images, name, **options)
    assert len(str(caught.value).splitlines()) == 1
