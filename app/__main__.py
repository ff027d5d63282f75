"""`unrolled`, and `python -m app`: the command, in a process that suits it."""

import sys

from app.huge_pages import ask_for_huge_pages

__all__ = ["main"]

_LONG_LIVED = {"caption", "serve"}


def main() -> None:
    """Run the command; one that captions for long is given huge pages first."""
    if _LONG_LIVED & set(sys.argv[1:2]):
        ask_for_huge_pages()

    from app.cli import app  # noqa: PLC0415

    app()


if __name__ == "__main__":
    main()
