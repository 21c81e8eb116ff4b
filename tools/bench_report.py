"""The tables and the page of tools/bench, out of what the load programs have printed.

A report is a dictionary: facts (lines for the head), systems (name -> head of its column), rows (of
make_rows), sdk (Markdown, or nothing), failures (a sentence each), and the runs, for who reads the
JSON file.
"""

import html
import statistics
from collections import namedtuple

# field: of the JSON object that a load program ends with. better: "more" or "less". bar: a number,
# or the system whose figure of the same run is the bar, or nothing. over: the measurement whose
# figure this one is divided by, or nothing. scale: from the field to the unit.
Row = namedtuple("Row", "measurement title field unit better bar over scale", defaults=(None, 1))


# ---- Tables -------------------------------------------------------------------------------------


def median(values):
    """None when there are none."""
    return statistics.median(values) if values else None


def format_number(value):
    """Three digits that say something, and thousands set apart."""
    if value is None:
        return "-"
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def is_met(figure, bar, better):
    """None when there is nothing to compare."""
    if figure is None or bar is None:
        return None
    return figure >= bar if better == "more" else figure <= bar


def figure_of(row, measurement, system, results):
    """The median of the rounds that have it; None when none has."""
    values = [run.get(row.field) for run in results.get((system, measurement), [])]
    return median([value * row.scale for value in values if value is not None])


def make_rows(rows, systems, results):
    """What the tables, the page and the JSON file say of each row."""
    made = []
    for row in rows:
        figures = {}
        for system in systems:
            figure = figure_of(row, row.measurement, system, results)
            if row.over:
                base = figure_of(row, row.over, system, results)
                figure = figure / base if figure is not None and base else None
            figures[system] = figure
        relative = isinstance(row.bar, str)
        bar = figures.get(row.bar) if relative else row.bar
        made.append({
            "measurement": row.measurement, "title": row.title, "unit": row.unit,
            "better": row.better, "figures": figures,
            "bar": bar, "bar_of": row.bar if relative else None,
            "met": is_met(figures.get("godwit"), bar, row.better),
        })  # fmt: skip
    return made


def bar_text(row):
    sign = "≥" if row["better"] == "more" else "≤"
    if row["bar_of"]:
        return f"{sign} {row['bar_of']}"
    return f"{sign} {format_number(row['bar'])}" if row["bar"] is not None else ""


def met_text(row):
    return {None: "", True: "yes", False: "no"}[row["met"]]


def heading_of(row):
    if row["measurement"].startswith("growth-"):
        return "How the cost grows"
    return "CPU seconds per million messages" if row["unit"] == "CPU-s/M" else "Figures"


def sections(rows):
    """(heading, rows) of each table."""
    parts = {}
    for row in rows:
        parts.setdefault(heading_of(row), []).append(row)
    return list(parts.items())


def head_cells(systems):
    return ["row", "unit", *systems.values(), "bar", "met?"]


def cells(row, systems):
    figures = [format_number(row["figures"][system]) for system in systems]
    return [row["title"], row["unit"], *figures, bar_text(row), met_text(row)]


def markdown_table(rows, systems):
    lines = ["| " + " | ".join(head_cells(systems)) + " |",
             "|---|---|" + "---:|" * (len(systems) + 1) + "---|"]  # fmt: skip
    lines += ["| " + " | ".join(cells(row, systems)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def markdown(report):
    text = "# Benchmark\n\n" + "\n".join(f"- {fact}" for fact in report["facts"]) + "\n"
    for heading, rows in sections(report["rows"]):
        text += f"\n## {heading}\n\n{markdown_table(rows, report['systems'])}"
    if report["sdk"]:
        text += f"\n## The client SDK\n\n{report['sdk']}"
    if report["failures"]:
        text += "\n## What went wrong\n\n"
        text += "".join(f"- {failure}\n" for failure in report["failures"])
    return text


# ---- The page -----------------------------------------------------------------------------------

COLOURS = {"godwit": "#1b6ca8", "mosquitto": "#8a8f98", "nats": "#a9b0ba", "redis": "#6b7280"}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem;
       color: #1c1e21; background: #fff; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
td, th { padding: 0.3rem 0.6rem; border-bottom: 1px solid #d9dce1; text-align: right; }
td:first-child, th:first-child { text-align: left; min-width: 11rem; }
figure { margin: 1.2rem 0; }
figcaption { font-weight: 600; }
svg { width: 100%; max-width: 36rem; height: auto; display: block; }
svg text { font: 13px system-ui, sans-serif; fill: #1c1e21; }
pre { overflow-x: auto; }
.no { color: #b3261e; } .yes { color: #1e7d32; }
"""
BAR_HEIGHT, BAR_LEFT, BAR_WIDTH, CHART_WIDTH = 22, 84, 200, 360


def page_table(head, lines):
    """A last cell of yes or no is coloured as that."""
    text = '<div class="wide"><table><tr>' + "".join(f"<th>{html.escape(it)}</th>" for it in head)
    for line in lines:
        text += "</tr>\n<tr>"
        for cell in line:
            kind = f' class="{cell}"' if cell in ("yes", "no") else ""
            text += f"<td{kind}>{html.escape(cell)}</td>"
    return text + "</tr></table></div>\n"


def page_chart(row):
    """A bar for each system, the longest as wide as there is room; a line where the bar stands.
    Nothing where there is nothing to compare."""
    figures = {name: value for name, value in row["figures"].items() if value is not None}
    longest = max([*figures.values(), row["bar"] or 0], default=0)
    if longest <= 0 or (len(figures) < 2 and row["bar"] is None):
        return ""
    height = BAR_HEIGHT * len(figures)
    text = f'<svg viewBox="0 0 {CHART_WIDTH} {height}" role="img">'
    for at, (name, value) in enumerate(figures.items()):
        top, width = at * BAR_HEIGHT, value / longest * BAR_WIDTH
        text += (
            f'<text x="0" y="{top + 15}">{name}</text><rect x="{BAR_LEFT}" y="{top + 3}" '
            f'width="{width:.1f}" height="{BAR_HEIGHT - 6}" fill="{COLOURS[name]}"/>'
            f'<text x="{BAR_LEFT + width + 5:.1f}" y="{top + 15}">{format_number(value)}</text>'
        )
    if row["bar"] is not None:
        x = BAR_LEFT + row["bar"] / longest * BAR_WIDTH
        text += f'<path d="M{x:.1f} 0V{height}" stroke="#b3261e" stroke-dasharray="3 3"/>'
    caption = html.escape(f"{row['title']} ({row['unit']}, {row['better']} is better)")
    return f"<figure><figcaption>{caption}</figcaption>{text}</svg></figure>\n"


def page_of_markdown(text):
    """Headings, tables and paragraphs: all that bench_sdk prints."""
    out, table = "", []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            table.append([cell.strip() for cell in line.strip("|").split("|")])
            continue
        if table:
            out += page_table(table[0], table[2:])
            table = []
        if line.startswith("#"):
            out += f"<h3>{html.escape(line.lstrip('# '))}</h3>\n"
        elif line:
            out += f"<p>{html.escape(line)}</p>\n"
    return out


def page(report):
    systems = report["systems"]
    text = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Benchmark</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body>\n<h1>Benchmark</h1>\n<ul>"
    )
    text += "".join(f"<li>{html.escape(fact)}</li>" for fact in report["facts"]) + "</ul>\n"
    for heading, rows in sections(report["rows"]):
        text += f"<h2>{heading}</h2>\n"
        text += page_table(head_cells(systems), [cells(row, systems) for row in rows])
        text += "".join(map(page_chart, rows))
    if report["sdk"]:
        text += "<h2>The client SDK</h2>\n" + page_of_markdown(report["sdk"])
    for failure in report["failures"]:
        text += f'<p class="no">{html.escape(failure)}</p>\n'
    return text + "</body></html>\n"
