"""python -m malaria_exp: the same program as run.py and malaria-exp."""

from malaria_exp.main import main

if __name__ == "__main__":
    main()
