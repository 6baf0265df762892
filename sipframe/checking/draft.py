"""Requests that may be as wrong as a check wants them.

Rules: a draft is frozen; each change gives another one. Nothing is checked or repaired, but Content-Length is added
where nobody set it. Field names are compared without case; what is written is what was given.
"""

from __future__ import annotations

import attrs

from sipframe.message.via import COOKIE

__all__ = ["Draft"]


@attrs.frozen
class Draft:
    """A request in the making."""

    method: str
    uri: str
    fields: tuple[tuple[str, str], ...]
    body: bytes = b""

    def setting(self, name: str, value: str) -> Draft:
        """Put ``value`` into the field ``name``, where it stands or at the end."""
        if self.first(name) is None:
            return self.adding(name, value)
        found = False
        fields: list[tuple[str, str]] = []
        for field in self.fields:
            if field[0].lower() != name.lower():
                fields.append(field)
            elif not found:
                found = True
                fields.append((field[0], value))
        return attrs.evolve(self, fields=tuple(fields))

    def adding(self, name: str, value: str) -> Draft:
        """Add a field at the end."""
        return attrs.evolve(self, fields=(*self.fields, (name, value)))

    def without(self, name: str) -> Draft:
        """Leave the field ``name`` out."""
        kept = tuple([field for field in self.fields if field[0].lower() != name.lower()])
        return attrs.evolve(self, fields=kept)

    def named(self, names: dict[str, str]) -> Draft:
        """Write the fields in ``names`` by other names."""
        return attrs.evolve(
            self, fields=tuple([(names.get(name, name), value) for name, value in self.fields])
        )

    def addressed(self, uri: str) -> Draft:
        """With another Request-URI."""
        return attrs.evolve(self, uri=uri)

    def carrying(self, body: bytes) -> Draft:
        """With a body."""
        return attrs.evolve(self, body=body)

    def first(self, name: str) -> str | None:
        """The first value of ``name``."""
        return next((value for field, value in self.fields if field.lower() == name.lower()), None)

    @property
    def cookie(self) -> str:
        """What tells an answer to this request from others: the branch, or the Call-ID when there is none."""
        start = (self.first("via") or self.first("v") or "").partition(COOKIE)
        if start[1]:
            return COOKIE + start[2].partition(";")[0].partition(",")[0].strip()
        return self.first("call-id") or self.first("i") or ""

    def to_bytes(self) -> bytes:
        """On the wire."""
        lines = [f"{self.method} {self.uri} SIP/2.0", *[f"{name}: {value}" for name, value in self.fields]]
        if not any(name.lower() in ("content-length", "l") for name, _ in self.fields):
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + self.body
