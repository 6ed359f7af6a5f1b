"""Names of ROIs are read from pickles as NumPy reads them, and no pickle is ever run."""

import os
import pickle
import pickletools
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factortopy.datasets.algonauts.safe_mapping import LARGEST, read_mapping
from factortopy.errors import DataError

NAMES = {0: "Unknown", 1: "V1v", 2: "V1d", 300: "FFA-1", 70_000: "é", -1: "none"}


def write_pickle(path, content, shape=(), dtype="|O"):
    with open(path, "wb") as file:
        header = {"descr": dtype, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(content)
    return path


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.dictionaries(st.integers(-(2**40), 2**40), st.text(max_size=20), max_size=40), protocol=st.integers(2, 5)
)
def test_equals_numpy_for_every_protocol(tmp_path, names, protocol):
    path = tmp_path / "mapping.npy"
    write_pickle(path, pickle.dumps(np.array(names, dtype=object), protocol=protocol))
    assert read_mapping(path) == np.load(path, allow_pickle=True).item() == names


def test_what_numpy_save_writes(tmp_path):
    np.save(tmp_path / "mapping.npy", NAMES, allow_pickle=True)
    assert read_mapping(tmp_path / "mapping.npy") == NAMES


class Payload:
    """Unpickling it runs a shell command."""

    def __init__(self, function, *words):
        self.call = (function, words)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [os.system, eval, exec])
@pytest.mark.parametrize("place", ["alone", "value", "key", "array"])
def test_a_payload_does_not_run(tmp_path, function, place):
    loot = tmp_path / "loot"
    word = f"touch {loot}" if function is os.system else f"open({str(loot)!r}, 'w')"
    payload = Payload(function, word)
    contents = {"alone": payload, "value": {0: payload}, "key": {payload: "V1"}}
    content = np.array(contents.get(place, [payload]), dtype=object)
    path = write_pickle(tmp_path / "mapping.npy", pickle.dumps(content, protocol=4))
    with pytest.raises(DataError, match=r"mapping\.npy.*names '.*(system|eval|exec)'") as caught:
        read_mapping(path)
    assert "\n" not in str(caught.value)
    assert not loot.exists()
    # The payload is real: unpickled, it does run.
    pickle.loads(pickle.dumps(payload))
    assert loot.exists()


@pytest.mark.parametrize(
    "content",
    [{0: 1}, {"0": "V1"}, {0: b"V1"}, {0: ["V1"]}, {0.0: "V1"}, {True: "V1"}, {0: {1: "V1"}}, ["V1"], "V1", None],
)
def test_other_contents_are_refused(tmp_path, content):
    contents = np.empty((), dtype=object)
    contents[()] = content
    path = write_pickle(tmp_path / "mapping.npy", pickle.dumps(contents))
    with pytest.raises(DataError, match=r"mapping\.npy"):
        read_mapping(path)


BOMBS = {
    "memo": b"\x80\x02K\x00r\xff\xff\xff\x7f.",
    "bytes": b"\x80\x04\x8e\xff\xff\xff\xff\xff\x00\x00\x00.",
    "bytearray": b"\x80\x05\x96\xff\xff\xff\xff\xff\x00\x00\x00.",
    "frame": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "text": b"\x80\x04X\xff\xff\xff\x7f.",
    "digits": b"\x80\x02I" + b"9" * 60_000 + b"\n.",
    "doubling": b"\x80\x02(" + b"0" * 100 + b".",
    "tuples": b"\x80\x02)" + b"\x86" * 100 + b".",
    "nested": b"\x80\x02" + b"]" * 5_000 + b"a" * 4_999 + b".",
    "none": b"",
    "get": b"\x80\x02h\x05.",
    "build": b"\x80\x02}K\x01b.",
    "reduce": b"\x80\x02K\x01)R.",
    "persistent": b"\x80\x02K\x01Q.",
    "instance": b"(ios\nsystem\n.",
    "extension": b"\x80\x02\x82\x01.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_take_no_memory(tmp_path, name):
    path = write_pickle(tmp_path / "mapping.npy", BOMBS[name])
    tracemalloc.start()
    with pytest.raises(DataError, match=r"mapping\.npy") as caught:
        read_mapping(path)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    assert "\n" not in str(caught.value)


def test_large_files_plain_arrays_and_missing_files_are_refused(tmp_path):
    path = tmp_path / "mapping.npy"
    with pytest.raises(DataError, match=r"mapping\.npy is missing"):
        read_mapping(path)
    np.save(path, np.arange(5))
    with pytest.raises(DataError, match="expected one pickled dict"):
        read_mapping(path)
    write_pickle(path, pickle.dumps(np.array([NAMES], dtype=object)), shape=(1,))
    with pytest.raises(DataError, match="expected one pickled dict"):
        read_mapping(path)
    write_pickle(path, b"\x80\x04." + bytes(LARGEST))
    with pytest.raises(DataError, match="bytes, expected a dict"):
        read_mapping(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    opcodes=st.lists(st.sampled_from([op.code.encode("latin1") for op in pickletools.opcodes]), max_size=30),
    tail=st.binary(max_size=20),
)
def test_any_pickle_is_read_or_refused(tmp_path, opcodes, tail):
    path = write_pickle(tmp_path / "mapping.npy", b"\x80\x04" + b"".join(opcodes) + tail)
    with pytest.raises(DataError, match=r"mapping\.npy"):
        read_mapping(path)
