"""``python -m results collect|render``."""

from results.collect import main

if __name__ == "__main__":
    main()
