import json
import subprocess
import sys
from dataclasses import asdict

from app.pictures.process import DecodeRequest
from tests.app.photos import encoded, photo


def test_the_program_reads_a_picture_and_writes_it_resized() -> None:
    request = asdict(DecodeRequest(max_pixels=10_000, size=8, how="crop"))
    done = subprocess.run(
        [sys.executable, "-m", "app.pictures.child"],
        input=json.dumps(request).encode() + b"\n" + encoded(photo()),
        capture_output=True,
        timeout=60,
        check=True,
    )
    head, pixels = done.stdout.split(b"\n", 1)
    assert json.loads(head) == {"format": "PNG", "width": 60, "height": 40}
    assert len(pixels) == 8 * 8 * 3
