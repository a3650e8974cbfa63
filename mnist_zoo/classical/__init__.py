"""Classical models through scikit-learn: nearest neighbours, support vector machines, trees and others.

``python -m mnist_zoo model=knn`` fits one and writes the run folder of any other run, so that sweeps, ``status`` and
``report`` treat it as a network. In Python: `create_estimator`, `list_estimators`, `load_estimator`.
"""

from mnist_zoo.classical.estimators import create_estimator, list_estimators
from mnist_zoo.classical.saving import load_estimator

__all__ = ["create_estimator", "list_estimators", "load_estimator"]
