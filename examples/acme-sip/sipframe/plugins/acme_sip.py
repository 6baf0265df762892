"""Where sipframe finds ACME's plug-ins. It is read whenever somebody asks what there is, so it imports none of them."""

from sipframe.interfaces import IAuthenticator
from sipframe.plugging import Plugin

tickets = Plugin(
    IAuthenticator,
    "acme-ticket",
    "acme_sip.tickets.Tickets",
    "Tickets that the ACME site gives to phones; over TLS alone.",
)
