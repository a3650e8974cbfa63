"""``python -m mnist_zoo.status``."""

from mnist_zoo.runs.status import main

if __name__ == "__main__":
    main()
