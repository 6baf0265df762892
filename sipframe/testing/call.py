"""A call of a phone, from the caller's end: the INVITE, whoever answers it, and the CANCEL (RFC 3261 9, 13).

Rules: every provisional answer with a To tag begins an early dialog, every 2xx confirms one and is acknowledged; when
several answer there are several dialogs, and it is the test that ends those that it does not want (13.2.2.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sipframe.message import Request, Response, parse_message
from sipframe.testing.dialog import Dialog
from sipframe.testing.exchange import Exchange
from sipframe.testing.flows import LIMITS
from sipframe.transaction import ClientTransaction, ClientUser, cancel_bytes

if TYPE_CHECKING:
    from sipframe.testing.phone import Phone

__all__ = ["Call"]


class Call:
    """An INVITE and what comes of it. Made by :meth:`Phone.call <sipframe.testing.phone.Phone.call>`."""

    def __init__(self, phone: Phone) -> None:
        self.phone = phone
        self.exchange: Exchange
        """The INVITE, and its answers."""
        self.dialogs: list[Dialog] = []
        """Those that answers have begun, early ones and others, in their order."""
        self.cancelled: Response | None = None
        """The answer to the CANCEL."""
        self.ack_body = b""
        """The session description of the ACK, for an INVITE without one (RFC 3261 13.2.1)."""
        self._cancel: tuple[str, ...] | None = None

    def begin(self, exchange: Exchange) -> None:
        """For the phone alone: send it."""
        self.exchange = exchange
        exchange.send()

    @property
    def responses(self) -> list[Response]:
        """All answers that came, those that came again included."""
        return self.exchange.responses

    @property
    def answer(self) -> Response | None:
        """The final answer, the first one when there are several; None when there is none yet."""
        return self.exchange.answer

    @property
    def failure(self) -> str:
        """Why there will be no answer; empty otherwise."""
        return self.exchange.failure

    def wait(self, seconds: float = 300.0) -> Response:
        """Let time pass until there is a final answer, at most ``seconds``. Raises :class:`~.exchange.NoAnswer`."""
        __tracebackhide__ = True
        return self.exchange.wait(seconds)

    def wait_for(self, status: int, seconds: float = 32.0) -> Response:
        """Let time pass until an answer with ``status`` has come. Raises AssertionError when there is none."""
        __tracebackhide__ = True

        def found() -> Response | None:
            return next((one for one in self.responses if one.status == status), None)

        self.phone.pass_time(lambda: found() is not None, seconds)
        response = found()
        if response is None:
            raise self.phone.told(AssertionError(f"{self.phone.aor} heard no {status} within {seconds:g} s"))
        return response

    @property
    def dialog(self) -> Dialog:
        """The first dialog that was confirmed. Raises AssertionError when there is none."""
        for dialog in self.dialogs:
            if dialog.confirmed:
                return dialog
        raise self.phone.told(AssertionError(f"nobody has answered {self.phone.aor}"))

    def cancel(self, *reasons: str) -> None:
        """Cancel it, as soon as there is a provisional answer (RFC 3261 9.1); ``reasons`` are values of Reason."""
        if self.exchange.done:
            raise RuntimeError("it has had its final answer")
        self._cancel = reasons
        self._send_cancel()

    def request(
        self, method: str, *, fields: Sequence[str] = (), body: bytes = b"", authenticate: bool = True
    ) -> Response:
        """A request within :attr:`dialog` (:meth:`.Dialog.request`)."""
        return self.dialog.request(method, fields=fields, body=body, authenticate=authenticate)

    def bye(self) -> Response:
        """Hang up (:meth:`.Dialog.bye`)."""
        return self.dialog.bye()

    def heard(self, response: Response) -> None:
        """For the exchange alone: a provisional answer or a 2xx."""
        if response.status > 100:
            self._learn(response)
        self._send_cancel()

    def _learn(self, response: Response) -> None:
        tag = response.to.tag
        if tag is None:
            return
        invite = self.exchange.requests[-1]
        dialog = next((one for one in self.dialogs if one.remote_tag == tag), None)
        if dialog is None:
            request = parse_message(invite, LIMITS)
            assert isinstance(request, Request)
            dialog = Dialog.calling(self.phone, request, response)
            self.dialogs.append(dialog)
        if response.status >= 200:
            if not dialog.confirmed:
                dialog.confirm(response)
            dialog.succeeded(response, invite, self.ack_body)

    def _send_cancel(self) -> None:
        transaction = self.exchange.transaction
        heard = self.exchange.responses
        if self._cancel is None or transaction is None or not heard or transaction.answered:
            return
        if heard[-1].status >= 200:
            return  # a challenge: the request that answers it has no provisional answer yet
        reasons, self._cancel = self._cancel, None
        data = cancel_bytes(transaction.data, reasons)
        _ = self.phone.layer.send(data, "CANCEL", transaction.branch, transaction.flow, _Cancelling(self))

    def __repr__(self) -> str:
        return f"<call: {self.exchange!r}>"


class _Cancelling(ClientUser):
    """Hears the answer to a CANCEL."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def response(self, transaction: ClientTransaction, response: Response) -> None:
        if response.status >= 200:
            self._call.cancelled = response
