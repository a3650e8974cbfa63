"""Pretraining without labels: the layers learn what their papers say, and an ordinary run starts from them."""

from __future__ import annotations

import sys

import pytest
import torch

from mnist_zoo import create_model
from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.pretraining import pretrain_and_write
from mnist_zoo.pretrain import main
from mnist_zoo.pretraining import RBM, DenoisingAutoencoder, pretrain
from mnist_zoo.runs import read_metrics
from mnist_zoo.training.run import run
from mnist_zoo.weights import read_weights

SMALL = ("data=custom", "data.name=stripes", "data.normalize=false", "model=mlp", "model.activation=sigmoid")
SMALL = (*SMALL, "model.hidden=[32,16]", "batch_size=16")
FROZEN = "callbacks=[mnist_zoo.training.frozen.FrozenFeatures]"
WORDS = [*SMALL, "--epochs", "3"]


def test_an_autoencoders_step_is_gradient_descent_on_the_cross_entropy():
    layer, images = DenoisingAutoencoder(6, 4, noise=0.5), torch.rand(8, 6)
    weight, up, down = (each.clone().requires_grad_() for each in (layer.weight, layer.hidden_bias, layer.visible_bias))
    torch.manual_seed(1)
    seen = images * (torch.rand(8, 6) >= 0.5)
    drawn = ((seen @ weight.T + up).sigmoid() @ weight + down).sigmoid()
    loss = -(images * drawn.log() + (1 - images) * (1 - drawn).log()).sum() / 8
    loss.backward()
    torch.manual_seed(1)
    assert layer.step(images, 0.3, 0) == pytest.approx(loss.item(), rel=1e-5)
    for after, before in ((layer.weight, weight), (layer.hidden_bias, up), (layer.visible_bias, down)):
        assert torch.allclose(after, before.detach() - 0.3 * before.grad, atol=1e-6)


def test_contrastive_divergence_moves_towards_the_gradient_of_the_likelihood():
    """For an RBM small enough to enumerate: averaged over samples, CD-1's step points uphill."""
    patterns = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]])
    start = RBM(4, 3)
    torch.nn.init.normal_(start.weight, std=0.5)

    def likelihood(weight):
        every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4)
        energy = torch.nn.functional.softplus(every @ weight.T).sum(1)
        return torch.nn.functional.softplus(patterns @ weight.T).sum(1).mean() - energy.logsumexp(0)

    weight = start.weight.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(likelihood(weight), weight)
    moved = torch.zeros_like(gradient)
    for _ in range(200):
        layer = RBM(4, 3)
        layer.weight.copy_(start.weight)
        layer.step(patterns, 0.1, 0)
        moved += layer.weight - start.weight
    assert torch.nn.functional.cosine_similarity(moved.flatten(), gradient.flatten(), dim=0) > 0.7


@pytest.mark.parametrize("kind", ["autoencoder", "dbn"])
def test_every_layer_learns_to_reconstruct_and_the_last_one_stays_random(config, kind):
    found = pretrain(config(*SMALL), kind, epochs=5)
    assert all(losses[-1] < 0.9 * losses[0] for losses in found.losses[:1]) and len(found.losses) == 2
    torch.manual_seed(0)
    fresh = create_model("mlp", hidden=[32, 16], activation="sigmoid")
    pairs = zip(found.network.state_dict().items(), fresh.state_dict().values(), strict=True)
    same = {name for (name, trained), random in pairs if torch.equal(trained, random)}
    assert same == {"head.weight", "head.bias"}
    assert found.images.shape == found.corrupted.shape == found.reconstructions.shape == (10, 1, 28, 28)
    hidden = (kind == "autoencoder") == bool((found.corrupted != found.images).any())
    assert hidden, "only the autoencoder's images lose values"
    again = pretrain(config(*SMALL), kind, epochs=5)
    assert again.losses == found.losses, "the seed decides"


def test_the_last_layer_has_the_weights_that_were_chosen(config):
    head = pretrain(config(*SMALL, "model.init=normal"), "dbn", epochs=1).network.state_dict()["head.weight"]
    torch.manual_seed(0)
    assert torch.equal(head, create_model("mlp", hidden=[32, 16], activation="sigmoid", init="normal").head.weight)


def test_a_run_starts_from_the_weights_and_the_frozen_one_keeps_them(config, tmp_path):
    _, path = pretrain_and_write("dbn", [*SMALL, f"output_dir={tmp_path}"], "mine", False, 2, 0.1, None)
    start = read_weights(path).state
    common = (*SMALL, f"pretrained={path}", "epochs=1", "lr=1e-3", "trainer=cpu", "progress=none", "logger=none")
    for name, *words in (("tuned",), ("frozen", FROZEN)):
        run(config(*common, *words), tmp_path / name)
        state = read_weights(tmp_path / name).state
        moved = {key for key in state if not torch.equal(state[key], start[key])}
        assert moved == ({"head.weight", "head.bias"} if words else set(state)), name
        furthest = max((state[key] - start[key]).abs().max() for key in state)
        assert furthest < 0.02, f"{name}: 11 steps of Adam from the weights"
        assert read_metrics(tmp_path / name)["config"]["pretrained"] == str(path)


def test_frozen_features_need_a_last_layer_with_weights(config, tmp_path):
    small = ("data=custom", "data.name=stripes", "trainer=cpu", "progress=none", "logger=none")
    with pytest.raises(InputError, match="FrozenFeatures needs a network whose last layer, head, has weights"):
        run(config(*small, "model=capsnet", FROZEN), tmp_path)


@pytest.mark.parametrize(
    ("overrides", "options", "message"),
    [
        (["model=cnn"], {}, "model=cnn: pretraining is for an MLP with sigmoid units and without dropout"),
        (["model.activation=relu"], {}, "model=mlp: pretraining is for an MLP with sigmoid units"),
        (["model.dropout=0.1"], {}, "without dropout"),
        (["model.hidden=[]"], {}, "model=mlp: pretraining is for an MLP"),
        (["data.normalize=true"], {}, "pretraining needs pixels from 0 to 1: use data.normalize=false"),
        ([], {"epochs": 0}, "epochs=0: it must be from 1 to 10,000"),
        ([], {"rate": 0}, "rate=0: it must be above 0 and at most 10"),
        ([], {"noise": 1, "kind": "autoencoder"}, "noise=1: it must be 0 or more and below 1"),
        ([], {"noise": 0.1}, "noise=0.1: a dbn has none, only an autoencoder: leave it out"),
        ([], {"kind": "gan"}, "gan: it must be one of autoencoder, dbn"),
    ],
)
def test_what_cannot_be_pretrained_is_refused(config, overrides, options, message):
    changed = [word for word in SMALL if word.partition("=")[0] not in {each.partition("=")[0] for each in overrides}]
    if overrides == ["model=cnn"]:
        changed = [word for word in changed if not word.startswith("model.")]
    with pytest.raises(InputError, match=message):
        pretrain(config(*changed, *overrides), **({"kind": "dbn"} | options))


class TestCommand:
    def call(self, monkeypatch, *words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["pretrain", *words])
        main()

    def test_it_writes_weights_reconstructions_and_losses(self, tmp_path, monkeypatch, capsys):
        self.call(monkeypatch, "autoencoder", *WORDS, f"output_dir={tmp_path}")
        said = capsys.readouterr().out
        folder = tmp_path / "pretrained"
        assert f"next: python -m mnist_zoo -m {' '.join(SMALL[:2])}" in said and "pretrained=" in said
        assert "layer 2: reconstruction loss" in said and f"{folder}/autoencoder.safetensors" in said
        assert (folder / "autoencoder.png").read_bytes()[:4] == b"\x89PNG"
        assert len((folder / "autoencoder.csv").read_text().splitlines()) == 1 + 2 * 3
        assert create_model("mlp", pretrained=folder / "autoencoder.safetensors").features is not None
        with pytest.raises(SystemExit):
            self.call(monkeypatch, "autoencoder", *WORDS, f"output_dir={tmp_path}")
        assert "autoencoder.safetensors exists: choose another --name, or replace it with --force" in (
            capsys.readouterr().err
        )
        self.call(monkeypatch, "autoencoder", *WORDS, f"output_dir={tmp_path}", "--force")

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["dbn", "lr=0.1"], "lr=0.1: pretraining does not use lr, only experiment, model"),
            (["dbn", "--name", "a/b"], "--name a/b: it must be the name of a file, not a path"),
            (["dbn", "model=mlpp"], "unknown model 'mlpp'"),
        ],
    )
    def test_an_invalid_request_is_one_line(self, monkeypatch, capsys, words, message):
        with pytest.raises(SystemExit) as end:
            self.call(monkeypatch, *words)
        err = capsys.readouterr().err
        assert end.value.code == 1 and message in err and err.count("\n") == 1
