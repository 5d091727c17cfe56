# SPDX-License-Identifier: Apache-2.0
"""Bars, as SVG."""

from xml.sax.saxutils import escape

WIDTH, LABELS, BARS, ROW, GAP = 860, 230, 520, 26, 44
OURS, OTHERS = "#2f6fb2", "#9aa7b4"


def draw(titles, panels):
    """One panel above the other: (title, digits, values by tunnel). A tunnel without a value is left out."""
    parts = []
    top = 10
    for title, digits, values in panels:
        present = [(tunnel, values[tunnel]) for tunnel in titles if values.get(tunnel) is not None]
        if not present:
            continue
        largest = max(value for _, value in present) or 1
        parts.append(f'<text x="{LABELS}" y="{top + 20}" font-weight="bold">{escape(title)}</text>')
        top += 32
        for tunnel, value in present:
            color = OURS if tunnel == "weft" else OTHERS
            length = max(1, value / largest * BARS)
            parts += [
                f'<text x="{LABELS - 10}" y="{top + 16}" text-anchor="end">{escape(titles[tunnel])}</text>',
                f'<rect x="{LABELS}" y="{top + 2}" width="{length:.1f}" height="{ROW - 6}" fill="{color}"/>',
                f'<text x="{LABELS + length + 8:.1f}" y="{top + 16}">{value:,.{digits}f}</text>',
            ]
            top += ROW
        top += GAP - ROW
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}" '
            'font-family="sans-serif" font-size="14" fill="#24292f">\n'
            f'<rect width="{WIDTH}" height="{top}" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n")
