"""An unknown name is answered with the nearest ones, however far, or with all where they are few."""

import pytest

from factortopy.errors import UnknownNameError

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
