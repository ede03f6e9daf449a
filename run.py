"""The only entry point: python run.py --help shows what it can do."""

import sys

if __name__ == "__main__":
    try:
        from malaria_exp.main import main
    except KeyboardInterrupt:
        # Ctrl-C while the program was still being read: nothing had begun.
        sys.exit(130)
    main()
