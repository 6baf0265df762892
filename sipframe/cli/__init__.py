"""The ``sipframe`` command."""
