"""A report as one self-contained HTML page: no script, no file beside it."""

import base64
from collections.abc import Iterable
from html import escape

from reproductions.report.blocks import Block, Figure, Heading, Table, Text
from reproductions.report.verdicts import Verdict

COLOURS = {
    Verdict.MATCH: "#d8f0dc",
    Verdict.WITHIN_SEED_NOISE: "#e6f3d6",
    Verdict.LOWER: "#f8d9d2",
    Verdict.HIGHER: "#f8d9d2",
    Verdict.INCONCLUSIVE: "#fbefcf",
    Verdict.CHECKPOINT_VERIFIED: "#d6ebf2",
    Verdict.COMPONENT_PARITY_ONLY: "#e4e7ef",
    Verdict.NOT_RUN: "#eeeeee",
}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #22303c; max-width: 1500px; margin: 2em auto; padding: 0 1.5em; }
h2 { border-bottom: 2px solid #22303c; margin-top: 2em; }
.wide { overflow-x: auto; margin: 0.8em 0; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { border: 1px solid #cfd6dc; padding: 4px 8px; text-align: left; vertical-align: top; }
th { background: #f3f5f7; }
th, td:not(:last-child) { white-space: nowrap; }
td:last-child { min-width: 22em; }
.warning { background: #fbe3dc; border-left: 6px solid #b3541e; padding: 0.6em 1em; font-weight: bold; }
img { max-width: 100%; display: block; }
"""


def render_html(blocks: Iterable[Block], title: str) -> str:
    """The page; verdicts are coloured, figures are inside it as base64."""
    body = "\n".join(_block(block) for block in blocks)
    head = f'<meta charset="utf-8">\n<title>{escape(title)}</title>\n<style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{escape(block.text)}</h{block.level}>"
    if isinstance(block, Text):
        return f'<p class="warning">{escape(block.text)}</p>' if block.warning else f"<p>{escape(block.text)}</p>"
    if isinstance(block, Figure):
        data = base64.b64encode(block.png).decode("ascii")
        return f'<img alt="{escape(block.alt)}" src="data:image/png;base64,{data}">'
    return _table(block)


def _table(table: Table) -> str:
    header = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    rows = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    return f'<div class="wide"><table>\n<tr>{header}</tr>\n{rows}\n</table></div>'


def _cell(text: str) -> str:
    colour = next((colour for verdict, colour in COLOURS.items() if text.startswith(verdict)), None)
    style = f' style="background: {colour}"' if colour else ""
    return f"<td{style}>{escape(text)}</td>"
