import pytest

from model.config import RecurrentConfig
from model.networks.cells import CELLS
from model.networks.text_network import TextNetwork
from model.studies.matching import check_cells, nearest_network, parameter_count


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("parameters", "layers"), [(50_000, 1), (350_000, 1), (900_000, 2)])
def test_hidden_size_is_the_nearest(cell: str, parameters: int, layers: int) -> None:
    config, count = nearest_network(cell, parameters, 69, layers=layers)
    assert count == pytest.approx(parameters, rel=0.02)
    assert count == sum(p.numel() for p in TextNetwork(config, 69).parameters())
    for hidden_size in (config.hidden_size - 1, config.hidden_size + 1):
        other = RecurrentConfig(cell=cell, hidden_size=hidden_size, layers=layers)
        assert abs(parameter_count(other, 69) - parameters) >= abs(count - parameters)


@pytest.mark.parametrize("cell", CELLS)
def test_exact_numbers_are_found(cell: str) -> None:
    for hidden_size in (1, 2, 29, 30, 31, 64):  # 30 is the vocabulary, where MUT1 and MUT2 differ
        exact = parameter_count(RecurrentConfig(cell=cell, hidden_size=hidden_size), 30)
        assert nearest_network(cell, exact, 30)[1] == exact


def test_too_few_parameters_are_reported() -> None:
    with pytest.raises(ValueError, match="too few: one unit of lstm has"):
        nearest_network("lstm", 100, 69)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["rnn", "transformer"], "unknown cell 'transformer': choose from rnn, lstm"),
        (["gru", "gru"], "gru is named twice"),
        ([], "at least one cell"),
    ],
)
def test_bad_cells_are_reported(cells: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_cells(cells)
