"""``python -m mnist_zoo.predict``."""

from mnist_zoo.inference.predict import main

if __name__ == "__main__":
    main()
