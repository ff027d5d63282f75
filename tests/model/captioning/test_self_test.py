"""The self-test: golden pictures get the captions they should, or the captioner is refused."""

import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from model.bundle.format import BundleError
from model.bundle.write import save_bundle
from model.captioning.caption import Caption
from model.captioning.captioner import Captioner
from model.captioning.self_test import GoldenPicture, check_golden
from model.config import GoldenConfig
from tests.tiny import (
    save_finalized_captioner,
    save_tiny_captioner,
    sign,
    tamper,
    tiny_captioner,
)

GOLDEN = "golden/1.png"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return save_finalized_captioner(tmp_path / "finished")


def load(bundle: Path) -> Captioner:
    return Captioner.load(bundle, "cpu", self_test=True)


def error_of(bundle: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load(bundle)
    return str(caught.value)


def test_a_sound_bundle_passes(bundle):
    assert load(bundle).self_test() == 1


def test_a_bundle_without_golden_pictures_has_nothing_to_fail(tmp_path):
    assert load(save_tiny_captioner(tmp_path / "b")).self_test() == 0
    assert tiny_captioner().self_test() == 0


def test_changed_weights_with_a_matching_digest_fail(bundle):
    message = error_of(tamper(bundle))
    assert "the self-test fails: golden/1.png should be" in message
    Captioner.load(bundle, "cpu")  # without a self-test it loads


@pytest.mark.parametrize("exact", [True, False])
def test_a_logprob_may_differ_by_the_tolerance(exact):
    golden = [GoldenPicture(Image.new("RGB", (2, 2)), GoldenConfig(GOLDEN, "a dog", -3.0))]

    def check(text: str, logprob: float) -> None:
        found = Caption(text, logprob, logprob, finished=True, tokens=())
        check_golden(golden, lambda _: found, lambda _: found, exact=exact)

    tolerance = 0.01 if exact else 0.5
    check("a dog", -3.0 + 0.99 * tolerance)
    for text, logprob in [
        ("a dog", -3.0 - 1.01 * tolerance),
        ("a cat", -3.0),
        ("a dog", float("nan")),
    ]:
        with pytest.raises(BundleError, match=r"should be 'a dog' \(-3\.000\)"):
            check(text, logprob)


def test_rounding_may_put_another_caption_first_where_arithmetic_is_not_exact(bundle):
    captioner = load(bundle)
    (golden,) = captioner._golden
    worse = captioner.caption(golden.picture, num_captions=2)[1]
    expected = replace(golden.expected, text=worse.text, logprob=worse.logprob + 0.4)
    captioner._golden = (replace(golden, expected=expected),)
    with pytest.raises(BundleError, match="the self-test fails"):
        captioner.self_test()
    captioner.runner.exact = False
    assert captioner.self_test() == 1
    expected = replace(expected, logprob=worse.logprob + 0.6)
    captioner._golden = (replace(golden, expected=expected),)
    with pytest.raises(BundleError, match="the self-test fails"):
        captioner.self_test()


def test_rounding_cannot_put_most_captions_out_of_order():
    expected = Caption("a dog", -3.0, -1.0, finished=True, tokens=())
    golden = [GoldenPicture(Image.new("RGB", (2, 2)), GoldenConfig(GOLDEN, "a dog", -3.0))] * 5

    def check(others: int, *, exact: bool) -> None:
        captions = iter([replace(expected, text="a cat")] * others + [expected] * (5 - others))
        check_golden(golden, lambda _: next(captions), lambda _: expected, exact=exact)

    check(3, exact=False)
    for others, exact in ((4, False), (1, True)):
        with pytest.raises(BundleError, match="here is 'a cat'"):
            check(others, exact=exact)


def test_what_is_captured_is_tested(bundle, monkeypatch):
    captioner, calls = load(bundle), []
    runner = type(captioner.runner)
    encode = runner.encode
    monkeypatch.setattr(runner, "captured_sizes", (1, 2))
    monkeypatch.setattr(runner, "finish_captures", lambda _: calls.append("captured"))
    monkeypatch.setattr(
        runner, "encode", lambda self, pixels: calls.append("encode") or encode(self, pixels)
    )
    captioner.self_test()
    assert calls == ["encode", "captured", "encode"]


def test_a_golden_picture_that_is_damaged_or_missing_is_named(bundle):
    path = bundle / GOLDEN
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert f"{GOLDEN} is damaged" in error_of(bundle)
    sign(bundle, GOLDEN)
    assert f"{GOLDEN} is no PNG picture" in error_of(bundle)
    path.unlink()
    assert f"{GOLDEN} cannot be read" in error_of(bundle)


def test_only_a_small_png_is_opened(bundle):
    path = bundle / GOLDEN
    Image.new("RGB", (4, 4)).save(path, "BMP")
    sign(bundle, GOLDEN)
    assert f"{GOLDEN} is no PNG picture" in error_of(bundle)
    header = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
    sign(bundle, GOLDEN)
    assert GOLDEN in error_of(bundle)
    Image.new("1", (1200, 1000)).save(path, "PNG")
    sign(bundle, GOLDEN)
    assert "has more than 1000000 pixels" in error_of(bundle)


@pytest.mark.parametrize("name", ["../1.png", "golden/../../1.png", "/etc/passwd", "golden/a.png"])
def test_a_file_outside_the_bundle_is_refused(bundle, name):
    path = bundle / "config.json"
    config = json.loads(path.read_text())
    config["golden"][0]["file"] = name
    path.write_text(json.dumps(config))
    assert "golden.0.file" in error_of(bundle)


def test_a_golden_picture_without_a_digest_is_refused(bundle):
    path = bundle / "config.json"
    config = json.loads(path.read_text())
    del config["sha256"][GOLDEN]
    path.write_text(json.dumps(config))
    assert f"gives no sha256 of {GOLDEN}" in error_of(bundle)


def test_a_bundle_is_not_saved_without_the_pictures_that_it_names(bundle, tmp_path):
    captioner = load(bundle)
    files = {name: data for name, data in captioner.optional_files().items() if name != GOLDEN}
    with pytest.raises(ValueError, match=r"names golden/1\.png, which is not there"):
        save_bundle(
            tmp_path / "new",
            captioner.config,
            captioner.network.state_dict(),
            captioner.vocabulary,
            captioner.card,
            files=files,
        )
    assert not (tmp_path / "new").exists()
