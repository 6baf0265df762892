"""ACME's plug-ins for sipframe. What they are called is in ``sipframe/plugins/acme_sip.py``, beside this package."""
