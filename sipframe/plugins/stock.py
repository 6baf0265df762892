"""The plug-ins that come with sipframe, on the road that everybody's take."""

from sipframe.interfaces import IAuthenticator, ICredentialSource, ILocationStore, IPolicy
from sipframe.plugging import Plugin

accounts = Plugin(
    ICredentialSource,
    "sqlite",
    "sipframe.auth.stock.accounts",
    "The accounts of 'sipframe user', in the state directory or in another one.",
)
htdigest = Plugin(
    ICredentialSource,
    "htdigest",
    "sipframe.auth.sources.htdigest.source",
    "A file of Apache's htdigest, MD5 and SHA-256; read again when it changes.",
)
toml = Plugin(
    ICredentialSource,
    "toml",
    "sipframe.auth.sources.toml.source",
    "A TOML file of names and passwords or HA1, read again when it changes; or a table.",
)
http = Plugin(
    ICredentialSource,
    "http",
    "sipframe.auth.sources.http.source",
    "A web server that is asked with a POST of JSON for each look-up.",
    extra="http",
)
sql = Plugin(
    ICredentialSource,
    "sql",
    "sipframe.auth.sources.sql.source",
    "A query of yours over any DB-API module, such as sqlite3 or psycopg.",
)
cred = Plugin(
    ICredentialSource,
    "cred",
    "sipframe.auth.sources.cred.source",
    "A checker of twisted.cred that knows the passwords.",
)
digest = Plugin(
    IAuthenticator,
    "digest",
    "sipframe.auth.stock.digest",
    "Digest (RFC 7616, RFC 8760) against the credential sources.",
)
certificate = Plugin(
    IAuthenticator,
    "certificate",
    "sipframe.auth.certificate.certificate",
    "TLS client certificates (RFC 5922); with --client-ca.",
)
bearer = Plugin(
    IAuthenticator,
    "bearer",
    "sipframe.auth.bearer.stock.bearer",
    "Bearer tokens (RFC 8898): signed JWTs of one issuer, over TLS.",
    extra="bearer",
)
trusted = Plugin(
    IAuthenticator,
    "trusted",
    "sipframe.auth.trusted.trusted",
    "Requests from given networks are believed without proof.",
)
memory = Plugin(
    ILocationStore, "memory", "sipframe.location.stock.memory", "Bindings in memory, gone with the process."
)
sqlite = Plugin(
    ILocationStore,
    "sqlite",
    "sipframe.location.stock.sqlite",
    "Bindings in an SQLite file; a 200 leaves after the commit.",
)
terms = Plugin(
    IPolicy,
    "terms",
    "sipframe.policy.stock.terms",
    "Registration terms for a domain, a user or everybody.",
)
allow = Plugin(
    IPolicy,
    "allow",
    "sipframe.policy.stock.allow",
    "Lets in only what fits: network, method, domain, User-Agent, transport.",
)
deny = Plugin(
    IPolicy,
    "deny",
    "sipframe.policy.stock.deny",
    "Refuses what fits: network, method, domain, User-Agent, transport.",
)
rate_limit = Plugin(
    IPolicy,
    "rate-limit",
    "sipframe.policy.stock.rate_limit",
    "So many requests from one address, and REGISTERs for one AOR.",
)
back_off = Plugin(
    IPolicy,
    "back-off",
    "sipframe.policy.stock.back_off",
    "Holds up who fails to authenticate, longer each time.",
)
shadow = Plugin(
    IPolicy,
    "shadow",
    "sipframe.policy.stock.shadow",
    "Asks another policy, and only reports where it would make a difference.",
)
via = Plugin(
    IPolicy,
    "via",
    "sipframe.policy.via.Via",
    "Send requests to a domain, or to numbers, by way of another proxy or gateway.",
)
