"""``python -m tscl``: the command line where the ``tscl`` script is not on the path."""

from tscl.cli.app import app

if __name__ == "__main__":
    app(prog_name="tscl")
