"""The only entry point: python run.py --help shows what it can do."""

from malaria_exp.main import main

if __name__ == "__main__":
    main()
