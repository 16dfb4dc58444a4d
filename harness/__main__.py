"""`python -m harness COMMAND`, as a process: Ctrl-C ends it with a sentence."""

import sys


def process() -> int:
    """Run the command of the command line; returns the exit code."""
    from harness import cli

    try:
        return cli.main()
    except KeyboardInterrupt:  # not caught in `main`, so that Ctrl-C in a notebook stops the cells that follow
        return cli.interrupted(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(process())
