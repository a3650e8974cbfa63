"""Optimizers, schedules, losses and augmentations of the library against independent references."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as vision

from mnist_zoo import LitClassifier, MNISTDataModule, create_model
from mnist_zoo.classifier import LossAndAccuracy
from mnist_zoo.data import mixing, trivial
from mnist_zoo.data.batches import Batches
from mnist_zoo.errors import InputError
from mnist_zoo.losses import build_loss, focal, margin
from mnist_zoo.optim import build_optimizer, build_scheduler
from mnist_zoo.optim.muon import orthogonalised


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def weights(*shapes: tuple[int, ...]) -> list[torch.nn.Parameter]:
    torch.manual_seed(1)
    return [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]


def train(optimizer, parameters, steps: int = 4) -> None:
    """Make steps with gradients that do not depend on the weights."""
    for step in range(steps):
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=draws(step + parameter.numel()))
        optimizer.step()


class TestOptimizers:
    def test_lion_is_algorithm_2_of_the_paper(self):
        (weight,) = weights((5,))
        expected, average = weight.detach().numpy().astype(float).copy(), np.zeros(5)
        optimizer = build_optimizer({"name": "lion", "betas": [0.8, 0.95], "weight_decay": 0.1}, [weight], lr=0.01)
        train(optimizer, [weight])
        for step in range(4):
            gradient = torch.randn(5, generator=draws(step + 5)).numpy().astype(float)
            update = np.sign(0.8 * average + 0.2 * gradient)
            expected -= 0.01 * (update + 0.1 * expected)
            average = 0.95 * average + 0.05 * gradient
        assert weight.detach().numpy() == pytest.approx(expected, abs=1e-6)

    def test_muon_is_torchs_for_hidden_matrices_and_adamw_for_the_others(self):
        """torch's iterates in bfloat16, so that single updates differ in the third digit."""
        shapes = ((8, 20), (8,), (12, 8), (6, 12), (10, 6), (10,))
        ours, theirs = weights(*shapes), weights(*shapes)
        train(build_optimizer({"name": "muon", "weight_decay": 0.1}, ours, lr=0.02), ours)
        hidden, others = [theirs[place] for place in (2, 3)], [theirs[place] for place in (0, 1, 4, 5)]
        muon = torch.optim.Muon(hidden, lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
        adam = torch.optim.AdamW(others, lr=0.02, weight_decay=0.1)
        for optimizer, those in ((muon, hidden), (adam, others)):
            train(optimizer, those)
        moved = weights(*shapes)
        for place, (own, reference, start) in enumerate(zip(ours, theirs, moved, strict=True)):
            tolerance = 0.02 if place in (2, 3) else 1e-5
            assert (own - reference).norm() < tolerance * (reference - start).norm(), place

    def test_muon_treats_kernels_as_matrices(self):
        kernels, matrices = weights((4, 9), (6, 4, 3, 3), (10, 6)), weights((4, 9), (6, 36), (10, 6))
        for these in (kernels, matrices):
            train(build_optimizer({"name": "muon"}, these, lr=0.02), these)
        assert torch.equal(kernels[1].flatten(1), matrices[1])

    @pytest.mark.parametrize("shape", [(7, 5), (5, 7), (6, 6)])
    def test_the_iteration_applies_its_polynomial_to_the_singular_values(self, shape):
        matrix = torch.randn(shape, dtype=torch.float64)
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        values = values / values.norm()
        for _ in range(5):
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        assert torch.allclose(orthogonalised(matrix, 5), left @ values.diag() @ right)
        assert values.min() > 0.3 and values.max() < 1.3

    @pytest.mark.parametrize(
        ("choice", "model", "message"),
        [
            ({"name": "muon"}, "mlp_128", "muon': the network has no hidden weight matrix"),
            ({"name": "muon", "momentum": 1.0}, "mlp", "muon': .*momentum=1.0"),
            ({"name": "lion", "betas": [1.0, 0.9]}, "mlp", "lion': .*out of range"),
            ({"name": "lion", "betas": [0.9]}, "mlp", "lion': betas=.*must have 2 entries"),
            ({"name": "muon", "betas": [0.9, 0.99, 0.9]}, "mlp", "muon': betas=.*must have 2 entries"),
            ({"name": "lion", "beta": 0.9}, "mlp", "unknown option of optimizer 'lion' 'beta'; did you mean betas"),
        ],
    )
    def test_what_they_refuse_is_one_line(self, choice, model, message):
        with pytest.raises(InputError, match=message):
            build_optimizer(choice, create_model(model).parameters(), lr=0.1)


def test_warm_up_and_cosine_meet_at_the_learning_rate():
    (weight,) = weights((1,))
    optimizer = torch.optim.SGD([weight], lr=0.4)
    config = build_scheduler({"name": "warmup_cosine", "warmup": 0.3, "min_lr": 0.04}, optimizer, 10, 5)
    rates = []
    for _ in range(11):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        config["scheduler"].step()
    assert config["frequency"] == 1
    assert rates[:4] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    expected = [0.04 + 0.36 * (1 + math.cos(math.pi * step / 7)) / 2 for step in range(8)]
    assert rates[3:] == pytest.approx(expected) and rates[10] == pytest.approx(0.04)


def test_a_one_cycle_that_cannot_divide_its_steps_says_so():
    optimizer = build_optimizer({"name": "adam"}, torch.nn.Linear(2, 2).parameters(), 0.1)
    with pytest.raises(
        InputError, match=r"cannot divide 2 steps into its phases: choose other options, such as pct_st"
    ):
        build_scheduler({"name": "onecycle", "pct_start": 0.5}, optimizer, 2, 2)


class TestLosses:
    def test_focal_loss_is_equation_4(self):
        logits, labels = torch.randn(6, 4, generator=draws()), torch.tensor([0, 1, 2, 3, 0, 1])
        own = logits.softmax(1)[range(6), labels]
        assert focal(logits, labels, gamma=2.0).item() == pytest.approx((-((1 - own) ** 2) * own.log()).mean().item())
        assert focal(logits, labels, gamma=0.0).item() == pytest.approx(F.cross_entropy(logits, labels).item())
        soft = 0.7 * F.one_hot(labels, 4) + 0.3 * F.one_hot(labels.flip(0), 4)
        mixed = 0.7 * focal(logits, labels) + 0.3 * focal(logits, labels.flip(0))
        assert focal(logits, soft).item() == pytest.approx(mixed.item())

    def test_margin_loss_is_equation_4(self):
        lengths = torch.tensor([[0.95, 0.3, 0.05], [0.5, 0.2, 0.1]])
        expected = (0.5 * (0.3 - 0.1) ** 2 + (0.9 - 0.2) ** 2 + 0.5 * (0.5 - 0.1) ** 2) / 2
        logits, labels = torch.logit(lengths), torch.tensor([0, 1])
        assert margin(logits, labels).item() == pytest.approx(expected, rel=1e-5)
        assert margin(logits, F.one_hot(labels, 3).float()).item() == pytest.approx(expected, rel=1e-5)
        other = margin(logits, labels, upper=0.8, lower=0.2, down_weight=1.0).item()
        assert other == pytest.approx((0.1**2 + 0.6**2 + 0.3**2) / 2, rel=1e-5)

    @pytest.mark.parametrize("name", ["cross_entropy", "focal", "margin"])
    def test_mixed_targets_and_smoothing_are_the_same_as_one_after_the_other(self, name):
        logits = torch.randn(5, 3, generator=draws())
        hard, loss = torch.tensor([0, 2, 1, 1, 0]), build_loss({"name": name}, 0.1)
        smooth = 0.9 * F.one_hot(hard, 3) + 0.1 / 3
        plain = build_loss({"name": name})(logits, smooth)
        assert loss(logits, hard).item() == pytest.approx(plain.item())
        assert loss(logits, F.one_hot(hard, 3).float()).item() == pytest.approx(plain.item())

    def test_certain_logits_have_finite_gradients(self):
        logits = torch.tensor([[100.0, -100.0]], requires_grad=True)
        focal(logits, torch.tensor([0]), gamma=0.5).backward()
        assert logits.grad.isfinite().all()

    def test_running_accuracy_counts_the_class_with_the_largest_share(self):
        metric = LossAndAccuracy()
        logits = torch.eye(3)[[0, 1, 2]] * 5
        targets = torch.tensor([[0.6, 0.4, 0.0], [0.6, 0.4, 0.0], [0.0, 0.3, 0.7]])
        metric.update(logits, targets)
        assert metric.compute()["acc"].item() == pytest.approx(2 / 3)
        assert metric.compute()["loss"].item() == pytest.approx(F.cross_entropy(logits, targets).item())
        model = LitClassifier("mlp_128")
        loss, _ = model.compute_loss(torch.rand(3, 1, 28, 28), torch.eye(10)[[0, 1, 2]])
        hard, _ = model.compute_loss(torch.rand(3, 1, 28, 28, generator=draws()), torch.arange(3))
        assert loss.isfinite() and hard.isfinite()


def pictures(count: int = 64, size: tuple[int, int] = (28, 28)) -> torch.Tensor:
    return (torch.rand(count, 1, *size, generator=draws(3)) * 255).round()


class TestMixing:
    @pytest.mark.parametrize("mix", [mixing.mixup, mixing.cutmix])
    def test_images_and_targets_have_the_same_shares(self, mix):
        """Each image has one brightness, so that its mean shows whose pixels it has."""
        brightness = torch.arange(64) * 4.0
        images, targets = brightness.view(-1, 1, 1, 1).expand(-1, 1, 28, 20).clone(), torch.eye(64)
        before = images.clone()
        mixed, shares = mix(images, targets, draws(), alpha=1.0, probability=1.0)
        assert torch.equal(images, before), "the images are not changed in place"
        assert shares.sum(1).tolist() == pytest.approx([1] * 64)
        assert mixed.mean((1, 2, 3)).tolist() == pytest.approx((shares @ brightness).tolist(), abs=0.01)
        assert ((shares > 0).sum(1) <= 2).all()

    def test_mixup_draws_its_shares_from_the_beta_distribution(self):
        targets = torch.eye(2)[torch.arange(4000) % 2]
        _, mixed = mixing.mixup(torch.zeros(4000, 1, 2, 2), targets, draws(), alpha=0.4)
        own = mixed[range(4000), torch.arange(4000) % 2]
        other = own[(mixed > 0).all(1)]  # half of the partners are of the other class
        assert other.mean().item() == pytest.approx(0.5, abs=0.03)
        assert other.var().item() == pytest.approx(1 / (4 * (2 * 0.4 + 1)), abs=0.01)

    def test_cutmix_pastes_one_rectangle(self):
        images = torch.stack([torch.zeros(1, 28, 28), torch.ones(1, 28, 28)]).repeat(32, 1, 1, 1)
        mixed, _ = mixing.cutmix(images, torch.eye(2).repeat(32, 1), draws(), probability=1.0)
        for before, after in zip(images, mixed, strict=True):
            changed = (before != after)[0]
            rows, columns = changed.any(1), changed.any(0)
            assert changed.sum() == rows.sum() * columns.sum()

    def test_the_probability_is_the_share_of_mixed_images(self):
        images = pictures(2000)
        same = [(mixing.mixup(images, torch.eye(2000), draws(), 0.4, share)[0] == images) for share in (0.0, 0.3)]
        assert same[0].all() and same[1].all((1, 2, 3)).float().mean().item() == pytest.approx(0.7, abs=0.04)

    @pytest.mark.parametrize(("option", "value"), [("alpha", 0), ("alpha", "x"), ("probability", 2)])
    def test_values_out_of_range_are_named(self, option, value):
        data = MNISTDataModule("stripes", augment={"name": "mixup", option: value})
        with pytest.raises(InputError, match=f"augment.{option}={value}: it must be"):
            next(iter(data.train_dataloader()))

    def test_batches_have_mixed_targets_and_evaluation_has_labels(self):
        data = MNISTDataModule("stripes", augment="cutmix", batch_size=32)
        images, targets = next(iter(data.train_dataloader()))
        assert (images.dtype, targets.dtype, targets.shape) == (torch.float32, torch.float32, (32, 10))
        assert next(iter(data.val_dataloader()))[1].dtype == torch.int64


def reference(change: str, image: torch.Tensor, amount: float) -> torch.Tensor:
    """Return the image that torchvision makes of one image; bilinear, with black outside."""
    shape, none = list(image.shape[-2:]), [0.0, 0.0]

    def affine(angle: float = 0.0, shift: tuple[float, float] = (0, 0), shear: list[float] = none) -> torch.Tensor:
        return vision.affine(image, angle, list(shift), 1.0, shear, vision.InterpolationMode.BILINEAR)

    degrees = math.degrees(math.atan(0.3 * amount))
    match change:
        case "rotate":
            return affine(angle=30 * amount)
        case "shear_x":
            return affine(shear=[degrees, 0.0])
        case "shear_y":
            return affine(shear=[0.0, degrees])
        case "shift_x":
            return affine(shift=(10 / 32 * shape[1] * amount, 0))
        case "shift_y":
            return affine(shift=(0, 10 / 32 * shape[0] * amount))
        case "brightness":
            return vision.adjust_brightness(image.to(torch.uint8), 1 + 0.9 * amount)
        case "contrast":
            return vision.adjust_contrast(image.to(torch.uint8), 1 + 0.9 * amount)
        case "posterize":
            return vision.posterize(image.to(torch.uint8), 8 - round(abs(amount) * 4))
        case "solarize":
            return vision.solarize(image.to(torch.uint8), 256 * (1 - abs(amount)))
    return image


class TestTrivial:
    @pytest.mark.parametrize("change", trivial.CHANGES, ids=lambda change: change.__name__)
    @pytest.mark.parametrize("amount", [0.8, -0.6])
    def test_each_change_is_torchvisions(self, change, amount):
        images = F.pad(pictures(2, (20, 24)), (4, 4, 4, 4))
        ours = change(images, torch.tensor([amount, amount]))
        theirs = torch.stack([reference(change.__name__, image, amount) for image in images]).float()
        assert (ours - theirs).abs().max() <= 1.001, "torchvision rounds to whole numbers"

    def test_each_image_has_one_change_and_all_occur(self):
        images = pictures(1).expand(600, 1, 28, 28)
        changed = trivial.trivial(images, draws())
        assert torch.equal(images, pictures(1).expand(600, 1, 28, 28)), "the images are not changed in place"
        same = (changed == images).all(3).all(2).all(1).float().mean().item()
        assert 0.07 < same < 0.2, "about one in ten stays, and those with an amount near 0"
        assert len({image.sum().item() for image in changed}) > 400
        weak = trivial.trivial(images, draws(), strength=0.01)
        assert (weak - images).abs().mean() < 0.2 * (changed - images).abs().mean()

    def test_it_serves_colour_images(self):
        images = torch.rand(8, 3, 12, 16) * 255
        assert trivial.trivial(images, draws()).shape == images.shape


@pytest.mark.parametrize("name", ["mixup", "cutmix", "trivial"])
def test_a_batch_does_not_depend_on_how_many_are_prepared_at_once(monkeypatch, name):
    data = MNISTDataModule("stripes", augment=name, batch_size=16)
    whole = list(data.train_dataloader())
    monkeypatch.setattr("mnist_zoo.data.batches.CPU_CHUNK", 16)
    again = data.train_dataloader()
    assert isinstance(again, Batches)
    for (images, targets), (same, expected) in zip(whole, again, strict=True):
        assert torch.equal(images, same) and torch.equal(targets, expected)
