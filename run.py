"""The only entry point: python run.py --help"""

from malaria_exp.main import main

if __name__ == "__main__":
    main()
