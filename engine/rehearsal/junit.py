"""Played conversations as JUnit XML, which continuous integration shows: a suite for each agent, a case for each."""

from __future__ import annotations

import re
import xml.etree.ElementTree as Tree
from collections.abc import Sequence

from ruche.engine.rehearsal.stage import Playbook, Played

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(played: Sequence[tuple[Playbook, Sequence[Played]]]) -> bytes:
    """The whole document, UTF-8. A folder that does not check is a suite with one error for each problem."""
    root = Tree.Element("testsuites")
    for playbook, results in played:
        root.append(_suite(playbook, results))
    Tree.indent(root)
    document: bytes = Tree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _suite(playbook: Playbook, results: Sequence[Played]) -> Tree.Element:
    errors = playbook.errors
    failed = sum(bool(one.failures) for one in results)
    suite = Tree.Element("testsuite", name=playbook.folder.path.name, tests=str(len(results) + len(errors)),
                         failures=str(failed), errors=str(len(errors)), skipped="0",
                         time=f"{sum(one.seconds for one in results):.3f}")
    for problem in errors:
        case = Tree.SubElement(suite, "testcase", classname=problem.file, name=f"{problem.code} line {problem.line}",
                               file=problem.file, line=str(problem.line), time="0")
        Tree.SubElement(case, "error", message=_clean(problem.what), type=problem.code).text = _clean(str(problem))
    for one in results:
        suite.append(_case(one))
    return suite


def _case(one: Played) -> Tree.Element:
    at = one.placed.problem((), "", "")
    case = Tree.Element("testcase", classname=at.file, name=_clean(one.name), file=at.file, line=str(at.line),
                        time=f"{one.seconds:.3f}")
    for failure in one.failures:
        message = f"turn {failure.turn}: expected {failure.expected}, got {failure.got}"
        Tree.SubElement(case, "failure", message=_clean(message), type="expectation").text = _clean(str(failure))
    return case


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return _NOT_XML.sub("\ufffd", text)
