import random
from pathlib import Path

from benchmarks import fuzz_pictures
from benchmarks.bench import Bench
from model.pictures.decode import open_picture


def test_the_pictures_are_sound_before_they_are_mutated():
    for data in fuzz_pictures.sound_pictures().values():
        assert set(open_picture(data).decode().size) == {96, 64}


def test_mutations_damage_pictures_and_are_the_same_every_time():
    data = bytes(range(256))
    first, second = (fuzz_pictures.mutate(data, random.Random(1)) for _ in range(2))
    assert first == second != data


def test_mutated_pictures_are_decoded_or_refused(capfd):
    bench = Bench(Path(), Path(), fuzzed_pictures=220)
    (table,) = fuzz_pictures.measure(bench)
    assert sum(row["mutated"] for row in table.rows) == 220
    assert sum(row["refused"] for row in table.rows) > 50
    capfd.readouterr()  # what libtiff says
