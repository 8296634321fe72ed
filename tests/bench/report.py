# SPDX-License-Identifier: Apache-2.0
"""What a row found, and how it is printed."""
import statistics


class Row:
    """One line of the table: figures of each contender, and checks of ratios against targets."""

    def __init__(self, name, work):
        self.name, self.work = name, work
        self.figures = []        # (contender, value, unit)
        self.checks = []         # (what, value, "<=" or ">=", target, unit)
        self.notes = []

    def figure(self, contender, value, unit):
        self.figures.append((contender, value, unit))

    def check(self, what, value, relation, target, unit=""):
        self.checks.append((what, value, relation, target, unit))

    def note(self, text):
        self.notes.append(text)

    def met(self):
        return bool(self.checks) and all(reached(c) for c in self.checks)

    def as_json(self):
        return {"row": self.name, "work": self.work, "notes": self.notes,
                "figures": [dict(zip(("contender", "value", "unit"), f)) for f in self.figures],
                "checks": [dict(zip(("what", "value", "relation", "target", "unit"), c), met=reached(c)) for c in self.checks]}


def reached(check):
    _, value, relation, target, _ = check
    return value <= target if relation == "<=" else value >= target


def medians(samples):
    return {name: statistics.median(values) for name, values in samples.items() if values}


def spread(values):
    """Half the range, as a share of the median."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / 2 / middle if middle else 0


def short(value):
    if value >= 9_999_500:
        return f"{value / 1e6:.1f} M"
    if value >= 99_950:
        return f"{value / 1e3:.0f} k"
    if value >= 9_995:
        return f"{value / 1e3:.1f} k"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def text(row):
    lines = [f"{row.name}: {row.work}"]
    lines += [f"    {contender:<28} {short(value):>9} {unit}" for contender, value, unit in row.figures]
    lines += [f"    {'ok  ' if reached(c) else 'MISS'} {c[0]}: {c[1]:.3g}{c[4]} (target {c[2]} {c[3]:g}{c[4]})" for c in row.checks]
    lines += [f"    note: {note}" for note in row.notes]
    return "\n".join(lines)


def markdown(rows):
    lines = ["| work | measured | against the target |", "|---|---|---|"]
    for row in rows:
        figures = "; ".join(f"{contender} {short(value)} {unit}" for contender, value, unit in row.figures)
        checks = "; ".join(f"{c[0]} **{c[1]:.3g}**{c[4]} ({'' if reached(c) else 'missed: '}{c[2]} {c[3]:g}{c[4]})" for c in row.checks)
        lines.append(f"| `{row.name}`: {row.work} | {figures} | {checks or '-'} |")
    return "\n".join(lines)
