"""A policy's configuration: the JSON object that an operator wrote."""

import json


class Refused(Exception):
    """The configuration is refused; the words say what to change."""


class Config:
    """The fields of a JSON object, by name."""

    def __init__(self, text: str):
        try:
            fields = json.loads(text) if text.strip() else {}
        except ValueError as error:
            raise Refused(f"not a JSON object: {error}") from None
        if not isinstance(fields, dict):
            raise Refused("not a JSON object")
        self._fields = fields
        self._read: set[str] = set()

    def _get(self, name: str, default):
        self._read.add(name)
        value = self._fields.get(name)
        return default if value is None else value

    def integer(self, name: str, least: int, most: int, default: int) -> int:
        """A whole number from `least` to `most`, or the default."""
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Refused(f"'{name}' must be a whole number from {least} to {most}")
        return value

    def text(self, name: str, default: str) -> str:
        """A text, or the default."""
        value = self._get(name, default)
        if not isinstance(value, str):
            raise Refused(f"'{name}' must be a text")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """Yes or no, or the default."""
        value = self._get(name, default)
        if not isinstance(value, bool):
            raise Refused(f"'{name}' must be true or false")
        return value

    def finish(self) -> None:
        """Refuses a field that nobody asked for. The library calls it after `configure`."""
        for name in self._fields:
            if name not in self._read:
                raise Refused(f"'{name}' is not known here")
