"""Bearer tokens (RFC 8898, RFC 6750): an authorization server says who a user is, in a signed JWT."""
