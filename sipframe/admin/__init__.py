"""Asking a running server: a local socket, the commands that it takes, and the client's side of it.

:mod:`~sipframe.admin.protocol` says what goes over the socket; :class:`~sipframe.admin.server.AdminServer` answers,
:func:`~sipframe.admin.client.ask` asks. Nothing is imported here: the command line must not wait for the server's part.
"""
