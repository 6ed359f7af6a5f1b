"""``python -m factortopy``."""

from factortopy.cli import main

if __name__ == "__main__":
    main()
