"""Writes the findings of a judge of providers into one section of a page."""

import datetime


def write_section(page, heading, text):
    """Replaces the section with this heading, or adds it at the end of the page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    _, mark, after = rest.partition("\n## ")
    said = f"\n## {heading}\n\nLast run: {datetime.date.today()}. {text.strip()}\n"
    page.write_text(before.rstrip("\n") + "\n" + said + mark + after, encoding="utf-8")
