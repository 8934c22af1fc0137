"""`python -m xnorm.emotion`: see xnorm.emotion.main."""

from common.errors import run_main
from xnorm.emotion.main import main

if __name__ == "__main__":
    run_main(main)
