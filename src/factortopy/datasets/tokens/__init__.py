"""A network's tokens, which are checked like a data set but hold no subject."""

from pathlib import Path
from typing import Any, NoReturn

from factortopy.datasets.data_set import DataSet
from factortopy.datasets.tokens.check import check_tokens
from factortopy.errors import DataError
from factortopy.tokens import TokenFolder


def _refuse(path: Path, **_: Any) -> NoReturn:
    raise DataError(f"{path} is a store of tokens, no subject; give the folder of a data set", path=path)


STORED_TOKENS = DataSet(
    name="tokens",
    title="Tokens of a network",
    recognises=TokenFolder.recognises,
    load=_refuse,
    check=check_tokens,
)
