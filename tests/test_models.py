"""The contract of every network, and the papers' parameter counts."""

import pytest
import torch
import torchvision
from torch import nn

from mnist_zoo import LitClassifier, create_model, list_models, register_model
from mnist_zoo.errors import InputError
from mnist_zoo.losses import margin
from mnist_zoo.models.capsnet import Routing, squash
from mnist_zoo.models.flops import count_flops

PARAMETERS = {
    "mlp": 105_214,
    "mlp_128": 101_770,
    "mlp_128_128": 118_282,
    "lenet5": 61_706,
    "cnn": 225_034,
    "cnn_dropout": 225_034,
    "cnn_2dense": 241_546,
    "cnn_batchnorm": 242_250,
    "cnn_l2": 241_546,
    "cnn_2dense_dropout": 241_546,
    "cnn_strided": 80_554,
    "deep_cnn": 2_098_442,
    "two_conv": 65_194,
    "double_conv": 887_530,
    "resnet18": 11_175_370,
    "googlenet": 9_954_366,
    "densenet121": 6_957_834,
    "capsnet": 8_215_568,
    "densenet_bc": 71_254,
    "simple_m3": 1_124_180,
    "simple_m5": 1_128_180,
    "simple_m7": 2_291_972,
    "simple_c1": 269_524,
    "simple_c2": 835_204,
    "simple_c3": 576_180,
}


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_every_registered_model_has_a_published_parameter_count():
    assert set(list_models()) == set(PARAMETERS)


@pytest.mark.parametrize("name", list_models())
class TestContract:
    """What every network promises: a new one is tested by existing."""

    def test_parameter_count(self, name):
        assert count(create_model(name)) == PARAMETERS[name]

    def test_maps_images_to_logits_in_evaluation(self, name):
        logits = create_model(name).eval()(torch.rand(3, 1, 28, 28))
        assert logits.shape == (3, 10) and logits.dtype == torch.float32
        # No softmax inside: probabilities would be positive and sum to one.
        assert not torch.allclose(logits.sum(1), torch.ones(3), atol=1e-3)

    def test_main_output_comes_first_in_training_and_every_parameter_learns(self, name):
        classifier = LitClassifier(name).train()
        images, labels = torch.rand(4, 1, 28, 28), torch.arange(4)
        output = classifier(images)
        heads = output if isinstance(output, tuple) else (output,)
        assert all(head.shape == (4, 10) for head in heads)
        classifier.compute_loss(images, labels)[0].backward()
        parameters = classifier.model.named_parameters()
        assert [n for n, p in parameters if p.grad is None or not p.grad.isfinite().all()] == []

    def test_features_enter_the_head(self, name):
        model, images = create_model(name).eval(), torch.rand(2, 1, 28, 28)
        features = model.features(images)
        assert features.ndim == 2
        assert torch.allclose(model.head(features), model(images), atol=1e-6)

    def test_takes_other_classes_and_channels(self, name):
        model = create_model(name, num_classes=47, in_chans=3).eval()
        assert model(torch.rand(2, 3, 28, 28)).shape == (2, 47)

    def test_takes_images_that_are_not_square_or_refuses_them_in_one_line(self, name):
        try:
            model = LitClassifier({"name": name, "init": "he"}, num_classes=100, image_shape=(1, 28, 56)).eval()
        except InputError as error:
            assert "28" in str(error) and "56" in str(error) and "\n" not in str(error)
            return
        images = torch.rand(2, 1, 28, 56)
        logits = model(images)
        assert logits.shape == (2, 100)
        for half in (images[..., :28], images[..., 28:]):
            before = half.clone()
            half.fill_(0.0)
            assert not torch.equal(model(images), logits), "both halves reach the output"
            half.copy_(before)

    def test_an_image_does_not_depend_on_its_batch_in_evaluation(self, name):
        model, images = create_model(name).eval(), torch.rand(5, 1, 28, 28)
        assert torch.allclose(model(images)[:2], model(images[:2]), atol=1e-4)

    def test_weights_depend_on_the_seed_alone(self, name):
        torch.manual_seed(7)
        first = create_model(name).state_dict()
        torch.manual_seed(7)
        second = create_model(name).state_dict()
        assert all(torch.equal(first[key], second[key]) for key in first)

    @pytest.mark.parametrize("scheme", ["xavier", "he", "normal"])
    def test_initialisation_is_selectable(self, name, scheme):
        layers = [m for m in create_model(name, init=scheme).modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
        layer = max(layers, key=lambda layer: layer.weight.numel())
        receptive = layer.weight[0, 0].numel()
        fan_in, fan_out = layer.weight.shape[1] * receptive, layer.weight.shape[0] * receptive
        expected = {"xavier": (2 / (fan_in + fan_out)) ** 0.5, "he": (2 / fan_in) ** 0.5, "normal": 0.05}[scheme]
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)
        assert all(layer.bias is None or not layer.bias.any() for layer in layers)


@pytest.mark.parametrize(
    ("name", "options", "parameters", "why"),
    [
        ("resnet18", {"stem": "small"}, 11_172_810, "a 3x3 stem has 64 * (49 - 9) weights fewer"),
        ("cnn", {"dense": 96}, 1600 * 96 + 96 + 96 * 10 + 10 + 320 + 18_496, "a search varies the dense units"),
        ("cnn", {"channels": [48, 64]}, 480 + 48 * 64 * 9 + 64 + 1600 * 128 + 128 + 1290, "and the filters"),
        ("mlp", {"hidden": []}, 7_850, "softmax regression is an MLP without hidden layers"),
        ("lenet5", {"activation": "tanh", "pooling": "max"}, 61_706, "neither has weights"),
        ("cnn", {"downsampling": "stride"}, 320 + 18_496 + 64 * 36 * 128 + 128 + 1290, "28-13-6"),
        ("cnn", {"downsampling": "stride", "padding": "same"}, 18_816 + 64 * 49 * 128 + 128 + 1290, "28-14-7"),
        ("cnn", {"downsampling": "stride", "channels": [[8, 16]]}, 80 + 1168 + 16 * 144 * 128 + 128 + 1290, "28-26-12"),
        ("simple_m5", {"batch_norm": False}, 1_128_180 - 2 * 490 + 490, "a bias for each scale and shift"),
        ("simple_c1", {"dense": [100]}, 835_204, "simple_c2"),
        ("cnn", {"image_size": 32}, 320 + 18_496 + 64 * 36 * 128 + 128 + 1290, "6x6 maps at 32x32"),
    ],
)
def test_options_change_what_they_say(name, options, parameters, why):
    model = create_model(name, **options)
    assert count(model) == parameters, why
    size = options.get("image_size", 28)
    assert model.eval()(torch.rand(2, 1, size, size)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "options", "parameters", "source"),
    [
        ("densenet121", {"num_classes": 1000, "in_chans": 3}, 7_978_856, "torchvision's documentation"),
        ("capsnet", {"reconstruction": 0}, 6_804_224, "6.8 M without reconstruction: Sabour et al. 2017, section 4"),
        ("densenet_bc", {"depth": 100, "in_chans": 3}, 769_162, "0.8 M: Huang et al. 2017, Table 2"),
        ("densenet_bc", {"depth": 250, "growth_rate": 24, "in_chans": 3}, 15_324_406, "15.3 M: the same"),
        ("densenet_bc", {"depth": 190, "growth_rate": 40, "in_chans": 3}, 25_624_430, "25.6 M: the same"),
    ],
)
def test_other_published_parameter_counts(name, options, parameters, source):
    with torch.device("meta"):
        assert count(create_model(name, **options)) == parameters, source


def test_cnn_is_convolution_activation_pooling_and_dense_layers_as_the_papers_draw_it():
    model, images = create_model("cnn").eval(), torch.randn(2, 1, 28, 28)
    x = images
    for convolution in (layer for layer in model.features if isinstance(layer, nn.Conv2d)):
        x = nn.functional.max_pool2d(convolution(x).relu(), 2)
    dense = next(layer for layer in model.features if isinstance(layer, nn.Linear))
    assert torch.allclose(model.head(dense(x.flatten(1)).relu()), model(images), atol=1e-6)


@pytest.mark.parametrize("name", list_models())
def test_flops_are_those_of_convolutions_and_matrix_products(name):
    model = create_model(name).train()
    products = []
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(lambda layer, _, y: products.append(2 * layer.weight[0].numel() * y[0].numel()))
    # votes, then the mean of the votes three times and their agreement twice
    routing = 2 * 1152 * 8 * 160 + 5 * 2 * 1152 * 160 if name == "capsnet" else 0
    assert count_flops(model, (1, 28, 28)) == sum(products) + routing
    assert model.training, "the mode is restored"


def test_a_slice_of_the_features_is_a_network_of_its_own():
    first = create_model("cnn").features[:3]
    assert first(torch.zeros(2, 1, 28, 28)).shape == (2, 32, 13, 13)


def test_the_l2_penalty_covers_weights_and_no_biases():
    model = create_model("cnn_l2", l2=0.5)
    weights = [p for name, p in model.named_parameters() if name.endswith("weight")]
    assert model.penalty().item() == pytest.approx(0.5 * sum(w.square().sum().item() for w in weights), rel=1e-5)
    assert create_model("cnn").penalty() is None


def test_resnet18_loads_torchvisions_state_dict():
    theirs = torchvision.models.resnet18(num_classes=10)
    theirs.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    ours = create_model("resnet18")
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(2, 1, 28, 28)
    assert torch.equal(ours.eval()(images), theirs.eval()(images))


def test_densenet121_is_torchvisions_on_images_padded_to_32x32():
    theirs = torchvision.models.densenet121(num_classes=10)
    theirs.features.conv0 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    ours = create_model("densenet121")
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(2, 1, 32, 32)
    images[:, :, [0, 1, -2, -1]] = 0
    images[:, :, :, [0, 1, -2, -1]] = 0
    expected = theirs.eval()(images)
    assert torch.equal(ours.eval()(images), expected)
    assert torch.equal(ours(images[:, :, 2:-2, 2:-2]), expected), "28x28"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet19", {}, "unknown model 'resnet19'; did you mean resnet18"),
        ("cnn", {"dens": 96}, "unknown option of model 'cnn' 'dens'; did you mean dense"),
        ("cnn", {"channels": [8] * 6}, "has no pixels left after the stages"),
        ("cnn", {"kernel_size": [3]}, "kernel_size has 1 entries for 2 stages"),
        ("cnn", {"activation": "rellu"}, "unknown activation 'rellu'; did you mean relu"),
        ("cnn", {"channels": [8] * 5, "downsampling": "stride"}, "has no pixels left after the stages"),
        ("cnn", {"downsampling": "strides"}, "unknown downsampling 'strides'; did you mean stride"),
        ("cnn", {"downsampling": "stride", "ceil_mode": True}, "downsampling=stride has no pooling"),
        ("cnn", {"padding": "full"}, "unknown padding 'full'"),
        ("cnn", {"init": "zeros"}, "unknown initialisation 'zeros'"),
        ("resnet18", {"stem": "big"}, "unknown stem 'big'"),
        ("capsnet", {"image_size": 16}, "image_size=16: capsnet takes images of 17x17 or more"),
        ("densenet_bc", {"depth": 23}, "depth=23: it must be 4 more than a multiple of 6"),
        ("lenet5", {"pooling": "min"}, "unknown pooling 'min'"),
        ("simple_m7", {"image_size": 20}, "has no pixels left after 4 valid convolutions 7x7"),
        ("simple_c1", {"image_size": 3}, "has no pixels left after 2 poolings"),
        ("mlp", {"num_classes": 0}, "num_classes and in_chans must be 1 or more"),
        ("mlp", {"num_classes": "10"}, "num_classes and in_chans must be 1 or more, and integers: not '10' and 1"),
        ("cnn", {"pretrained": True}, "pretrained=True: it must be the path of weights, a name such as 'mnist'"),
    ],
)
def test_bad_requests_name_culprit_and_cure(name, options, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        create_model(name, **options)


def test_images_of_another_size_are_refused_clearly():
    with pytest.raises(InputError, match="built for 28x28 images and got 32x32"):
        create_model("cnn")(torch.rand(1, 1, 32, 32))


def test_a_registered_model_is_created_by_name_and_a_taken_name_is_refused(monkeypatch):
    monkeypatch.setattr("mnist_zoo.models.registry._BUILDERS", {})

    @register_model
    class tiny_net(nn.Sequential):
        def __init__(self, num_classes=10, in_chans=1):
            super().__init__(nn.Flatten(), nn.Linear(in_chans * 784, num_classes))

    assert list_models() == ["tiny_net"]
    assert isinstance(create_model("tiny_net"), tiny_net)
    with pytest.raises(InputError, match="'tiny_net' is already registered"):
        register_model("tiny_net")(tiny_net)


class TestCapsNet:
    def test_squashing_keeps_the_direction_and_maps_lengths_as_equation_1(self):
        vectors = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
        squashed = squash(vectors)
        assert squashed.norm(dim=1).tolist() == pytest.approx([25 / 26, 0.25 / 1.25, 0.0])
        assert torch.allclose(squashed[0] / squashed[0].norm(), vectors[0] / 5)

    def test_routing_is_procedure_1(self):
        """Against loops over images, capsules and classes, as the paper writes it."""
        routing = Routing(capsules=4, num_classes=3, iterations=2).requires_grad_(False)
        capsules = torch.randn(2, 4, 8)
        for image, got in zip(capsules, routing(capsules), strict=True):
            votes = [[image[i] @ routing.weight[i].view(8, 3, 16)[:, j] for j in range(3)] for i in range(4)]
            b = torch.zeros(4, 3)
            for _ in range(2):
                c = b.softmax(1)
                v = [squash(sum(c[i, j] * votes[i][j] for i in range(4))) for j in range(3)]
                b = b + torch.tensor([[votes[i][j] @ v[j] for j in range(3)] for i in range(4)])
            assert torch.allclose(got, torch.stack(v), atol=1e-5)

    def test_the_sigmoid_of_a_logit_is_the_length_of_a_capsule(self):
        model = create_model("capsnet").eval()
        images = torch.rand(2, 1, 28, 28)
        lengths = model.features(images).view(2, 10, 16).norm(dim=2)
        assert torch.allclose(model(images).sigmoid(), lengths, atol=1e-5)

    def test_the_loss_adds_the_error_of_the_true_classs_reconstruction(self):
        classifier = LitClassifier({"name": "capsnet", "reconstruction": 0.01}, loss="margin")
        images, labels = torch.rand(3, 1, 28, 28), torch.tensor([1, 0, 7])
        loss, logits = classifier.compute_loss(images, labels)
        drawn = classifier.model.reconstruct(classifier.model.features(images), labels)
        error = (drawn - images).square().sum() / 3
        assert (loss - margin(logits, labels)).item() == pytest.approx(0.01 * error.item(), rel=1e-4)
        shares = nn.functional.one_hot(labels, 10).float()
        assert classifier.compute_loss(images, shares)[0].item() == pytest.approx(loss.item(), rel=1e-6)

    def test_only_the_chosen_classs_capsule_is_drawn(self):
        model = create_model("capsnet")
        capsules = torch.randn(1, 160)
        other = capsules.clone()
        other[:, 16 * 5 : 16 * 6] += 1
        drawn = [model.reconstruct(each, torch.tensor([label])) for each in (capsules, other) for label in (4, 5)]
        assert torch.equal(drawn[0], drawn[2]) and not torch.allclose(drawn[1], drawn[3])

    def test_without_a_decoder_there_is_no_reconstruction(self):
        model = create_model("capsnet", reconstruction=0)
        with pytest.raises(InputError, match=r"has no decoder: train it with model\.reconstruction above 0"):
            model.reconstruct(torch.zeros(1, 160), torch.tensor([0]))
