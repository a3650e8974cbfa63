"""Which of two or more configurations is better: trains paired seeds in small batches until the answer is known.

``python -m mnist_zoo.versus`` is the command; docs/versus.md explains it.
"""
