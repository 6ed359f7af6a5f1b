"""Settings: frozen, validated, saved with every result."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from factortopy.errors import DataError, UnknownNameError


class Settings(BaseModel):
    """Base of settings, whose faults are named in one line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def checked(cls, **values: Any) -> Self:
        """Settings of these values and the defaults.

        Raises:
            UnknownNameError: if a name is no setting.
            DataError: if a value is out of range.
        """
        unknown = set(values) - set(cls.model_fields)
        if unknown:
            raise UnknownNameError("setting", sorted(unknown)[0], cls.model_fields)
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            raise DataError(f"setting {name} = {first['input']!r}: {first['msg']}") from None
