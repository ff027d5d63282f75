"""What the commands share on a terminal."""

from app.cli.terminal import printable_text


def test_undecodable_bytes_of_an_argument_become_printable() -> None:
    assert printable_text("caf\udcc3\udca9 \udcff") == "café \N{REPLACEMENT CHARACTER}"
