"""Run the command line: ``python -m stockade``."""

from stockade.cli import main

if __name__ == "__main__":
    main()
