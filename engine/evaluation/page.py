"""A report as one HTML page: no script, nothing loaded from anywhere, light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from ruche.engine.evaluation.plots import bars, grid, lines
from ruche.engine.evaluation.report import Report, advised

_BARS, _GRID, _ROWS = 25, 14, 30
"""Rules in the plots, and rows of the tables."""

_STYLE = """
:root{--ink:#1d2430;--soft:#667085;--back:#fff;--line:#e4e7ec;--fill:#2f6f8f;--warn:#c2570c;--panel:#f8f9fb}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#98a2b3;--back:#14181f;--line:#2b323d;--fill:#6fb3d2;
--warn:#f0a35e;--panel:#1b212a}}
*{box-sizing:border-box}body{margin:0 auto;padding:32px 24px 64px;max-width:980px;background:var(--back);
color:var(--ink);font:15px/1.5 system-ui,sans-serif}h1{font-size:24px;margin:0 0 4px}
h2{font-size:18px;margin:40px 0 6px}
p{margin:4px 0 12px;color:var(--soft)}.tiles{display:flex;flex-wrap:wrap;gap:12px;margin:20px 0}
.tile{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:12px 16px;min-width:132px}
.tile b{display:block;font-size:22px}.tile span{color:var(--soft);font-size:13px}
table{border-collapse:collapse;width:100%;margin:8px 0}th,td{text-align:left;padding:5px 12px 5px 0;
border-bottom:1px solid var(--line);vertical-align:top}th{color:var(--soft);font-weight:600;font-size:13px}
td.n,th.n{text-align:right}code{font:13px ui-monospace,monospace;overflow-wrap:break-word}.scroll{overflow-x:auto}
.bars{display:grid;grid-template-columns:minmax(0,max-content) minmax(60px,420px) max-content;gap:6px 10px;
align-items:center;font-size:12px}.bars b{font-weight:400;text-align:right;overflow-wrap:anywhere}
.bars i{height:14px;background:var(--panel);border:1px solid var(--line);border-radius:2px;overflow:hidden}
.bars i u{display:block;height:100%;background:var(--fill)}.bars s{color:var(--soft);text-decoration:none}
.wide{width:100%;max-width:600px;height:auto}@media(max-width:600px){body{padding:20px 14px 40px}.wide text{
font-size:19px}th,td{padding-right:8px}}
svg{display:block}svg text{font:12px system-ui,sans-serif;fill:var(--ink)}
.name,.tick{text-anchor:end}.under,.count{text-anchor:middle}.note,.tick,.under{fill:var(--soft)!important}
.empty{fill:var(--panel);stroke:var(--line)}.full{fill:var(--fill)}.grid{stroke:var(--line)}
.line1,.line2{fill:none;stroke-width:2.5}.line1{stroke:var(--fill)}.line2{stroke:var(--warn)}
.key1{fill:var(--fill)!important}.key2{fill:var(--warn)!important}.mark{stroke:var(--soft);stroke-dasharray:4 4}
"""


def page(found: Report, agent: str, version: str, embedder: str, threshold: float) -> str:
    """The page of a report. `threshold` is the score from which a rule matches now."""
    parts = [f"<h1>How right {escape(agent)} is</h1>",
             f"<p>{found.n} messages, asked with {escape(embedder)}; content {escape(version[:12])}.</p>",
             _taught(found), _tiles(found), _recalls(found), _confused(found), _stolen(found), _lists(found),
             _suggested(found), _sweep(found, threshold)]
    return ("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
            "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
            f"<title>{escape(agent)}: evaluation</title><style>{_STYLE}</style></head>\n"
            f"<body>{''.join(parts)}</body></html>\n")


def _taught(found: Report) -> str:
    if not found.taught:
        return ""
    return (f"<p><b>Examples of the agent itself among them: {found.taught}.</b> What was learnt measures "
            "nothing; take them out of the file.</p>")


def _tiles(found: Report) -> str:
    tiles = [(_percent(found.first_right), "best match was meant"), (_percent(found.exact), "exactly what was meant"),
             (_percent(found.f1), "F1 of all matches"),
             ("–" if found.refused is None else _percent(found.refused), "out of scope, left alone"),
             (f"{found.ms_p50:.1f} ms", "median time to explain a message")]
    return '<div class="tiles">' + "".join(
        f'<div class="tile"><b>{value}</b><span>{name}</span></div>' for value, name in tiles) + "</div>"


def _recalls(found: Report) -> str:
    rows = [(one.id, one.recall, f"{one.right} of {one.meant}") for one in found.items if one.recall is not None]
    return _section("Rules, worst first", "How many of the messages that meant a rule matched it.",
                    bars(rows[:_BARS]), len(rows), _BARS)


def _confused(found: Report) -> str:
    if not found.confusions:
        return "<h2>Confusions</h2><p>None.</p>"
    top = found.confusions[:_ROWS]
    names = list(dict.fromkeys(one.wanted for one in top))[:_GRID]
    columns = list(dict.fromkeys(one.got for one in top if one.wanted in names))[:_GRID]
    counts = {(one.wanted, one.got): one.times for one in found.confusions}
    table = _table(("meant", "matched instead", "times", "messages"),
                   [(one.wanted, one.got, one.times, "\n".join(one.texts)) for one in top])
    return _section("Confusions", "Rows: what was meant. Columns: what matched instead.",
                    grid(names, columns, counts, "confusions") + table, len(found.confusions), _ROWS)


def _stolen(found: Report) -> str:
    rows = [(one.first, one.second, one.first_for_second, one.second_for_first) for one in found.thefts[:_ROWS]]
    return _section("Rules that steal from each other", "Sharpen both conditions, or join them with a relationship.",
                    _table(("rule", "and", "first for second", "second for first"), rows), len(found.thefts), _ROWS)


def _lists(found: Report) -> str:
    return (_section("Never right", "Meant by some message and matched by none of them.", _names(found.never_right))
            + _section("Never matched", "No message of the file matched these, whatever it meant. Hard rules hold "
                       "anyway.", _names(found.never_matched))
            + _section("Not measured", "No message of the file means these.", _names(found.not_measured)))


def _suggested(found: Report) -> str:
    rows = [(one.id, one.missed, "\n".join(one.texts)) for one in found.suggestions[:_ROWS]]
    return _section("Suggested examples", "Missed messages that are furthest from what a rule knows. Once they are its "
                    "examples, take them out of the file: what was learnt measures nothing.",
                    _table(("rule", "missed", "examples"), rows), len(found.suggestions), _ROWS)


def _sweep(found: Report, threshold: float) -> str:
    if found.refused is None:
        return ""
    points = [(one.at, one.in_scope, one.out_of_scope) for one in found.thresholds]
    better = advised(found, threshold)
    advice = "" if better is None else (
        f" <b>At {better.at:g}, {_percent(better.in_scope)} would be right in scope, and "
        f"{_percent(better.out_of_scope)} left alone out of it.</b>")
    return _section("Threshold", f"What another rule_threshold would do, by the best score alone.{advice}",
                    lines(points, ("in scope, right", "out of scope, left alone"), threshold, "thresholds"))


def _section(title: str, about: str, inside: str, count: int = 0, shown: int = 0) -> str:
    more = f" The first {shown} of {count}." if count > shown > 0 else ""
    return f'<h2>{title}</h2><p>{about}{more}</p><div class="scroll">{inside or "None."}</div>'


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return ""
    top = "".join(f'<th class="{_side(rows[0][place])}">{escape(name)}</th>' for place, name in enumerate(head))
    body = "".join("<tr>" + "".join(_field(value) for value in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _field(value: object) -> str:
    if isinstance(value, int):
        return f'<td class="n">{value}</td>'
    text = escape(str(value)).replace("\n", "<br>").replace("_", "_<wbr>")
    return f"<td><code>{text}</code></td>"


def _side(value: object) -> str:
    return "n" if isinstance(value, int) else ""


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"<code>{escape(name)}</code>" for name in names)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
