"""``python -m mnist_zoo.explore``."""

from mnist_zoo.plots.exploration import main

if __name__ == "__main__":
    main()
