#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""Turn the numbered SQL files of this folder into one C table. embed.py OUT FILE..."""

import hashlib
import pathlib
import re
import sys


def literal(text):
    lines = text.split("\n")
    return "\n".join(
        '\t"' + line.replace("\\", "\\\\").replace('"', '\\"') + '\\n"' for line in lines)


def main():
    out, files = sys.argv[1], sys.argv[2:]
    steps = {}
    for path in map(pathlib.Path, files):
        match = re.fullmatch(r"(\d{4})-([a-z0-9-]+)(?:\.(sqlite|pg))?\.sql", path.name)
        if not match:
            sys.exit(f"{path.name}: want NNNN-name.sql, NNNN-name.sqlite.sql or NNNN-name.pg.sql")
        step = steps.setdefault(int(match[1]), {"name": match[2]})
        if step["name"] != match[2]:
            sys.exit(f"{path.name}: number {match[1]} has two names")
        for dialect in [match[3]] if match[3] else ["sqlite", "pg"]:
            if dialect in step:
                sys.exit(f"{path.name}: a second text for {dialect}")
            step[dialect] = path.read_text(encoding="utf-8")
    if sorted(steps) != list(range(1, len(steps) + 1)):
        sys.exit("migrations: numbers must be 1, 2, 3 without gaps")

    text = ["/* Made by src/db/migrations/embed.py. */", '#include "db/db.h"', ""]
    rows = []
    for number in sorted(steps):
        step = steps[number]
        row = [str(number), f'"{step["name"]}"']
        for dialect in ("sqlite", "pg"):
            if dialect not in step:
                sys.exit(f"migration {number}: no text for {dialect}")
            text += [f"static const char {dialect}_{number}[] =", literal(step[dialect]) + ";", ""]
            # Of the text as the program has it: the last line's end is ours.
            digest = hashlib.sha256((step[dialect] + "\n").encode()).hexdigest()
            row += [f"{dialect}_{number}", f'"{digest}"']
        rows.append("\t{" + ", ".join(row) + "},")
    text += ["const struct yg_db_step yg_db_steps[] = {"] + rows + ["};",
             "const size_t yg_db_steps_count = sizeof(yg_db_steps) / sizeof(yg_db_steps[0]);", ""]
    pathlib.Path(out).write_text("\n".join(text), encoding="utf-8")


main()
