"""What came of a run as JUnit XML, which CI servers read: a suite for each transport, a case for each check.

Rules: values in, text out. Characters that XML 1.0 cannot hold are escaped as a terminal would see them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from xml.etree import ElementTree

from sipframe.checking.check import Outcome, Result
from sipframe.checking.run import Report

__all__ = ["junit"]


def junit(server: str, reports: Iterable[Report], ladder: Callable[[Result], str]) -> str:
    """The document. ``ladder`` draws what was sent and what came of a check that failed, in printable text."""
    root = ElementTree.Element("testsuites", name=f"sipframe check {server}")
    for report in reports:
        failures = [one for one in report.results if one.outcome is Outcome.FAILED]
        skipped = [one for one in report.results if one.outcome is Outcome.SKIPPED]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=f"{report.transport} {server}",
            tests=str(len(report.results)),
            failures=str(len(failures)),
            errors="1" if report.ended else "0",
            skipped=str(len(skipped)),
            time=f"{sum(one.seconds for one in report.results):.3f}",
        )
        for result in report.results:
            _case(suite, result, ladder)
        if report.ended:
            case = ElementTree.SubElement(suite, "testcase", classname=report.transport, name="server.lives")
            _ = ElementTree.SubElement(case, "error", message=_safe(report.ended))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ElementTree.Element, result: Result, ladder: Callable[[Result], str]) -> None:
    check = result.check
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=f"{result.transport}.{check.group}",
        name=check.id,
        time=f"{result.seconds:.3f}",
    )
    if result.outcome is Outcome.SKIPPED:
        _ = ElementTree.SubElement(case, "skipped", message=_safe(result.reason))
    elif result.outcome is Outcome.FAILED:
        failure = ElementTree.SubElement(case, "failure", message=_safe(result.reason), type=check.level.name)
        lines = [f"{check.reference}: {check.summary}", ladder(result)]
        failure.text = _safe("\n".join(lines))


def _safe(text: str) -> str:
    return "".join([one if one.isprintable() or one == "\n" else f"\\x{ord(one):02x}" for one in text])
