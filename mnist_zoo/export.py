"""``python -m mnist_zoo.export``."""

from mnist_zoo.inference.export import main

if __name__ == "__main__":
    main()
