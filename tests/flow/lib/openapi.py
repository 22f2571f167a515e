"""Hold answers against an OpenAPI 3.1 document: the small part of JSON Schema that ours uses, strict about
the rest. A keyword that is not known here is an error, so that nothing is silently unchecked."""
import datetime
import re

IGNORED = {"description", "title", "examples", "format", "maxLength", "maxItems"}
TYPES = {
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "array": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
    "null": lambda v: v is None,
}


class Document:
    def __init__(self, whole):
        self.whole = whole

    def deref(self, node):
        while isinstance(node, dict) and "$ref" in node:
            target = self.whole
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def operations(self):
        for path, item in self.whole["paths"].items():
            for method, operation in item.items():
                if method != "parameters":
                    yield method.upper(), path, operation

    def template(self, path):
        """The path of the document that a concrete one is; the more literal one first."""
        path = path.split("?")[0]
        fits = [t for t in self.whole["paths"] if re.fullmatch(re.sub(r"{\w+}", "[^/]+", re.escape(t).replace(r"\{", "{").replace(r"\}", "}")), path)]
        return min(fits, key=lambda t: t.count("{")) if fits else None

    def check(self, method, path, status, body):
        """Everything that is wrong with an answer."""
        template = self.template(path)
        operation = self.whole["paths"].get(template, {}).get(method.lower())
        if operation is None:
            responses = {"default": {"$ref": "#/components/responses/Error"}}
        else:
            responses = operation["responses"]
        if str(status) not in responses and not (status >= 400 and "default" in responses):
            return [f"status {status} is not in the document"]
        response = self.deref(responses.get(str(status), responses.get("default")))
        if "content" not in response:
            return [] if body is None else [f"want no body, have {body!r}"]
        return list(self.wrong(response["content"]["application/json"]["schema"], body, "body"))

    def wrong(self, schema, value, at):
        schema = self.deref(schema)
        if "oneOf" in schema:
            tries = [list(self.wrong(s, value, at)) for s in schema["oneOf"]]
            if sum(not t for t in tries) != 1:
                yield f"{at}: fits not exactly one of its forms: {tries}"
            return
        kinds = schema.get("type")
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if kinds and not any(TYPES[k](value) for k in kinds):
            yield f"{at}: want {' or '.join(kinds)}, have {value!r}"
            return
        if value is None and kinds and "null" in kinds:
            return
        for keyword, rule in schema.items():
            if keyword in ("type", "oneOf") or keyword in IGNORED:
                pass
            elif keyword == "enum":
                if value not in rule:
                    yield f"{at}: want one of {rule}, have {value!r}"
            elif keyword == "minLength":
                if len(value) < rule:
                    yield f"{at}: want at least {rule} characters, have {len(value)}"
            elif keyword == "minItems":
                if len(value) < rule:
                    yield f"{at}: want at least {rule} items, have {len(value)}"
            elif keyword in ("minimum", "maximum"):
                if (value < rule) if keyword == "minimum" else (value > rule):
                    yield f"{at}: {keyword} is {rule}, have {value}"
            elif keyword == "items":
                for i, item in enumerate(value):
                    yield from self.wrong(rule, item, f"{at}[{i}]")
            elif keyword == "required":
                for name in rule:
                    if name not in value:
                        yield f"{at}: {name} is missing"
            elif keyword == "properties":
                for name, sub in rule.items():
                    if name in value:
                        yield from self.wrong(sub, value[name], f"{at}.{name}")
            elif keyword == "additionalProperties":
                if isinstance(rule, dict):
                    for name in set(value) - set(schema.get("properties", {})):
                        yield from self.wrong(rule, value[name], f"{at}.{name}")
            else:
                yield f"{at}: schema keyword {keyword} is not known to the test"
        if schema.get("format") == "date-time" and isinstance(value, str):
            try:
                datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ")
            except ValueError:
                yield f"{at}: want a time, have {value!r}"
