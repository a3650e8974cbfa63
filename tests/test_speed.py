"""mnist_zoo.speed: every optimisation computes what the plain code computes, and one switch turns it off."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys

import pytest
import pytorch_lightning as pl
import torch
from marks import slow
from pytorch_lightning.callbacks import Callback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from mnist_zoo import LitClassifier, MNISTDataModule, create_model, list_models, speed
from mnist_zoo.errors import InputError
from mnist_zoo.models.layers import Features
from mnist_zoo.runs import read_metrics
from mnist_zoo.speed import captured, crop, dropout, flatten, patches, pool_first
from mnist_zoo.speed.dropout import UniformDropout
from mnist_zoo.speed.imports import without_collection
from mnist_zoo.speed.names import NETWORK
from mnist_zoo.speed.patches import ConvMaxPool2d
from mnist_zoo.training.run import run

CPU = torch.device("cpu")
LARGE = ("capsnet", "densenet121", "googlenet", "resnet18", "simple_m3", "simple_m5", "simple_m7", "simple_c3")


def gradients(module: nn.Module) -> list[torch.Tensor]:
    return [parameter.grad for parameter in module.parameters()]


class TestSwitch:
    @pytest.mark.parametrize("name", [slow(name) if name in LARGE else name for name in list_models()])
    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)], ids=str)
    def test_full_and_none_compute_the_same_function_and_gradients(self, name, dtype, tolerance):
        """With dropout off, because one optimisation draws other random numbers. (Patches are for float32 alone.)"""
        losses, grads, names = [], [], []
        images, labels = torch.randn(12, 1, 28, 28, dtype=dtype), torch.arange(12) % 10
        for off in ([], ["all"]):
            torch.manual_seed(1)
            classifier = LitClassifier(name).train().to(dtype)
            for layer in classifier.modules():
                if isinstance(layer, nn.Dropout):
                    layer.p = 0.0
            speed.apply_to_network(classifier.model, CPU, off)
            loss, _ = classifier.compute_loss(images, labels)
            loss.backward()
            losses.append(loss.item())
            names.append([key for key, _ in classifier.named_parameters()])
            grads.append(torch.cat([gradient.flatten() for gradient in gradients(classifier.model)]))
        fast, plain = grads
        assert names[0] == names[1], "state dicts fit both forms"
        assert losses[0] == pytest.approx(losses[1], rel=tolerance)
        # Ten batch norms over twelve images amplify rounding: hence the factor.
        assert (fast - plain).norm() < 100 * tolerance * plain.norm()

    @pytest.mark.parametrize("name", NETWORK)
    def test_each_optimisation_can_be_taken_out(self, name):
        network = "lenet5" if name == "flatten" else "cnn_dropout"
        assert name in speed.apply_to_network(create_model(network), CPU)
        assert name not in speed.apply_to_network(create_model(network), CPU, off=[name])

    @pytest.mark.parametrize(
        ("device", "expected", "why"),
        [
            (
                "cpu",
                ["pool_first", "channels_last", "patches", "crop", "flatten", "dropout"],
                "all were measured there",
            ),
            ("cuda", ["pool_first"], "the others were measured on CPUs only"),
        ],
    )
    def test_a_network_gets_what_its_device_can_use(self, device, expected, why):
        assert speed.apply_to_network(create_model("cnn_dropout"), torch.device(device)) == expected, why

    @pytest.mark.parametrize(
        ("model", "last"), [("cnn", True), ("resnet18", False), ({"name": "resnet18", "stem": "small"}, True)]
    )
    def test_convolutions_are_channels_last_but_where_maps_are_small(self, model, last):
        network = LitClassifier(model).model
        speed.apply_to_network(network, CPU)
        weight = next(p for p in network.parameters() if p.ndim == 4 and p.shape[1] > 1)
        assert weight.is_contiguous(memory_format=torch.channels_last) is last

    def test_it_serves_a_trainer_of_ones_own(self, tmp_path):
        silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = pl.Trainer(max_epochs=2, accelerator="cpu", default_root_dir=tmp_path, **silent)
        classifier, data = LitClassifier("mlp", lr=0.01), MNISTDataModule("stripes", batch_size=16)
        assert speed.apply(classifier, data, trainer) == ["fused", "several_steps"]
        trainer.fit(classifier, datamodule=data)
        assert trainer.global_step == 22 and trainer.callback_metrics["val_acc"] > 0.5
        assert trainer.optimizers[0].param_groups[0]["fused"]

    def test_one_data_module_can_serve_several_classifiers_one_after_the_other(self, tmp_path):
        data = MNISTDataModule("stripes", batch_size=16)
        silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        for _ in range(2):
            trainer = pl.Trainer(max_epochs=1, accelerator="cpu", default_root_dir=tmp_path, **silent)
            classifier = LitClassifier("mlp")
            assert "several_steps" in speed.apply(classifier, data, trainer)
            trainer.fit(classifier, datamodule=data)
            assert trainer.global_step == 11

    @pytest.mark.parametrize(
        ("setting", "expected"),
        [
            ("speed=full", ["fused", "several_steps"]),
            ("speed.off=[several_steps]", ["fused"]),
            ("speed=none", []),
            ("optimizer=rmsprop", ["several_steps"]),
            ("+optimizer.fused=false", ["several_steps"]),
            ("+optimizer.foreach=true", ["several_steps"]),
        ],
    )
    def test_metrics_record_what_was_on(self, stripes_config, tmp_path, setting, expected):
        run(stripes_config("epochs=1", setting), tmp_path / "run")
        assert read_metrics(tmp_path / "run")["speed"] == expected

    @pytest.mark.parametrize("model", ["mlp", "lenet5", "cnn", slow("cnn_batchnorm"), slow("cnn_strided")])
    def test_a_run_has_the_same_metrics_up_to_rounding(self, stripes_config, tmp_path, results, model):
        for name in ("full", "none"):
            run(stripes_config(f"model={model}", f"speed={name}", "batch_size=16", "epochs=2"), tmp_path / name)
        full, none = (results(tmp_path / name)["metrics"] for name in ("full", "none"))
        for key in ("train_loss", "val_loss", "test_loss"):
            assert full[key] == pytest.approx(none[key], rel=1e-3)

    def test_a_run_continues_with_another_setting(self, stripes_config, tmp_path, results):
        run(stripes_config("epochs=4"), tmp_path / "through")
        run(stripes_config("epochs=2"), tmp_path / "run")
        with pytest.warns(UserWarning, match="was tested 1 time"):
            run(stripes_config("epochs=4", "speed=none"), tmp_path / "run", resume=True)
        continued, through = results(tmp_path / "run"), results(tmp_path / "through")
        assert continued["metrics"]["val_loss"] == pytest.approx(through["metrics"]["val_loss"], rel=1e-4)

    @pytest.mark.parametrize(
        "function", [speed.apply_to_process, lambda off: speed.apply_to_network(nn.ReLU(), CPU, off)]
    )
    def test_an_unknown_name_is_answered_with_the_nearest(self, function):
        with pytest.raises(InputError, match="unknown optimisation 'patch'; did you mean patches"):
            function(["patch"])


class TestImports:
    """Commands import PyTorch without garbage collection; a program that imports this library does not."""

    @pytest.fixture(autouse=True)
    def as_before(self):
        yield
        gc.enable()
        gc.unfreeze()

    @pytest.mark.parametrize("collecting", [True, False])
    def test_the_collector_is_as_before_afterwards_and_leaves_out_what_was_there(self, collecting):
        gc.enable() if collecting else gc.disable()
        with pytest.raises(ImportError), without_collection("no_such_module"):
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() == collecting and gc.get_freeze_count() > 10_000

    def test_nothing_changes_if_the_library_is_there(self):
        gc.unfreeze()  # what commands have left out in earlier tests
        with without_collection("torch"):
            assert gc.isenabled()
        assert gc.get_freeze_count() == 0

    def test_a_command_uses_it_and_an_import_of_the_library_does_not(self):
        count = "import gc; print(gc.isenabled(), gc.get_freeze_count() > 100_000)"
        command = "from mnist_zoo.describe import main; main(['mlp'])"
        for code, frozen in (
            (f"{command}; {count}", "True True"),
            (f"from mnist_zoo import list_models; {count}", "True False"),
        ):
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            assert done.stdout.splitlines()[-1] == frozen


class TestCaptured:
    """With the call of CUDA replaced by one that runs the network as it does."""

    @staticmethod
    def capture(network, sample):
        eager, network.calls = network.forward, []
        for _ in range(3):
            eager(*sample)

        def replay(images):
            network.calls.append(len(images))
            return eager(images)

        network.forward = replay

    def test_whole_training_batches_are_replayed_and_the_capture_leaves_no_trace(self):
        plain, network = create_model("cnn_batchnorm", dropout=0.5), create_model("cnn_batchnorm", dropout=0.5)
        network.load_state_dict(plain.state_dict())
        captured.capture_when_whole(network, 4, self.capture)
        for form in (plain, network):
            torch.manual_seed(1)
            for count in (4, 4, 3):
                form.train()(torch.ones(count, 1, 28, 28)).sum().backward()
            form.eval()(torch.ones(4, 1, 28, 28))
            form.train()(torch.ones(4, 1, 28, 28, requires_grad=True))
            with torch.no_grad():
                form(torch.ones(4, 1, 28, 28))
        assert network.calls == [4, 4]
        for (name, value), expected in zip(network.state_dict().items(), plain.state_dict().values(), strict=True):
            assert torch.equal(value, expected), name
        assert all(map(torch.equal, gradients(network), gradients(plain)))

    def test_where_it_cannot_work_a_line_says_why(self, stripes_config, tmp_path):
        with pytest.warns(UserWarning, match="has no effect here: it needs a CUDA device, the optimisation sev"):
            run(stripes_config("epochs=1", "ema=0.9", "+speed.captured=true"), tmp_path / "run")
        assert read_metrics(tmp_path / "run")["speed"] == ["fused"]


class TestPoolFirst:
    @pytest.mark.parametrize(
        ("activation", "swapped"),
        [("relu", True), ("leaky_relu", True), ("elu", True), ("tanh", True), ("sigmoid", True), ("gelu", False),
         ("silu", False)],
    )  # fmt: skip
    def test_only_monotone_activations_change_places_with_pooling(self, activation, swapped):
        plain, fast = create_model("cnn", activation=activation), create_model("cnn", activation=activation)
        fast.load_state_dict(plain.state_dict())
        assert pool_first.apply(fast, CPU) is swapped
        kinds = [type(layer) for layer in fast.features]
        assert (kinds.index(nn.MaxPool2d) == 1) is swapped
        images = torch.randn(4, 1, 28, 28)
        assert torch.allclose(fast(images), plain(images), atol=1e-6)

    def test_a_layer_that_is_used_twice_is_swapped_twice(self):
        activation = nn.ReLU()
        network = nn.Sequential(activation, nn.MaxPool2d(2), activation, nn.MaxPool2d(2))
        pool_first.apply(network, CPU)
        assert [type(layer).__name__ for layer in network] == ["MaxPool2d", "ReLU", "MaxPool2d", "ReLU"]


class TestDropout:
    def test_its_distribution_is_that_of_torch(self):
        layer, images = UniformDropout(0.25), torch.ones(200, 1, 28, 28, requires_grad=True)
        torch.manual_seed(0)
        dropped = layer(images)
        torch.manual_seed(0)
        assert torch.equal(dropped, layer(images))
        assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
        assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.005)  # four standard errors
        dropped.sum().backward()
        assert torch.equal(images.grad, dropped.detach())
        assert layer(images.bfloat16()).dtype == torch.bfloat16
        assert not UniformDropout(1.0)(images).any()
        assert torch.equal(layer.eval()(images), images)

    def test_every_dropout_of_a_network_is_replaced_with_its_rate(self):
        network = create_model("cnn_dropout")
        rates = [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)]
        assert dropout.apply(network, CPU)
        assert [layer.p for layer in network.modules() if type(layer) is UniformDropout] == rates == [0.25, 0.25, 0.5]


@pytest.mark.parametrize("name", ["lenet5", "cnn"])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_gradient_behind_flatten_has_the_format_of_the_input(name, layout):
    features = create_model(name).train().features
    features.to(memory_format=layout)
    assert flatten.apply(features, CPU)
    last = [isinstance(layer, nn.Flatten) for layer in features].index(True) - 1
    seen = []
    features[last].register_full_backward_hook(lambda module, before, after: seen.append(after[0]))
    features(torch.rand(2, 1, 28, 28)).square().sum().backward()
    assert [gradient.is_contiguous(memory_format=layout) for gradient in seen] == [True]


@pytest.mark.parametrize("name", ["lenet5", "cnn"])
def test_gradients_of_single_images_come_from_torch_func(name):
    network = create_model(name).train()
    speed.apply_to_network(network, CPU, off=["patches"])  # its products are computed outside torch.func's reach
    images, labels = torch.rand(3, 1, 28, 28), torch.tensor([1, 2, 3])
    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}

    def loss(parameters, image, label):
        logits = torch.func.functional_call(network, parameters, (image[None],))
        return nn.functional.cross_entropy(logits, label[None])

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(parameters, images, labels)
    nn.functional.cross_entropy(network(images), labels).backward()
    for name, parameter in network.named_parameters():
        assert torch.allclose(each[name].mean(0), parameter.grad, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "used", "why"),
    [
        ({}, 26, "5 of 11, 2 x 5 + 2 = 12 of 13, 2 x 12 + 2 = 26 of 28"),
        ({"kernel_size": 5}, 28, "4 of 8, 12 of 12"),
        ({"channels": [8, [8, 8]]}, 26, "4 of 9, 12 of 13"),
        ({"channels": [8, 8, 8]}, 22, "1 of 3, 4 of 5, 10 of 11, 22 of 28"),
        ({"image_size": 31}, 30, "6 of 12, 14 of 14, 30 of 31"),
        ({"activation": "gelu"}, 26, "any activation"),
        ({"dropout": 0.1}, 26, "dropout is no obstacle"),
        ({"padding": "same"}, 28, "padding uses the border"),
        ({"ceil_mode": True}, 28, "ceil mode pools the rest"),
        ({"downsampling": "stride"}, 28, "not computed for strides"),
        ({"batch_norm": True}, 28, "its statistics depend on all pixels"),
    ],
)
def test_crop_leaves_out_exactly_the_pixels_that_do_not_reach_the_output(options, used, why):
    network = create_model("cnn", **options)
    side = options.get("image_size", 28)
    images = torch.rand(3, 1, side, side, requires_grad=True)
    evaluated = network.eval()(images)
    evaluated.square().sum().backward()
    assert (crop.used_side(list(network.features), side) or side) == used, why
    assert not images.grad[..., used:, :].any() and not images.grad[..., used:].any()
    assert used == side or images.grad[..., used - 1, :].any(), "no more than these"
    assert crop.apply(network, CPU) is (used < side)
    if not {"batch_norm", "dropout"} & set(options):
        assert torch.allclose(network.train()(images), evaluated, atol=1e-6)


def test_crop_treats_height_and_width_apart():
    network, images = create_model("cnn", image_size=[28, 58]), torch.rand(3, 1, 28, 58, requires_grad=True)
    evaluated = network.eval()(images)
    evaluated.square().sum().backward()
    assert not images.grad[..., 26:, :].any() and images.grad[..., 25, :].any() and images.grad[..., 57].any()
    assert crop.apply(network, CPU)
    assert torch.allclose(network.train()(images), evaluated, atol=1e-6)


def test_crop_leaves_networks_without_features_of_ours_alone():
    assert not crop.apply(nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Flatten()), CPU)
    assert not crop.apply(nn.ModuleDict({"features": Features([nn.Conv2d(1, 4, 3)], 1, 28)}), CPU)


def whole_numbers(*shape: int, largest: int = 2) -> torch.Tensor:
    """Small integers as floats: sums of their products are exact, and many are equal."""
    return torch.randint(-largest, largest + 1, shape).float()


def pair(channels: int, kernel_size: int | tuple[int, int]) -> tuple[nn.Conv2d, ConvMaxPool2d]:
    """The same weights, whole numbers, in a plain convolution and in one that pools."""
    plain, joined = nn.Conv2d(channels, 5, kernel_size), nn.Conv2d(channels, 5, kernel_size)
    with torch.no_grad():
        for parameter, twin in zip(plain.parameters(), joined.parameters(), strict=True):
            twin.copy_(parameter.copy_(whole_numbers(*parameter.shape, largest=1)))
    return plain, ConvMaxPool2d(joined)


@pytest.mark.parametrize(
    ("channels", "kernel_size", "height", "width"),
    [(1, 3, 28, 28), (1, 3, 27, 12), (1, 5, 28, 28), (1, 2, 9, 9), (1, (3, 5), 14, 15), (3, 3, 8, 8), (1, 3, 4, 4)],
)
@pytest.mark.parametrize("count", [1, 21])  # 21: more than are computed at once, and not a multiple
def test_values_and_gradients_are_those_of_pooling_ties_included(channels, kernel_size, height, width, count):
    torch.manual_seed(0)
    plain, joined = pair(channels, kernel_size)
    images = whole_numbers(count, channels, height, width)
    images[..., : height // 2, :] = 1  # a background: whole windows of equal values
    expected, found = nn.functional.max_pool2d(plain(images), 2), joined(images)
    assert torch.equal(found, expected)
    upstream = whole_numbers(*expected.shape)
    expected.backward(upstream)
    found.backward(upstream)
    assert all(map(torch.equal, gradients(joined), gradients(plain)))


def test_it_keeps_no_activations_of_full_size():
    images, joined = torch.rand(16, 1, 28, 28), ConvMaxPool2d(nn.Conv2d(1, 32, 3))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        joined(images)
    assert 0 < sum(tensor.numel() for tensor in kept) < 16 * 32 * 26 * 26 / 4


@pytest.mark.parametrize("case", ["evaluation", "float64", "bfloat16", "gradient of images", "one image"])
def test_elsewhere_it_convolves_and_pools(case):
    torch.manual_seed(0)
    plain, joined = pair(1, 3)
    images = whole_numbers(4, 1, 10, 10)
    if case == "evaluation":
        joined.eval()
    if case == "float64":
        plain, joined, images = plain.double(), joined.double(), images.double()
    if case == "gradient of images":
        images.requires_grad_()
    if case == "one image":
        images = images[0]
    with torch.autocast("cpu", torch.bfloat16, enabled=case == "bfloat16"):
        expected, found = nn.functional.max_pool2d(plain(images), 2), joined(images)
    assert found.dtype == expected.dtype and torch.equal(found, expected)
    if case == "gradient of images":
        found.sum().backward()
        assert images.grad.any()


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2)),
        (nn.Conv2d(1, 4, 3, padding="same"), nn.MaxPool2d(2)),
        (nn.Conv2d(1, 4, 3, stride=2), nn.MaxPool2d(2)),
        (nn.Conv2d(1, 4, 3, dilation=2), nn.MaxPool2d(2)),
        (nn.Conv2d(2, 4, 3, groups=2), nn.MaxPool2d(2)),
        (nn.Conv2d(1, 4, 3, bias=False), nn.MaxPool2d(2)),
        (nn.Conv2d(32, 4, 3), nn.MaxPool2d(2)),
        (nn.Conv2d(1, 4, 3), nn.MaxPool2d(3)),
        (nn.Conv2d(1, 4, 3), nn.MaxPool2d(2, stride=1)),
        (nn.Conv2d(1, 4, 3), nn.MaxPool2d(2, ceil_mode=True)),
        (nn.Conv2d(1, 4, 3), nn.AvgPool2d(2)),
        (nn.Conv2d(1, 4, 3), nn.ReLU()),
    ],
)
def test_layers_that_compute_something_else_do_not_fit(layers):
    assert not ConvMaxPool2d.fits(*layers)


def test_patches_replace_the_pair_and_keep_names_weights_and_penalty():
    plain, joined = create_model("cnn_l2"), create_model("cnn_l2")
    joined.load_state_dict(plain.state_dict())
    pool_first.apply(joined, CPU)
    assert patches.apply(joined, CPU)
    assert [type(layer).__name__ for layer in joined.features][:3] == ["ConvMaxPool2d", "Identity", "ReLU"]
    theirs, ours = plain.state_dict(), joined.state_dict()
    assert list(ours) == list(theirs) and all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert joined.penalty().item() == pytest.approx(plain.penalty().item(), rel=1e-6)
    images = torch.rand(9, 1, 28, 28)
    assert torch.allclose(joined.train()(images), plain.eval()(images), atol=1e-6)


class ByBatch(Callback):
    """Acts on each batch, as users' callbacks may: training then must not group batches."""

    def __init__(self):
        self.batches, self.global_steps = 0, []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.batches += 1
        self.global_steps.append(trainer.global_step)


class AtTheEnd(Callback):
    """Notes whether batches came in lists, and how many steps were counted."""

    def on_train_end(self, trainer, module):
        self.grouped, self.global_step = not module.automatic_optimization, trainer.global_step


class ByStep(AtTheEnd):
    """Uses hooks on single steps, which lists of batches call, too."""

    def __init__(self):
        self.backward = self.steps = 0

    def on_after_backward(self, trainer, module):
        self.backward += 1

    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.steps += 1


class TestSeveralSteps:
    """Lists of batches save Lightning's bookkeeping for each batch; nothing else may differ."""

    @pytest.fixture(autouse=True)
    def short_lists(self, monkeypatch):
        monkeypatch.setattr(
            "mnist_zoo.speed.several_steps.IMAGES_PER_LIST", 64
        )  # 176 images in batches of 16: lists of 4, 4 and 3

    @pytest.mark.parametrize(
        "settings",
        [
            ["model=cnn_dropout", "augment=affine"],
            ["optimizer=sgd", "optimizer.momentum=0.9", "scheduler=onecycle"],
            slow(["optimizer=rmsprop", "scheduler=exponential", "label_smoothing=0.1"]),
            slow(["trainer.precision=bf16-mixed", "scheduler=cosine"]),
        ],
        ids=" ".join,
    )
    def test_the_result_is_that_of_single_batches_to_the_last_bit(self, stripes_config, tmp_path, settings, results):
        cfg = stripes_config("batch_size=16", *settings)
        by_batch, by_step, unwatched = ByBatch(), ByStep(), AtTheEnd()
        for spy in (by_batch, by_step, unwatched):
            run(cfg, tmp_path / type(spy).__name__, callbacks=[spy])
        assert by_batch.batches == 33 and by_step.grouped and unwatched.grouped
        assert by_step.backward == by_step.steps == by_step.global_step == 33, "hooks and global_step count steps"
        assert unwatched.global_step == 33
        assert results(tmp_path / "ByStep") == results(tmp_path / "ByBatch")
        assert results(tmp_path / "AtTheEnd") == results(tmp_path / "ByBatch")

    def test_a_hook_on_single_batches_switches_lists_off(self, stripes_config, tmp_path):
        class Zeroed(AtTheEnd):
            calls = 0

            def on_before_zero_grad(self, trainer, module, optimizer):
                self.calls += 1

        spy = Zeroed()
        run(stripes_config("batch_size=16"), tmp_path / "run", callbacks=[spy])
        assert not spy.grouped and spy.calls == 33

    def test_a_large_network_keeps_single_batches(self, stripes_config, tmp_path):
        spy = AtTheEnd()
        run(stripes_config("model=two_conv", "epochs=1"), tmp_path / "run", callbacks=[spy])
        assert not spy.grouped

    @pytest.mark.parametrize(
        "setting",
        [
            *("ema=0.9", "grad_clip=1", "+trainer.accumulate_grad_batches=2"),
            *(slow("scheduler=plateau"), slow("+trainer.max_steps=22")),
            *(slow("+trainer.limit_train_batches=5"), slow("+trainer.val_check_interval=0.5")),
        ],
    )
    def test_settings_that_count_batches_switch_lists_off(self, stripes_config, tmp_path, setting):
        spy = AtTheEnd()
        run(stripes_config("batch_size=16", setting), tmp_path / "run", callbacks=[spy])
        assert not spy.grouped

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore:.*was tested")  # a finished run is continued
    def test_a_run_continues_in_the_other_mode(self, stripes_config, tmp_path, results):
        spies = [ByBatch(), ByStep()]
        run(stripes_config("batch_size=16", "epochs=4"), tmp_path / "through")
        run(stripes_config("batch_size=16", "epochs=2"), tmp_path / "run")
        run(stripes_config("batch_size=16", "epochs=3"), tmp_path / "run", resume=True, callbacks=spies[:1])
        run(stripes_config("batch_size=16", "epochs=4"), tmp_path / "run", resume=True, callbacks=spies[1:])
        assert spies[0].global_steps == list(range(23, 34))
        assert spies[1].global_step == 44
        continued, through = results(tmp_path / "run"), results(tmp_path / "through")
        assert continued["metrics"].pop("test_evaluations") == 3 and through["metrics"].pop("test_evaluations") == 1
        assert continued == through

    @pytest.mark.slow
    def test_a_termination_signal_within_a_list_takes_effect_after_it(
        self, stripes_config, tmp_path, monkeypatch, results
    ):
        settings = ["model=cnn_dropout", "augment=affine", "scheduler=onecycle", "batch_size=16"]
        run(stripes_config(*settings), tmp_path / "whole")
        losses, loss = [], LitClassifier.compute_loss

        def signalled(self, images, labels):
            losses.append(1)
            if len(losses) == 13:  # the second batch of the second epoch's first list
                signal.raise_signal(signal.SIGTERM)
            return loss(self, images, labels)

        monkeypatch.setattr(LitClassifier, "compute_loss", signalled)
        with pytest.raises(KeyboardInterrupt, match="the state of training"):
            run(stripes_config(*settings), tmp_path / "cut")
        assert len(losses) == 15
        monkeypatch.setattr(LitClassifier, "compute_loss", loss)
        with pytest.raises(
            InputError, match=r"within an epoch of 3 items .*, and an epoch has 11 here: resume with the"
        ):
            run(stripes_config(*settings), tmp_path / "cut", resume=True, callbacks=[ByBatch()])
        run(stripes_config(*settings), tmp_path / "cut", resume=True)
        assert results(tmp_path / "cut") == results(tmp_path / "whole")

    def test_loggers_count_steps(self, stripes_config, tmp_path):
        run(stripes_config("batch_size=16", "logger=tensorboard"), tmp_path / "run")
        events = EventAccumulator(str(tmp_path / "run")).Reload()
        assert [event.step for event in events.Scalars("val_acc")] == [11, 22, 33]
        assert any("Linear" in node.op or "linear" in node.name.lower() for node in events.Graph().node), "the network"
