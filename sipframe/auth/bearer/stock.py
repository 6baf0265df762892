"""The authenticator ``bearer`` as it is chosen by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from sipframe.auth.bearer.authenticator import BearerAuthenticator
from sipframe.auth.bearer.key_sources import FileKeys, KeySource, RemoteKeys, fetching
from sipframe.auth.bearer.settings import BearerSettings
from sipframe.auth.bearer.tokens import Decryption
from sipframe.domains import Domains
from sipframe.surroundings import Surroundings

__all__ = ["bearer"]


def bearer(
    settings: BearerSettings,
    *,
    keys_url: Annotated[str | None, "https URL of the issuer's JWK Set"] = None,
    keys_file: Annotated[Path | None, "file with the issuer's JWK Set, read again when it changes"] = None,
    keys_every: Annotated[float, "seconds between two fetches from keys-url"] = 3600.0,
    keys_keep: Annotated[float, "seconds that keys are good for when they cannot be fetched anew"] = 86_400.0,
    refetch_after: Annotated[
        float, "seconds, at least, between two fetches because of a token with another key"
    ] = 30.0,
    keys_deadline: Annotated[float, "seconds that one fetch may take"] = 4.0,
    ca_file: Annotated[
        Path | None, "PEM file of the authorities to trust for keys-url, not the system's"
    ] = None,
    decryption_file: Annotated[
        Path | None, "our private keys, a JWK Set or PEM, for tokens that are encrypted for us (RFC 8898 5)"
    ] = None,
    surroundings: Surroundings,
) -> BearerAuthenticator:
    """Bearer tokens, signed JWTs of one issuer (RFC 8898). Raises ValueError."""
    if (keys_url is None) == (keys_file is None):
        raise ValueError("either keys-url or keys-file is needed")
    reactor = surroundings.reactor
    decryption = None if decryption_file is None else _decryption(decryption_file)
    keys: KeySource
    if keys_file is not None:
        keys = FileKeys(keys_file, reactor)
    else:
        assert keys_url is not None
        keys = RemoteKeys(
            fetching(keys_url, reactor, ca_file=ca_file, deadline=keys_deadline),
            reactor.seconds,
            every=keys_every,
            keep=keys_keep,
            refetch_after=refetch_after,
        )
    return BearerAuthenticator(
        settings,
        keys,
        Domains(surroundings.domains, surroundings.aliases),
        realm=surroundings.realm or surroundings.domains[0],
        wall_clock=surroundings.wall_clock,
        decryption=decryption,
    )


def _decryption(path: Path) -> Decryption:
    try:
        return Decryption(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
