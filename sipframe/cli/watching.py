"""What a person sees of a registration: the ladder while it happens, and what the server lists at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TextIO

from sipframe.cli import captions
from sipframe.cli.ladder import ASCII, UNICODE, Arrow, Kind, Ladder, Participant
from sipframe.cli.terminal import can_show, duration, visible, wants_colour
from sipframe.message import MessageError, NameAddr, Request, Response, SipURI, equivalent, parse_message
from sipframe.message.name_addr import parse_name_addr
from sipframe.ua import Contact, Finished, Server
from sipframe.ua.server import with_port

if TYPE_CHECKING:
    from sipframe.ua.flows import ClientFlow

__all__ = ["Watcher"]

_NARROWEST: Final = 40
_UA: Final = 0
_SERVER: Final = 1


class Watcher:
    """Draws on ``screen``, ``width`` cells wide. ``seconds`` is a clock; times begin now.

    ``verbose`` shows whole messages, ``unchecked`` says that no certificate is checked.

    It is an :class:`sipframe.ua.client.Observer`. When nobody reads ``screen`` any more, nothing is drawn and
    :meth:`end` raises BrokenPipeError.
    """

    def __init__(
        self,
        screen: TextIO,
        width: int,
        environ: Mapping[str, str],
        seconds: Callable[[], float],
        *,
        verbose: bool = False,
        unchecked: bool = False,
    ) -> None:
        self._screen = screen
        self._width = max(_NARROWEST, width)
        self._glyphs = UNICODE if can_show("".join(UNICODE), screen) else ASCII
        self._colour = wants_colour(screen, environ)
        self._seconds = seconds
        self._began = seconds()
        self._verbose = verbose
        self._unchecked = unchecked
        self._ladder: Ladder | None = None
        self._ours: tuple[Contact, ...] = ()
        self._broken: BrokenPipeError | None = None

    def connected(self, server: Server, flow: ClientFlow, contacts: tuple[Contact, ...]) -> None:
        """There is a flow: the ladder begins."""
        self._ours = contacts
        participants = (
            Participant("UA", with_port(*flow.local)),
            Participant("server", f"{with_port(*flow.peer)} {flow.transport}"),
        )
        self._ladder = Ladder(participants, width=self._width, glyphs=self._glyphs, colour=self._colour)
        self._show(["", *self._ladder.header()])
        if flow.tls_version:
            note = "certificate NOT CHECKED" if self._unchecked else f"certificate of {server.host}, checked"
            label = flow.tls_version.replace("TLSv", "TLS ")
            self._draw(Arrow(self._now(), _UA, _SERVER, label, "", (note,), Kind.CONNECTION))

    def sent(self, message: bytes, again: bool) -> None:
        """A message has left."""
        self._message(parse_message(message), _UA, _SERVER, again)

    def arrived(self, message: Request | Response) -> None:
        """A message has come."""
        self._message(message, _SERVER, _UA, False)

    def malformed(self, error: MessageError) -> None:
        """Something has come that is no message."""
        self._draw(Arrow(self._now(), _SERVER, _UA, "no SIP", "", (error.reason,), Kind.FAILURE))

    def gave_up(self, reason: str) -> None:
        """Nothing more will come; the ladder ends."""
        if self._ladder is not None:
            self._show(self._ladder.remark(self._now(), reason, kind=Kind.FAILURE))
            self.end()

    def end(self) -> None:
        """The ladder ends."""
        if self._ladder is not None:
            self._show([*self._ladder.footer(), ""])
            self._ladder = None
        if self._broken is not None:
            raise self._broken

    def summarize(self, aor: SipURI, finished: Finished) -> None:
        """End the ladder and say what the server lists. Raises BrokenPipeError."""
        self.end()
        self._show(self._summary(visible(str(aor), ascii_only=self._glyphs is ASCII), finished))
        self.end()

    def _summary(self, name: str, finished: Finished) -> list[str]:
        try:
            bindings = finished.bindings
        except MessageError as error:
            return [f"{name}: the server has accepted it; its list of bindings is unreadable: {error.reason}"]
        number = len(bindings)
        if not number:
            lines = [f"{name} has no binding."]
        else:
            lines = [f"{name} has {number} binding{'s' if number > 1 else ''}:", ""]
            lines += [self._binding(binding) for binding in bindings]
        if finished.server_proved is not None:
            proof = "has proved" if finished.server_proved else "has NOT proved"
            lines += ["", f"The server {proof} that it knows the password."]
        return lines

    def _binding(self, binding: NameAddr) -> str:
        lasts = "?" if binding.expires is None else duration(binding.expires)
        ours = "  (this one)" if any(_same(binding, contact) for contact in self._ours) else ""
        return f"  {lasts:>8}  {visible(binding.uri_text, ascii_only=self._glyphs is ASCII)}{ours}"

    def _message(self, message: Request | Response, source: int, target: int, again: bool) -> None:
        kind = Kind.AGAIN if again else captions.kind(message)
        notes = ("again",) if again else () if self._verbose else captions.notes(message)
        label, aside = captions.label(message), captions.aside(message)
        self._draw(Arrow(self._now(), source, target, label, aside, notes, kind))
        if self._verbose and not again and self._ladder is not None:
            self._show(self._ladder.verbatim(captions.text_lines(message)))

    def _now(self) -> float:
        return self._seconds() - self._began

    def _draw(self, arrow: Arrow) -> None:
        if self._ladder is not None:
            self._show(self._ladder.arrow(arrow))

    def _show(self, lines: list[str]) -> None:
        if self._broken is not None:
            return
        try:
            for line in lines:
                self._screen.write(line + "\n")
            self._screen.flush()
        except BrokenPipeError as error:
            self._broken = error


def _same(binding: NameAddr, contact: Contact) -> bool:
    try:
        return equivalent(binding.uri, parse_name_addr(contact.text).uri)
    except MessageError:
        return False
