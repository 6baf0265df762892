"""The stock credential sources, besides the accounts of ``sipframe user``: where else the secrets of users may be.

Rules: each is a plug-in like anybody's, with its own module. What has the answer in memory gives it at once; what has
to wait gives a Deferred. A source that cannot tell raises :class:`~sipframe.verdicts.Unavailable`; None only ever means
that there is no such user. No password, hash or token is in a message, a log line or a representation.
"""
