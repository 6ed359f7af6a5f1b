"""An unknown name is answered with the nearest ones, however far, or with all where they are few."""

from pathlib import Path

import pytest

from factortopy.errors import DataError, MissingExtraError, ShapeError, UnavailableError, UnknownNameError

MANY = [f"network-{number}" for number in range(100)]


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("layr", ["layer", "scale"], "did you mean 'layer'"),
        ("xyz", ["layer", "scale"], "known: layer, scale"),
        ("network-7x", MANY, "did you mean 'network-7'"),
        ("nope", MANY, "100 are known, the nearest 'network-"),
    ],
)
def test_the_nearest_names_are_offered(name, known, hint):
    message = str(UnknownNameError("network", name, known))
    assert message.startswith(f"unknown network {name!r}; ")
    assert hint in message
    assert "\n" not in message


def test_facts_are_attributes_so_that_nothing_reads_a_message():
    unknown = UnknownNameError("layer", "layr", ["layer", "scale"])
    assert (unknown.kind, unknown.name, unknown.nearest) == ("layer", "layr", ["layer"])
    missing = MissingExtraError("nulls", "spatial nulls need BrainSpace", "leave them out")
    assert missing.extra == "nulls"
    assert str(missing) == "spatial nulls need BrainSpace: pip install 'factortopy[nulls]', or leave them out"
    assert isinstance(missing, UnavailableError)


def test_an_error_without_a_file_is_given_one_and_one_with_a_file_keeps_it():
    given = ShapeError("3 rows, expected 4").at("folder/rows.npy")
    assert (str(given), given.path) == ("folder/rows.npy: 3 rows, expected 4", Path("folder/rows.npy"))
    assert isinstance(given, ShapeError)
    assert given.at("elsewhere") is given
    assert DataError("in memory").path is None
    of_file = DataError.of("rows.npy", "has 3 rows, expected 4")
    assert (str(of_file), of_file.path) == ("rows.npy has 3 rows, expected 4", Path("rows.npy"))
