"""A network's tokens, which are checked like a data set but hold no subject."""

from factortopy.datasets.data_set import DataSet
from factortopy.datasets.tokens.check import check_tokens
from factortopy.tokens import TokenFolder

STORED_TOKENS = DataSet(
    name="tokens",
    title="Tokens of a network",
    recognises=TokenFolder.recognises,
    check=check_tokens,
)
