"""The 200 to a REGISTER: its header fields (RFC 3261 10.3 step 8; RFC 3327, 3608, 5626 and 5627).

Rules: what is true of every answer is written once. An extension is in an answer only to a user agent that has named it
in Supported; but a Service-Route is there for everybody, since whoever does not know it pays no heed (RFC 3608 6.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sipframe.gruu import Gruus
from sipframe.message import MessageError, Request, format_date
from sipframe.registrar.outbound import Outbound, supports
from sipframe.registrar.plan import Registration, contact_lines
from sipframe.registrar.settings import RegistrarSettings
from sipframe.verdicts import Binding

__all__ = ["Success"]

_IGNORED: Final = Outbound.IGNORED  # looking up a member takes a call


class Success:
    """Writes the fields. Without ``gruus`` nobody gets a GRUU."""

    __slots__ = ("_date", "_flow_timer", "_gruus", "_second", "_service_route")

    def __init__(self, settings: RegistrarSettings, gruus: Gruus | None) -> None:
        self._gruus = gruus
        self._service_route = "".join([f"Service-Route: {one}\r\n" for one in settings.service_route])
        # RFC 5626 6: it MAY be there when the user agent has a flow to us and is told that outbound was used.
        self._flow_timer = f"Flow-Timer: {settings.flow_timer}\r\n" if settings.flow_timer else ""
        self._second = 0
        self._date = ""

    def fields(
        self,
        request: Request,
        aor: str,
        asked: Registration,
        bindings: tuple[Binding, ...],
        now: float,
        also: str,
    ) -> str:
        """The fields, each with its CRLF; ``also`` are those that the authenticator has for it."""
        second = int(now)
        if self._second != second:
            self._second = second
            self._date = f"Date: {format_date(now)}\r\n"
        more = None
        if self._gruus is not None:
            for binding in bindings:
                if binding.instance_id is not None:
                    more = self._more(request, aor, bindings, now)
                    break
        fields = f"{contact_lines(bindings, now, more)}{also}{self._date}"
        if asked.path_wanted:
            fields += "".join([f"Path: {value}\r\n" for value in asked.path])  # RFC 3327 5.3
        if asked.outbound is not _IGNORED and asked.outbound.told:
            fields += "Require: outbound\r\n"  # RFC 5626 6
            if asked.outbound is Outbound.DIRECT:
                fields += self._flow_timer
        if bindings and self._service_route:
            fields += self._service_route  # RFC 3608 6.3; a query gets it as well
        return fields

    def _more(
        self, request: Request, aor: str, bindings: tuple[Binding, ...], now: float
    ) -> Callable[[Binding], str] | None:
        """What gives each contact its GRUUs, for a user agent that supports them (RFC 5627 5.2)."""
        assert self._gruus is not None
        try:
            wanted = supports(request, "gruu")
        except MessageError:
            return None  # a Supported that cannot be read names nothing
        return self._gruus.contact_params(aor, bindings, now) if wanted else None
