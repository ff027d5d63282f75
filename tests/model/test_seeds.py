from model.seeds import draw_seed


def test_seeds_are_drawn_at_random_and_can_be_typed_again() -> None:
    drawn = {draw_seed() for _ in range(9)}
    assert len(drawn) == 9
    assert all(0 <= seed < 2**32 for seed in drawn)
