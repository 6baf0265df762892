"""The digest engine and the stock accounts (RFC 7616, RFC 8760, RFC 3261 22)."""
