"""For people who test their own plug-ins: a server on a clock, and contracts that plug-ins have to keep."""
