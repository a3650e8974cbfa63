"""Run folders as training writes them, in milliseconds: for tests of the report over very many runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

MODELS = ("mlp", "lenet5", "cnn", "cnn_dropout", "resnet18")
CLASSES = 10


def write_runs(folder: Path, configurations: int, seeds: int, images: int = 1000, epochs: int = 10) -> Path:
    """Write ``configurations * seeds`` finished runs on one data set to `folder`, and return it.

    Configurations are a model and a learning rate each. Accuracies, losses and predictions agree.
    """
    labels = np.arange(images) % CLASSES
    for number in range(configurations):
        for seed in range(seeds):
            _write_run(folder / f"{number:03d}-{seed:03d}", number, seed, labels, epochs)
    return folder


def _write_run(path: Path, number: int, seed: int, labels: np.ndarray, epochs: int) -> None:
    draw = np.random.default_rng([number, seed])
    model, lr = MODELS[number % len(MODELS)], 0.001 * (1 + number // len(MODELS))
    (path / ".hydra").mkdir(parents=True)
    error = 0.01 + 0.002 * (number % 40)
    test, val = (_logits(draw, labels, error) for _ in range(2))
    metrics = {
        **{"model": model, "num_params": 100_000 + 10_000 * number, "flops": 200_000 + 1_000 * number},
        **{"data": "mnist", "data_fingerprint": "0" * 16, "n_train": 4000},
        **{"n_val": len(labels), "n_test": len(labels), "lr": lr, "batch_size": 64, "seed": seed, "epochs": epochs},
        "augment": {"rotate": 0.0, "fill": "zeros"},
        "optimizer": {"name": "adam", "betas": [0.9, 0.999]},
        "scheduler": {"name": "none"},
        "model_options": {"hidden": [120, 84], "dropout": 0.0},
        "config": {"label_smoothing": 0.0, "trainer": {"precision": "32-true"}},
        **{"epochs_run": epochs, "best_epoch": epochs, "fit_seconds": 30 + float(draw.random())},
        **{"train_images_per_second": 10_000 * (1 + float(draw.random())), "device": "a cpu, 1 thread"},
        **{"train_acc": 0.999, "train_loss": 0.01, "test_evaluations": 1},
        **{"versions": {"mnist_zoo": "0.2.0", "torch": "2.10"}, "date": "2026-11-22"},
    }
    for split, logits in (("val", val), ("test", test)):
        metrics |= {f"{split}_acc": float((logits.argmax(1) == labels).mean()), f"{split}_loss": _loss(logits, labels)}
    status = {"state": "finished", "epoch": epochs, "epochs": epochs, "identity": f"{number:08x}{seed:08x}"}
    rows = "".join(f"{e},{lr},{0.5 / e},{1 - 0.1 / e},{0.6 / e},{1 - 0.2 / e},1.5,9000\n" for e in range(1, epochs + 1))
    header = "epoch,lr,train_loss,train_acc,val_loss,val_acc,seconds,images_per_second\n"
    (path / "status.json").write_text(json.dumps(status))
    (path / "curves.csv").write_text(header + rows)
    (path / "metrics.json").write_text(json.dumps(metrics))
    (path / ".hydra" / "overrides.yaml").write_text(f"- model={model}\n- lr={lr}\n- seed={seed}\n- data=mnist\n")
    np.savez(path / "predictions.npz", logits=test, labels=labels, val_logits=val, val_labels=labels)


def _logits(draw: np.random.Generator, labels: np.ndarray, error: float) -> np.ndarray:
    """Return float32 ``(N, 10)`` that predict a wrong class for about a share `error` of the labels."""
    predicted = np.where(draw.random(len(labels)) < error, (labels + 1) % CLASSES, labels)
    logits = draw.standard_normal((len(labels), CLASSES)).astype(np.float32)
    logits[np.arange(len(labels)), predicted] += 8
    return logits


def _loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the cross-entropy in nats."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=1))
    return float((log_sums - shifted[np.arange(len(labels)), labels]).mean())
