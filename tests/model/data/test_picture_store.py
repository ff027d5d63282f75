"""Pictures are found by name in folders and tars, and nothing hostile is followed."""

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from app.pictures.decode import decode_picture
from model.data.picture_store import PictureStore
from tests.model.data.toys import draw, encoded, write_tar


def same(store: PictureStore, name: str, seed: int) -> bool:
    return np.array_equal(np.array(store.read(name)), np.array(draw(seed)))


def png(seed: int) -> bytes:
    return encoded(draw(seed), "PNG")


def test_a_folder_is_searched_recursively(tmp_path):
    (tmp_path / "one" / "two").mkdir(parents=True)
    (tmp_path / "one" / "two" / "deep.png").write_bytes(png(1))
    store = PictureStore([tmp_path])
    assert "deep.png" in store
    assert same(store, "deep.png", 1)


def test_tars_are_read_in_place(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"x/first.png": png(1), "second.png": png(2)})
    before = set(tmp_path.iterdir())
    store = PictureStore([path])
    assert same(store, "first.png", 1)
    assert same(store, "second.png", 2)
    assert set(tmp_path.iterdir()) == before


def test_a_pattern_matches_all_shards(tmp_path):
    for i in range(3):
        write_tar(tmp_path / f"shard-{i}.tar", {f"{i}.png": png(i)})
    write_tar(tmp_path / "other.tar", {"other.png": png(9)})
    store = PictureStore([tmp_path / "shard-*.tar"])
    assert all(same(store, f"{i}.png", i) for i in range(3))
    assert "other.png" not in store


def test_folders_and_tars_can_be_mixed(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "1.png").write_bytes(png(1))
    shard = write_tar(tmp_path / "2.tar", {"2.png": png(2)})
    store = PictureStore([str(tmp_path / "folder"), shard])
    assert same(store, "1.png", 1)
    assert same(store, "2.png", 2)


@pytest.mark.parametrize("source", ["nowhere", "nothing-*.tar"])
def test_the_error_for_a_source_that_matches_nothing_names_it(tmp_path, source):
    with pytest.raises(FileNotFoundError, match=source.replace("*", r"\*")):
        PictureStore([tmp_path / source])


def test_the_error_for_a_file_that_is_not_a_tar_names_it(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(png(1))
    with pytest.raises(ValueError, match=r"picture\.png is not a complete, uncompressed tar file"):
        PictureStore([path])


def test_a_compressed_tar_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz"):
        pass
    with pytest.raises(ValueError, match="uncompressed tar"):
        PictureStore([tmp_path / "a.tar.gz"])


def test_paths_out_of_a_tar_are_not_followed(tmp_path):
    folder = tmp_path / "deep"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(png(1))
    shard = write_tar(folder / "a.tar", {"../secret.png": png(2), "/etc/passwd.png": png(3)})
    store = PictureStore([shard])
    assert same(store, "secret.png", 2)  # the bytes in the tar, not those of the file at that path
    assert same(store, "passwd.png", 3)
    assert "../secret.png" not in store
    assert (tmp_path / "secret.png").read_bytes() == png(1)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_ignored(tmp_path, kind):
    (tmp_path / "secret.png").write_bytes(png(1))
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        member = tarfile.TarInfo("link.png")
        member.type, member.linkname = kind, str(tmp_path / "secret.png")
        tar.addfile(member)
    assert "link.png" not in PictureStore([tmp_path / "a.tar"])


def test_an_unknown_name_is_a_key_error(tmp_path):
    with pytest.raises(KeyError, match=r"nobody\.png"):
        PictureStore([tmp_path]).read("nobody.png")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_every_picture_is_read_as_rgb(tmp_path, kind):
    (tmp_path / "grey").write_bytes(encoded(draw(1).convert("L").convert("RGB"), kind))
    (tmp_path / "palette.png").write_bytes(encoded(draw(1).convert("P"), "PNG"))
    store = PictureStore([tmp_path])
    assert store.read("grey").mode == "RGB"
    assert store.read("palette.png").mode == "RGB"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.6])
def test_the_error_for_a_truncated_picture_names_it(tmp_path, kind, kept):
    content = encoded(draw(1), kind)
    (tmp_path / "half").write_bytes(content[: int(kept * len(content))])
    with pytest.raises(OSError, match=r"half in .* is not a complete picture"):
        PictureStore([tmp_path]).read("half")


def test_pictures_are_decoded_as_in_serving(tmp_path):
    turned, clear, deep = tmp_path / "turned.jpg", tmp_path / "clear.png", tmp_path / "deep.png"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    draw(1).save(turned, exif=exif)
    half = draw(2).convert("RGBA")
    half.putalpha(128)
    half.save(clear)
    Image.fromarray(np.arange(0, 60000, 100, np.uint16).reshape(20, 30)).save(deep)
    store = PictureStore([tmp_path])
    assert store.read("turned.jpg").size == draw(1).size[::-1]
    for path in (turned, clear, deep):
        served = decode_picture(path.read_bytes(), 10**6).image
        assert np.array_equal(np.array(store.read(path.name)), np.array(served))


def test_random_damage_is_an_error_or_a_picture(tmp_path):
    rng = np.random.default_rng(0)
    content = np.frombuffer(png(1), np.uint8)
    failed = 0
    for _ in range(60):
        damaged = content.copy()
        damaged[rng.integers(8, len(content), 5)] = rng.integers(0, 256, 5)
        (tmp_path / "damaged").write_bytes(damaged.tobytes())
        try:
            PictureStore([tmp_path]).read("damaged")
        except OSError:
            failed += 1
    assert failed > 30


def test_a_tar_cut_short_after_it_was_opened_is_an_error(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"1.png": png(1)})
    store = PictureStore([path])
    os.truncate(path, 700)
    with pytest.raises(OSError, match=r"1\.png in .*a\.tar is not a complete picture"):
        store.read("1.png")


def test_other_formats_are_refused(tmp_path: Path):
    (tmp_path / "a.ppm").write_bytes(encoded(draw(1), "PPM"))
    with pytest.raises(OSError, match=r"a\.ppm"):
        PictureStore([tmp_path]).read("a.ppm")
