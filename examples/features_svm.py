"""A support vector machine on the features of a CNN: an example of using the zoo in another project.

    python examples/features_svm.py                 5,000 digits, no download, half a minute
    python examples/features_svm.py --data mnist    all of MNIST, a few minutes

The script trains a network with Lightning's Trainer. The input of the network's last layer (`model.features`) is then
the input of scikit-learn's SVC with default settings. It prints the test accuracies of the network and of the SVC.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import pytorch_lightning as pl
import torch
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor

from mnist_zoo import LitClassifier, MNISTDataModule


def features_and_labels(network: LitClassifier, data: MNISTDataModule, split: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return features ``(N, D)``, predicted labels ``(N,)`` and true labels ``(N,)`` of one split."""
    model: Any = network.model  # nn.Module does not declare `features` and `head`, which every network of the zoo has
    with torch.inference_mode():
        features = torch.cat([model.features(images) for images, _ in data.eval_dataloader(split)])
        return features, model.head(features).argmax(1), data.labels(split)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a support vector machine on the features of a CNN.")
    parser.add_argument("--data", default="mnist5k", help="data set (default: mnist5k)")
    parser.add_argument("--data-root", default="data", help="folder of its files (default: data)")
    parser.add_argument("--model", default="cnn", help="network (default: cnn)")
    parser.add_argument("--epochs", type=int, default=5, help="number of epochs (default: 5)")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")  # raised inside Lightning

    pl.seed_everything(0, verbose=False)
    data = MNISTDataModule(args.data, root=args.data_root)
    network = LitClassifier(args.model, lr=1e-3)
    trainer = pl.Trainer(
        max_epochs=args.epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(network, data)

    network.eval()
    train, _, train_labels = features_and_labels(network, data, "train")
    test, predicted, test_labels = features_and_labels(network, data, "test")
    svm = make_pipeline(StandardScaler(), SVC()).fit(train, train_labels)
    print(f"{args.model} on {data.name}: {len(train)} images to train, {train.shape[1]} features, {len(test)} to test")
    print(f"  {args.model}'s own last layer  test accuracy {accuracy_score(test_labels, predicted):.4f}")
    print(f"  SVC on its features     test accuracy {svm.score(test, test_labels):.4f}")


if __name__ == "__main__":
    main()
