"""Hypothesis strategies for credentials that nobody honest would send.

Rules: text without CR and LF, since no field value that was read has those; beyond that anything, with a liking for
what Digest (RFC 7616 3.4) and Bearer (RFC 8898 2.2) look at.
"""

from __future__ import annotations

from hypothesis import strategies as st

from sipframe.testing.contracts.values import peer_texts

__all__ = ["authorizations", "mangled_text"]

_SCHEMES = ("Digest", "digest", "Bearer", "Basic", "AKAv1-MD5", "", "x")
_NAMES = (
    *(
        "username",
        "username*",
        "realm",
        "nonce",
        "uri",
        "response",
        "algorithm",
        "cnonce",
        "opaque",
        "qop",
        "nc",
    ),
    *("userhash", "auts", "x"),
)
_VALUES = (
    *(
        "",
        '""',
        '"',
        '"\\',
        "alice",
        '"alice"',
        '"example.com"',
        '"sip:example.com"',
        "auth",
        "auth-int",
        "00000001",
    ),
    *(
        "0",
        "-1",
        "ffffffff",
        "MD5",
        "SHA-256",
        "MD5-sess",
        "true",
        "UTF-8''%61lice",
        "UTF-8''%ff%",
        "''",
        "0" * 32,
    ),
    *(
        "f" * 64,
        '"' + "0" * 32 + '"',
        "\u0663",
        '"\\"',
        '"<script>"',
        "eyJhbGciOiJub25lIn0.e30.",
        "a.b.c",
        "=",
        ",,,",
    ),
    "x" * 5_000,
)


def _one_line(text: str) -> str:
    return text.replace("\r", "").replace("\n", "")


def authorizations() -> st.SearchStrategy[str]:
    """Values of Authorization, from nearly valid to nothing of the kind."""
    value = st.one_of(st.sampled_from(_VALUES), peer_texts().map(_one_line))
    pair = st.tuples(st.sampled_from(_NAMES), st.sampled_from(("=", " = ", "", "==")), value).map("".join)
    listed = st.lists(pair, max_size=8).map(", ".join)
    return st.one_of(
        st.tuples(st.sampled_from(_SCHEMES), st.just(" "), listed).map("".join),
        st.tuples(st.sampled_from(_SCHEMES), st.sampled_from((" ", "  ", "\t", "")), value).map("".join),
        value,
    )


@st.composite
def mangled_text(draw: st.DrawFn, text: str) -> str:
    """``text`` with a few pieces cut out, put in or doubled."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        end = draw(st.integers(at, min(len(text), at + 12)))
        piece = draw(
            st.one_of(
                st.just(""),
                st.just(text[at:end] * 2),
                st.sampled_from(
                    ['"', ",", "=", " ", "\\", "\0", "x", ";", "Digest ", 'username="mallory", ']
                ),
            )
        )
        text = text[:at] + piece + text[end:]
    return text
