"""After training: evaluate the best epoch once, and write what was run and its metrics."""

from __future__ import annotations

import shlex
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_accuracy

from mnist_zoo import speed
from mnist_zoo.classifier import LitClassifier
from mnist_zoo.data import MNISTDataModule
from mnist_zoo.machine import processor_name, versions
from mnist_zoo.models.flops import count_flops
from mnist_zoo.runs import RunFolder, read_curves
from mnist_zoo.runs.identity import without_added
from mnist_zoo.runs.interval import interval_text
from mnist_zoo.splits import SPLITS
from mnist_zoo.weights import read_archive

# The Trainer's settings that say where it computes. All others can change the metrics by more than rounding.
NAMES = dict(zip(SPLITS, ("train", "validation", "test"), strict=True))
HARDWARE = ("accelerator", "devices", "num_nodes", "strategy", "deterministic")


def evaluate_best(
    cfg: dict[str, Any],
    folder: RunFolder,
    trainer: pl.Trainer,
    data: MNISTDataModule,
    optimisations: list[str],
    off: Collection[str],
    *,
    brief: bool = False,
) -> float:
    """Evaluate the best epoch on all splits and finish the run folder. The test split is read here, once.

    (A finished run that is trained on is tested again; ``test_evaluations`` counts.) Writes ``metrics.json``,
    ``predictions.npz`` and the logger's final metrics, and prints `summary_table`.

    Args:
        cfg: a composed config.
        folder: the run folder.
        trainer: that trained.
        data: that it trained on.
        optimisations: names of the optimisations of speed that were on in training.
        off: names of those that are not to be used in evaluation either.
        brief: whether to print nothing.

    Returns:
        The validation accuracy, a fraction.
    """
    best = LitClassifier.load_from_checkpoint(folder.best_checkpoint, map_location="cpu", weights_only=True)
    logger: Any = trainer.logger
    log_network(logger, cfg, best.model, data)  # before optimisations change it
    logits, device = _predict(best, data, cfg["trainer"], off)
    return finish_run(
        cfg, folder, best, data, logits, optimisations=optimisations, device=device, logger=logger, brief=brief
    )


def log_network(logger: Any, cfg: Mapping[str, Any], network: nn.Module, data: MNISTDataModule) -> None:
    """Write the graph of a network to TensorBoard, if it is the logger."""
    if logger and cfg["logger"]["name"] == "tensorboard":
        from mnist_zoo.plots.tensorboard import log_graph  # here: nothing else in a run needs matplotlib

        log_graph(logger.experiment, network, data.image_shape)


def finish_run(
    cfg: dict[str, Any],
    folder: RunFolder,
    best: LitClassifier,
    data: MNISTDataModule,
    logits: Mapping[str, Tensor],
    *,
    optimisations: list[str],
    device: str,
    logger: Any = False,
    brief: bool = False,
) -> float:
    """Score the logits of the best epoch and finish the run folder: ``metrics.json`` and ``predictions.npz``.

    Args:
        cfg: a composed config.
        folder: the run folder, with ``curves.csv`` and ``best.ckpt``.
        best: the network of the best epoch, on the CPU.
        data: has the labels.
        logits: of each split, float32 ``(N, C)`` on the CPU.
        optimisations: names of the optimisations of speed that were on in training.
        device: the name of the device.
        logger: of Lightning, for the final metrics; False for none.
        brief: whether to print nothing.

    Returns:
        The validation accuracy, a fraction.
    """
    metrics = _what_was_run(cfg, best, data) | _how_it_went(folder, cfg)
    for split in SPLITS:
        metrics |= {f"{split}_{name}": value for name, value in score(logits[split], data.labels(split)).items()}
        if data.label_parts:
            metrics[f"{split}_part_acc"] = part_accuracy(logits[split], data.labels(split), data.label_parts)
    metrics |= {
        "test_evaluations": folder.status.get("test_evaluations", 0) + 1,
        "speed": optimisations,
        "device": device,
        "versions": versions(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    if logger:
        _log(logger, cfg["logger"]["name"], metrics, data, logits["test"])
    folder.finish(metrics, predictions(logits, data))
    if not brief:
        print(summary_table(metrics, folder))
    return metrics["val_acc"]


def _predict(
    best: LitClassifier, data: MNISTDataModule, options: Mapping[str, Any], off: Collection[str]
) -> tuple[dict[str, Tensor], str]:
    """Return the logits of each split, float32 ``(N, C)`` on the CPU, and the name of the device."""
    gathered = _Logits(data)
    evaluator = pl.Trainer(
        accelerator=options["accelerator"],
        devices=1,
        callbacks=[gathered],
        precision=options.get("precision"),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    speed.apply_to_network(best.model, evaluator.strategy.root_device, off)
    evaluator.predict(best, datamodule=data, return_predictions=False)
    return {split: logits.cpu() for split, logits in gathered.logits.items()}, device_name(
        evaluator.strategy.root_device
    )


class _Logits(Callback):
    """The logits of each split, copied into one tensor batch by batch.

    (A list of the batches' tensors would keep the memory from being reused in which they were computed.)
    """

    def __init__(self, data: MNISTDataModule):
        self.logits: dict[str, Tensor] = {}
        self._sizes = {split: len(data.labels(split)) for split in SPLITS}
        self._filled = dict.fromkeys(SPLITS, 0)

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        split = SPLITS[dataloader_idx]
        if split not in self.logits:
            self.logits[split] = outputs.new_empty(self._sizes[split], outputs.shape[1], dtype=torch.float32)
        start = self._filled[split]
        self._filled[split] = start + len(outputs)
        self.logits[split][start : self._filled[split]] = outputs


def _what_was_run(cfg: dict[str, Any], best: LitClassifier, data: MNISTDataModule) -> dict[str, Any]:
    settings = without_added(cfg)
    return {
        "model": cfg["model"]["name"],
        "num_params": sum(parameter.numel() for parameter in best.model.parameters()),
        "flops": count_flops(best.model, data.image_shape),
        **what_data(data),
        **{key: settings[key] for key in ("lr", "batch_size", "seed", "epochs", "augment", "optimizer", "scheduler")},
        "model_options": {key: value for key, value in cfg["model"].items() if key != "name"},
        "config": {
            **{key: cfg[key] for key in ("label_smoothing", "grad_clip", "ema", "monitor", "early_stop")},
            **{key: settings[key] for key in ("loss", "callbacks", "adversary", "pretrained") if key in settings},
            "data": {
                **{key: settings["data"][key] for key in ("normalize", "epoch_images") if key in settings["data"]},
                **_width(cfg),
            },
            "trainer": {key: value for key, value in cfg["trainer"].items() if key not in HARDWARE},
        },
    }


def _width(cfg: Mapping[str, Any]) -> dict[str, int]:
    """Return the filter that sets the width, if it is used: the fingerprint alone would not tell members apart."""
    width = cfg["data"].get("filters", {}).get("width")
    return {} if width is None else {"width": width}


def what_data(data: MNISTDataModule) -> dict[str, Any]:
    """Return the metrics that say which images a run used: name, fingerprints, and the size of each split."""
    return {
        "data": data.name,
        "data_fingerprint": data.fingerprint,
        "images_fingerprint": data.images_fingerprint,
        **{f"n_{split}": len(data.labels(split)) for split in SPLITS},
    }


def _how_it_went(folder: RunFolder, cfg: Mapping[str, Any]) -> dict[str, Any]:
    rows = read_curves(folder.path)
    speeds = sorted(row["images_per_second"] for row in rows)
    saved = read_archive(folder.best_checkpoint)
    folder.update()  # reads what another process of DDP may have written
    return {
        "epochs_run": len(rows),
        "best_epoch": saved["epoch"] + 1,
        "stopped_early": len(rows) < cfg["trainer"].get("max_epochs", cfg["epochs"]),
        "fit_seconds": round(sum(row["seconds"] for row in rows), 3),
        "train_images_per_second": speeds[len(speeds) // 2],
        "peak_memory_bytes": folder.status.get("peak_memory_bytes"),
    }


def _log(logger: Any, kind: str, metrics: Mapping[str, Any], data: MNISTDataModule, logits: Tensor) -> None:
    """Log the settings with the final metrics; for TensorBoard also plots of the test split."""
    settings = ("model", "data", "lr", "batch_size", "seed", "epochs", "num_params")
    parameters = {key: metrics[key] for key in settings}
    summary = ("val_acc", "val_loss", "test_acc", "test_loss", "fit_seconds")
    final = {f"final/{key}": metrics[key] for key in summary}
    if kind == "tensorboard":
        from mnist_zoo.plots.tensorboard import log_figures  # here: nothing else in a run needs matplotlib

        logger.log_hyperparams(parameters, final)
        images, labels = data.images("test").numpy(), data.labels("test").numpy()
        log_figures(logger.experiment, images, labels, logits.numpy(), list(data.class_names))
    else:
        logger.log_hyperparams(parameters)
        logger.log_metrics(final)
    logger.finalize("success")


def score(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Return accuracy (fraction) and mean cross-entropy (nats) of logits ``(N, C)`` against labels ``(N,)``."""
    accuracy = multiclass_accuracy(logits, labels, logits.shape[1], average="micro").item()  # a float32
    return {
        "acc": round(accuracy * len(labels)) / len(labels),
        "loss": F.cross_entropy(logits, labels).item(),
    }


def part_accuracy(logits: Tensor, labels: Tensor, parts: Sequence[int]) -> float:
    """Return the share of the parts of labels that are correct in the predicted labels, such as of single digits.

    Args:
        logits: ``(N, C)``.
        labels: int64 ``(N,)``.
        parts: numbers of values of the parts of a label; the last changes fastest.
    """
    correct, predicted = 0, logits.argmax(1)
    for size in reversed(parts):
        correct += int((predicted % size == labels % size).sum())
        predicted, labels = predicted // size, labels // size
    return correct / (len(labels) * len(parts))


def summary_table(metrics: Mapping[str, Any], folder: RunFolder) -> str:
    """Return the table that a run prints at its end, with what it means and what can be done next."""
    lines = [
        f"{metrics['model']} on {metrics['data']}: {metrics['num_params']:,} parameters, "
        f"{metrics['flops'] / 1e6:.2f} MFLOP an image; best epoch {metrics['best_epoch']} of {metrics['epochs_run']}",
        *score_lines(metrics),
    ]
    if "test_part_acc" in metrics:
        words = (f"{name} {metrics[f'{split}_part_acc']:.4f}" for split, name in NAMES.items())
        lines.append(f"  accuracy of the parts of a label, such as single digits: {', '.join(words)}")
    place = shlex.quote(str(folder.path))
    lines += [
        "  * (above): the best epoch so far, by validation; the last one is in this table",
        f"  trained in {metrics['fit_seconds']:.1f} s on {metrics['device']}; images/s counts training images without "
        f"validation: {metrics['train_images_per_second']:,.0f} in the median epoch",
        f"  run folder: {folder.path}",
        f"  next:       python -m mnist_zoo.predict {place} IMAGES",
        f"              python -m mnist_zoo.export {place}",
        f"              python -m mnist_zoo.report {place} --open",
    ]
    if any(folder.path.glob("events.out.tfevents.*")):
        lines.append(f"              tensorboard --logdir {shlex.quote(str(folder.path.parent))}")
    return "\n".join(lines)


def score_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Return the lines of the table of accuracies and losses that a run prints at its end."""
    lines = [f"  {'':10} {'images':>8} {'accuracy':>9}   {'95 % interval':15} {'loss':>8}"]
    for split, name in zip(SPLITS, ("train", "validation", "test"), strict=True):
        count, accuracy, loss = (metrics[key] for key in (f"n_{split}", f"{split}_acc", f"{split}_loss"))
        lines.append(f"  {name:10} {count:8,} {accuracy:9.4f}   {interval_text(accuracy, count)} {loss:8.4f}")
    return [
        *lines,
        "  interval: how exactly this many images determine the accuracy (Wilson); other seeds vary as well",
    ]


def predictions(logits: Mapping[str, Tensor], data: MNISTDataModule) -> dict[str, np.ndarray]:
    """Return the arrays of ``predictions.npz``.

    Args:
        logits: of each split, float32 ``(N, C)``.
        data: has the labels.
    """
    dtype = np.uint8 if data.num_classes <= 256 else np.int32
    return {
        "logits": logits["test"].numpy(),
        "labels": data.labels("test").numpy().astype(dtype),
        "val_logits": logits["val"].numpy(),
        "val_labels": data.labels("val").numpy().astype(dtype),
    }


def device_name(device: torch.device) -> str:
    """Return the name of a device, with the number of threads for a processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor(device.type)


def processor(kind: str = "cpu") -> str:
    """Return the name of this machine's processor, and the number of threads that compute."""
    threads = torch.get_num_threads()
    return f"{processor_name()} {kind}, {threads} thread{'s' if threads > 1 else ''}"
