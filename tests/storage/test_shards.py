"""Images of a shard: what was written comes back, and a byte that has changed is found wherever it lies."""

import numpy as np
import pytest

from factortopy.errors import DataError
from factortopy.storage import SHARD_IMAGES, RowArray, read_rows, shard_path, write_shard

ITEM, COUNT = (3, 5), 12
SIZE = 2 * 3 * 5 + 4  # with its checksum


@pytest.fixture
def shard(tmp_path):
    values = np.random.default_rng(0).integers(0, 2**16, (COUNT, *ITEM)).astype("<u2")
    write_shard(shard_path(tmp_path, 0, 0, 0), values, (1, *ITEM), (SHARD_IMAGES, *ITEM))
    return RowArray(tmp_path, ITEM, "<u2"), values


@pytest.mark.parametrize("rows", [[4], range(COUNT), [0, 1, 2, 5, 6, 11], [7, 3, 3, 9, 8]])
def test_rows_in_any_order(shard, rows):
    array, values = shard
    (read,) = read_rows([array], list(rows))
    np.testing.assert_array_equal(read, values[list(rows)])


def test_every_byte_that_changes_is_found(shard):
    array, values = shard
    file = array.shard(0)
    content = file.read_bytes()
    for place in range(COUNT * SIZE):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        with pytest.raises(DataError, match="a checksum differs"):
            read_rows([array], range(COUNT))
        others = [row for row in range(COUNT) if row != place // SIZE]
        np.testing.assert_array_equal(read_rows([array], others)[0], values[others])


def test_zeros_without_a_checksum_are_no_image(shard):
    array, _ = shard
    content = array.shard(0).read_bytes()
    array.shard(0).write_bytes(content[: 2 * SIZE] + bytes(SIZE) + content[3 * SIZE :])
    with pytest.raises(DataError, match="a checksum differs"):
        read_rows([array], range(COUNT))
