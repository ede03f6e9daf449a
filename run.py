"""Starts the program in a clone: `python run.py --help`. Where the package is installed, `malaria-exp` and `python -m malaria_exp` do the same."""

import sys

if __name__ == "__main__":
    try:
        from malaria_exp.main import main
    except KeyboardInterrupt:
        # Ctrl-C while the program was still being read: nothing had begun.
        sys.exit(130)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("malaria_exp"):
            raise
        sys.exit(
            f"error: the package '{error.name}' is not installed for {sys.executable}. Run `make run` once and activate its environment with"
            " `source .venv/bin/activate`, or install into this one: python -m pip install --constraint constraints.txt --editable ."
        )
    main()
