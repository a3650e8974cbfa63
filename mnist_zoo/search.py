"""``python -m mnist_zoo.search``."""

from mnist_zoo.hydra_app.search import main

if __name__ == "__main__":
    main()
