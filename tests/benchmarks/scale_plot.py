"""The plot of scale.py as SVG without a plotting library: logarithmic axes, for light and dark backgrounds."""

import math

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 420, 70, 50, 20, 20
COLOURS = {("base", "single"): "#0072b2", ("small", "single"): "#d55e00", ("small", "chunks"): "#009e73"}
STYLE = (
    "text{font:13px sans-serif;fill:#222}.grid{stroke:#8885}.ideal{stroke:#888;stroke-dasharray:4 4}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}}"
)


def curve(rows, engines, saturated_at):
    """Return the SVG of texts per second by number of workers, and of the limit of one Redis core."""
    max_rate = 100_000
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            'aria-label="Texts per second by number of workers">'
        ),
        f"<style>{STYLE}</style>",
        *axes(max_rate),
    ]
    series = {}
    for row in rows:
        series.setdefault((row["engine"], row["kind"]), []).append(row)
    for number, (name, series_rows) in enumerate(series.items()):
        colour, rate = COLOURS[name], engines[name[0]]
        end = saturated_at[name]
        label = (
            f"{name[0]}, {name[1]}: measured; dotted: until Redis is saturated, {end:.0f} workers, {end * rate:,.0f}/s"
        )
        parts += [
            line(
                [(1, rate, max_rate), (end, end * rate, max_rate)],
                f'stroke="{colour}" fill="none" stroke-dasharray="2 5"',
            ),
            dot(end, end * rate, max_rate, colour),
            line(
                [(row["workers"], row["rate"], max_rate) for row in series_rows],
                f'stroke="{colour}" fill="none" stroke-width="2.5"',
            ),
            f'<text x="{LEFT + 12}" y="{TOP + 18 + 18 * number}" style="fill:{colour}">{label}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def axes(max_rate):
    for workers in tuple(2**n for n in range(10)):
        x, _ = position(workers, 1, max_rate)
        yield f'<text x="{x:.0f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{workers}</text>'
    for power in range(1, int(math.log10(max_rate)) + 1):
        _, y = position(1, 10**power, max_rate)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.0f}" y2="{y:.0f}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{10**power:,}</text>'
    yield f'<text x="{(WIDTH + LEFT) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">workers of one process</text>'
    yield f'<text x="14" y="{HEIGHT / 2:.0f}" transform="rotate(-90 14 {HEIGHT / 2:.0f})">texts/s</text>'


def position(workers, rate, max_rate):
    """Return the position of a point in pixels."""
    x = LEFT + (WIDTH - LEFT - RIGHT) * math.log2(workers) / 9
    share = (math.log10(max(rate, 10)) - 1) / (math.log10(max_rate) - 1)
    return x, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share


def dot(workers, rate, max_rate, colour):
    x, y = position(workers, rate, max_rate)
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>'


def line(points, style):
    return f'<polyline points="{" ".join("{:.1f},{:.1f}".format(*position(*point)) for point in points)}" {style}/>'
