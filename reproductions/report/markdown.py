"""A report as Markdown."""

from collections.abc import Iterable

from reproductions.report.blocks import Block, Figure, Heading, Table, Text


def render_markdown(blocks: Iterable[Block]) -> str:
    """Headings, paragraphs and pipe tables; figures are left to the HTML."""
    return "\n\n".join(_block(block) for block in blocks if not isinstance(block, Figure)) + "\n"


def _block(block: Heading | Text | Table) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {block.text}"
    if isinstance(block, Text):
        return f"> **{block.text}**" if block.warning else block.text
    lines = [block.header, tuple("---" for _ in block.header), *block.rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
