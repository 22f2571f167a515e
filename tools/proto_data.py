# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""Reads src/proto/{events,causes,status}.json and checks what C cannot: one place for gen-proto and
gen-docs. A mistake in the data ends the build with its place."""
import json
import re
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "src" / "proto"
TYPES = ["text", "int", "bytes", "duration", "time", "code", "computer", "cause", "set", "reason",
         "phase", "who", "kind", "alert", "components",
         "computers", "failures"]
SUBJECTS = ["", "computer", "group", "item"]
LEVELS = ["info", "warning", "error"]
ORIGINS = ["manager", "agent"]


class Bad(Exception):
    pass


def need(condition, where, rule):
    if not condition:
        raise Bad(f"{where}: {rule}")


def read(name):
    with open(FOLDER / name, encoding="utf-8") as file:
        return json.load(file)


def params_of(text, where):
    """Names used in a template, split into those outside and inside of [brackets]."""
    outside, inside, depth = [], [], 0
    for piece in re.findall(r"\{[a-z_]*\}|[\[\]{}]|[^\[\]{}]+", text):
        if piece == "[":
            need(depth == 0, where, "brackets inside brackets")
            depth, had = 1, len(inside)
        elif piece == "]":
            need(depth == 1, where, "']' without '['")
            need(len(inside) > had, where, "brackets without a parameter")
            depth = 0
        elif piece[0] in "{}":
            need(re.fullmatch(r"\{[a-z_]+\}", piece), where, f"'{piece}' is not a parameter")
            (inside if depth else outside).append(piece[1:-1])
    need(depth == 0, where, "'[' without ']'")
    return outside, inside


def template_params(row, where, texts):
    """Parameters of an event or alert; each text uses them, and only them. texts: {lang: template}"""
    params = []
    for text in row["params"]:
        match = re.fullmatch(r"([a-z_]+):([a-z]+)(\??)", text)
        need(match and match[2] in TYPES, where, f"parameter '{text}': want name:type or name:type?")
        params.append({"name": match[1], "type": match[2], "optional": match[3] == "?"})
    names = [p["name"] for p in params]
    need(len(set(names)) == len(names), where, "a parameter twice")
    used = {}
    for lang in ("en", "ja"):
        outside, inside = params_of(texts[lang], f"{where}: {lang}")
        for name in outside + inside:
            need(name in names, where, f"{lang}: '{{{name}}}' is not among the parameters")
        for p in params:
            if p["name"] in outside:
                need(not p["optional"], where, f"{lang}: '{p['name']}' is optional: want brackets")
            elif not p["optional"]:
                need(p["name"] in inside, where, f"{lang}: '{p['name']}' is not in the text")
        used[lang] = set(outside + inside)
    need(used["en"] == used["ja"], where, "the two texts use different parameters")
    return params


def events():
    out, seen = [], 0
    for row in read("events.json")["events"]:
        where = f"events.json: {row.get('id')}"
        need(row["level"] in LEVELS, where, f"level: want one of {LEVELS}")
        need(row["origin"] in ORIGINS, where, f"origin: want one of {ORIGINS}")
        for lang in ("en", "ja"):
            need(len(row[lang]) == 2 and all(row[lang]), where, f"{lang}: want name and text")
        params = template_params(row, where, {lang: row[lang][1] for lang in ("en", "ja")})
        out.append({"id": row["id"], "level": row["level"], "origin": row["origin"], "params": params,
                    "en": row["en"], "ja": row["ja"]})
    out.sort(key=lambda e: e["id"])
    for event in out:
        need(event["id"] > seen, f"events.json: {event['id']}", "the same number twice")
        seen = event["id"]
    return out


def alerts():
    out = []
    for row in sorted(read("alerts.json")["alerts"], key=lambda a: a["kind"]):
        where = f"alerts.json: {row['kind']}"
        need(re.fullmatch(r"[a-z_]+", row["kind"]) and len(row["kind"]) < 40, where, "kind")
        need(not out or out[-1]["kind"] != row["kind"], where, "twice")
        need(row["level"] in LEVELS[1:], where, f"level: want one of {LEVELS[1:]}")
        need(row["subject"] in SUBJECTS, where, f"subject: want one of {SUBJECTS}")
        for lang in ("en", "ja"):
            need(len(row[lang]) == 3 and all(row[lang][:2]), where, f"{lang}: want name, text and remedy")
        params = template_params(row, where, {lang: row[lang][1] for lang in ("en", "ja")})
        need(bool(row["en"][2]) == bool(row["ja"][2]), where, "a remedy in one language only")
        need(row["en"][2] or any(p["type"] == "cause" for p in params), where,
             "want a remedy, or a cause that brings one")
        out.append({"kind": row["kind"], "level": row["level"], "subject": row["subject"],
                    "params": params, "en": row["en"], "ja": row["ja"]})
    return out


def causes():
    rows = sorted(read("causes.json")["causes"], key=lambda c: c["id"])
    for at, row in enumerate(rows):
        where = f"causes.json: {row['id']}"
        need(re.fullmatch(r"[a-z]+(\.[a-z_]+)?", row["id"]) and len(row["id"]) < 40, where, "id")
        need(at == 0 or rows[at - 1]["id"] != row["id"], where, "twice")
        for lang in ("en", "ja"):
            need(len(row[lang]) == 2 and row[lang][0], where, f"{lang}: want sentence and remedy")
            for text in row[lang]:
                need(not text or text[-1] in ".。", where, f"{lang}: want a full stop")
        need(bool(row["en"][1]) == bool(row["ja"][1]), where, "a remedy in one language only")
        row.setdefault("auto", {"en": "", "ja": ""})
        need(sorted(row["auto"]) == ["en", "ja"], where, "auto: want en and ja")
        for text in row["auto"].values():
            need(not text or text[-1] in ".。", where, "auto: want a full stop")
    return rows


def statuses():
    data = read("status.json")
    known = [c["id"] for c in causes()]
    areas = {c.split(".")[0] for c in known}
    out = {}
    for kind, prefix in (("agent", "IAU_STATUS_"), ("relay", "IAURELAY_STATUS_")):
        numbers = set()
        out[kind] = []
        for row in data[kind]:
            where = f"status.json: {row['name']}"
            need(row["name"].startswith(prefix) and len(row["name"]) < 64, where, f"want {prefix}…")
            if kind == "agent":
                severity, facility, code = row["status"]
                need(0 <= severity <= 3 and 0 <= facility < 0x4000 and 0 <= code < 0x10000, where, "range")
                number = severity << 30 | facility << 16 | code
                number -= (number & 0x80000000) << 1
            else:
                severity, facility, code, number = 0, 0, 0, row["number"]
            need(number not in numbers, where, "the same number twice")
            numbers.add(number)
            for cause in row["causes"]:
                need(cause == "*" or cause in known or
                     (cause.endswith(".*") and cause[:-2] in areas), where, f"no cause '{cause}'")
            out[kind].append({"name": row["name"], "severity": severity, "facility": facility, "code": code,
                              "number": number, "causes": row["causes"]})
        need(out[kind][0]["number"] == 0, "status.json", f"{kind}: want success first")
        need(out[kind][-1]["causes"] == ["*"], "status.json", f"{kind}: want the general failure last")
    return out


def run(main):
    try:
        return main()
    except (Bad, KeyError, OSError, ValueError) as why:
        print(f"{Path(sys.argv[0]).name}: {why}", file=sys.stderr)
        return 1
