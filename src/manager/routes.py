#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""Make the routing table of the REST API, and the document it answers, from openapi.yaml.

routes.py openapi.yaml out/routes.inc: C source that api.c includes. What a request may hold is checked at run
time from these tables, so that the document and the server cannot differ. A keyword of JSON Schema that the
tables cannot express is an error here, not a check that silently does not happen.
"""
import json
import re
import sys

import yaml

# Keywords that say nothing about validity, or that a table row carries.
KNOWN = {'type', 'enum', 'items', 'properties', 'required', 'minimum', 'maximum', 'minLength', 'maxLength',
         'minItems', 'maxItems', 'format', 'description', 'additionalProperties', 'oneOf', 'title', 'examples'}
KINDS = ['string', 'integer', 'boolean', 'array', 'object', 'null']


class Maker:
    def __init__(self, doc):
        self.doc, self.count, self.done = doc, 0, {}
        self.out = ['static const struct api_member nothing[] = {{NULL, false, NULL}};']

    def deref(self, node):
        while isinstance(node, dict) and '$ref' in node:
            target = self.doc
            for part in node['$ref'].removeprefix('#/').split('/'):
                target = target[part]
            node = target
        return node

    def name(self, stem):
        self.count += 1
        return f'{stem}_{self.count}'

    def value(self, schema):
        """The C name of a `struct api_value` for a schema."""
        schema = self.deref(schema)
        key = json.dumps(schema, sort_keys=True)
        if key in self.done:
            return self.done[key]
        row = {'kinds': set(), 'min': 0, 'max': 4096, 'words': None, 'item': None, 'members': None,
               'items_min': 0, 'items_max': 1000, 'date': False, 'free': False}
        for branch in schema.get('oneOf', [schema]):
            self.branch(self.deref(branch), row)
        words = 'NULL'
        if row['words'] is not None:
            words = self.name('words')
            self.out.append(f'static const char *const {words}[] = {{'
                            + ', '.join(c(w) for w in row['words']) + ', NULL};')
        item = f"&{self.value(row['item'])}" if row['item'] else 'NULL'
        members = self.members(*row['members']) if row['members'] else 'NULL'
        name = self.name('value')
        kinds = ' | '.join('API_' + k.upper() for k in KINDS if k in row['kinds'])
        self.out.append(
            f"static const struct api_value {name} = {{.kinds = {kinds}, .min = {row['min']}, .max = {row['max']}, "
            f".items_min = {row['items_min']}, .items_max = {row['items_max']}, .date = {flag(row['date'])}, "
            f".free = {flag(row['free'])}, .words = {words}, .item = {item}, .members = {members}}};")
        self.done[key] = name
        return name

    def branch(self, schema, row):
        unknown = set(schema) - KNOWN
        if unknown:
            sys.exit(f'routes.py: schema keyword {sorted(unknown)} cannot be checked: {schema}')
        kinds = schema.get('type', 'string' if 'enum' in schema else None)
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if not set(kinds) <= set(KINDS):
            sys.exit(f'routes.py: type {kinds} cannot be checked: {schema}')
        row['kinds'] |= set(kinds)
        if 'enum' in schema:
            row['words'] = [w for w in schema['enum'] if w is not None]
        if 'integer' in kinds:
            row['min'], row['max'] = schema['minimum'], schema['maximum']
        if 'string' in kinds and 'enum' not in schema:
            row['min'], row['max'] = schema.get('minLength', 0), schema.get('maxLength', 4096)
            row['date'] = schema.get('format') == 'date-time'
        if 'array' in kinds:
            row['item'] = schema['items']
            row['items_min'], row['items_max'] = schema.get('minItems', 0), schema.get('maxItems', 1000)
        if 'object' in kinds:
            row['free'] = schema.get('additionalProperties') is True
            row['members'] = (schema.get('properties', {}), schema.get('required', []))

    def members(self, properties, required):
        if not properties:
            return 'nothing'
        rows = [f'\t{{{c(n)}, {flag(n in required)}, &{self.value(s)}}},' for n, s in properties.items()]
        name = self.name('members')
        self.out.append(f'static const struct api_member {name}[] = {{\n' + '\n'.join(rows)
                        + '\n\t{NULL, false, NULL},\n};')
        return name

    def routes(self):
        rows = []
        for path, item in self.doc['paths'].items():
            shared = [self.deref(p) for p in item.get('parameters', [])]
            for method in ('get', 'post', 'put', 'patch', 'delete'):
                if method not in item:
                    continue
                op = item[method]
                params = shared + [self.deref(p) for p in op.get('parameters', [])]
                ids = re.findall(r'{(\w+)}', path)
                if ids not in ([], ['id']) or ids != [p['name'] for p in params if p['in'] == 'path']:
                    sys.exit(f'routes.py: {path}: want no path parameter or "id" alone')
                query = {p['name']: p['schema'] for p in params if p['in'] == 'query'}
                body = op.get('requestBody')
                schema = body['content']['application/json']['schema'] if body else None
                status = next(int(s) for s in op['responses'] if s.startswith('2'))
                rows.append(
                    f"\t{{{c(method.upper())}, {c(path)}, {c(op.get('x-op', ''))}, {status}, "
                    f"{flag(op.get('security') == [])}, {flag(op.get('x-lang', False))}, {flag(op.get('x-zip', False))}, "
                    f"{self.members(query, [])}, {'&' + self.value(schema) if schema else 'NULL'}}},")
        self.out.append('static const struct api_route routes[] = {\n' + '\n'.join(rows) + '\n};')

    def document(self):
        text = json.dumps(strip(self.doc), separators=(',', ':'), ensure_ascii=True)
        # Literals of 4095 bytes at most are what C promises; adjacent ones are joined by the compiler.
        pieces = [text[i:i + 96] for i in range(0, len(text), 96)]
        self.out.append('static const char document[] =\n' + '\n'.join('\t' + c(p) for p in pieces) + ';')


def strip(node):
    """The document without our own x- members: they are nobody else's business."""
    if isinstance(node, dict):
        return {k: strip(v) for k, v in node.items() if not str(k).startswith('x-')}
    return [strip(v) for v in node] if isinstance(node, list) else node


def c(text):
    return '"' + text.replace('\\', '\\\\').replace('"', '\\"').replace('??', '?\\?') + '"'


def flag(value):
    return 'true' if value else 'false'


def main():
    with open(sys.argv[1], encoding='utf-8') as f:
        maker = Maker(yaml.safe_load(f))
    maker.routes()
    maker.document()
    with open(sys.argv[2], 'w', encoding='utf-8') as f:
        f.write('/* Made by routes.py from openapi.yaml. */\n' + '\n'.join(maker.out) + '\n')


main()
