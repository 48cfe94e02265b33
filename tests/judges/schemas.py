"""Compares Python's `jsonschema` with the program on random pairs of a schema and an answer.

`.ci/judges` calls this file to write the pairs. Then it runs `tests/schema_judge.rs`, which writes what the program
says about each pair. `judge` compares the program's verdicts with Python's verdicts. The generator does not know which
verdict is right. The generator makes an answer that roughly fits, and then often damages this answer.

The two validators differ in some things by design. The pairs do not contain these things: numbers above 64 bits,
patterns in which Python and ECMAScript differ, and formats that Python checks only with further packages.
"""

import copy
import json
import random
import sys
from pathlib import Path

SEED = 20261127
WORDS = ["", "a", "ab", "abc", "x1", "2026-11-27", "2026-02-30", "été", "😀😀", "aaaa", "127.0.0.1", "1.2.3", "::1", "g::",
         "a@example.com", "none", "123e4567-e89b-12d3-a456-426614174000", "123e4567", "A-b_9", " "]
NAMES = ["a", "b", "name", "x-1", "é", "kind"]
PATTERNS = ["^a", "b$", "^[a-z]+$", "[0-9]{2}", "^(a|ab)*$", "^.{2,3}$", "x?1", "^(a+)+$", "^(?!ab)", "a(?=b)"]
FORMATS = ["date", "ipv4", "ipv6", "uuid", "email"]


class Generator:
    def __init__(self, rng):
        self.rng = rng

    def chance(self, share):
        return self.rng.random() < share

    def value(self, depth):
        """Returns any JSON value."""
        kind = self.rng.randrange(7 if depth > 0 else 5)
        if kind == 5:
            return [self.value(depth - 1) for _ in range(self.rng.randrange(4))]
        if kind == 6:
            return {self.rng.choice(NAMES): self.value(depth - 1) for _ in range(self.rng.randrange(4))}
        number = self.rng.choice([0, 1, -1, 2, 3, 7, 10, 1.0, 0.5, -2.5, 100, 2**53])
        return [None, self.chance(0.5), number, self.rng.choice(WORDS), self.rng.choice(WORDS)][kind]

    def schema(self, depth):
        """Returns a random schema."""
        if self.chance(0.03):
            return self.chance(0.8)
        if depth > 0 and self.chance(0.25):
            return self.combined(depth)
        if self.chance(0.12):
            if self.chance(0.5):
                return {"const": self.value(1)}
            return {"enum": [self.value(1) for _ in range(self.rng.randrange(1, 4))]}
        kinds = [self.integer, self.number, self.string, self.string, self.plain]
        if depth > 0:
            kinds += [self.object, self.object, self.object, self.array, self.array]
        schema = self.rng.choice(kinds)(depth)
        if self.chance(0.1) and schema.get("type") not in (None, "null"):
            schema["type"] = [schema["type"], "null"]
        elif self.chance(0.1):
            schema.pop("type", None)
        return schema

    def combined(self, depth):
        several = lambda: [self.schema(depth - 1) for _ in range(self.rng.randrange(1, 4))]
        kind = self.rng.randrange(6)
        if kind == 0:
            return {"not": self.schema(depth - 1)}
        if kind == 1:
            schema = {"if": self.schema(depth - 1)}
            for name in ("then", "else"):
                if self.chance(0.7):
                    schema[name] = self.schema(depth - 1)
            return schema
        if kind == 2:
            return {"$ref": "#/$defs/" + self.rng.choice("pq")}
        schema = {["anyOf", "oneOf", "allOf"][kind - 3]: several()}
        if self.chance(0.3):
            schema |= self.object(depth)
            if self.chance(0.5):
                schema.pop("additionalProperties", None)
                schema["unevaluatedProperties"] = self.chance(0.2)
        return schema

    def some(self, schema, share, **choices):
        """Adds each keyword of `choices` with the probability `share`."""
        for name, make in choices.items():
            if self.chance(share):
                schema[name] = make()
        return schema

    def plain(self, depth):
        return {"type": self.rng.choice(["null", "boolean"])}

    def integer(self, depth):
        return self.some({"type": "integer"}, 0.3, minimum=lambda: self.rng.randrange(-3, 4),
                         maximum=lambda: self.rng.randrange(0, 12), multipleOf=lambda: self.rng.choice([1, 2, 5]),
                         exclusiveMinimum=lambda: self.rng.randrange(-3, 4))

    def number(self, depth):
        return self.some({"type": "number"}, 0.3, minimum=lambda: self.rng.choice([-2.5, 0, 0.5]),
                         maximum=lambda: self.rng.choice([0.5, 3, 99.5]), exclusiveMaximum=lambda: self.rng.choice([1, 100]),
                         multipleOf=lambda: self.rng.choice([0.5, 1]))

    def string(self, depth):
        return self.some({"type": "string"}, 0.25, minLength=lambda: self.rng.randrange(4),
                         maxLength=lambda: self.rng.randrange(1, 6), pattern=lambda: self.rng.choice(PATTERNS),
                         format=lambda: self.rng.choice(FORMATS))

    def array(self, depth):
        inner = lambda: self.schema(depth - 1)
        schema = self.some({"type": "array"}, 0.2, minItems=lambda: self.rng.randrange(3),
                           maxItems=lambda: self.rng.randrange(1, 4), uniqueItems=lambda: True, contains=inner,
                           prefixItems=lambda: [inner() for _ in range(self.rng.randrange(1, 3))])
        if "contains" in schema:
            self.some(schema, 0.3, minContains=lambda: self.rng.randrange(3), maxContains=lambda: self.rng.randrange(1, 3))
        if self.chance(0.7):
            schema["items"] = inner()
        elif self.chance(0.3):
            schema["unevaluatedItems"] = self.chance(0.3)
        return schema

    def object(self, depth):
        inner = lambda: self.schema(depth - 1)
        names = self.rng.sample(NAMES, self.rng.randrange(1, 4))
        schema = {"type": "object", "properties": {name: inner() for name in names}}
        return self.some(schema, 0.15, minProperties=lambda: self.rng.randrange(3),
                         maxProperties=lambda: self.rng.randrange(1, 4),
                         additionalProperties=lambda: inner() if self.chance(0.5) else False,
                         required=lambda: self.rng.sample(NAMES, self.rng.randrange(1, 3)),
                         patternProperties=lambda: {self.rng.choice(["^a", "b$", "[0-9]"]): inner()},
                         propertyNames=lambda: {"maxLength": self.rng.randrange(1, 5)},
                         dependentRequired=lambda: {self.rng.choice(names): [self.rng.choice(NAMES)]},
                         dependentSchemas=lambda: {self.rng.choice(names): {"required": [self.rng.choice(NAMES)]}})

    def root(self):
        schema = self.rng.choice([self.object, self.object, self.array, self.schema])(3)
        if not isinstance(schema, dict):
            return schema
        text = json.dumps(schema)
        if "#/$defs/" in text:
            # The schema `q` contains itself.
            children = {"type": "array", "items": {"$ref": "#/$defs/q"}, "maxItems": 2}
            schema["$defs"] = {"p": self.string(0), "q": {"type": "object", "properties": {"a": children, "b": self.integer(0)}}}
        return schema

    def answer(self, schema, root, depth=6):
        """Returns a value that roughly fits a schema."""
        if not isinstance(schema, dict) or depth == 0:
            return self.value(1)
        if "const" in schema:
            return copy.deepcopy(schema["const"])
        if "enum" in schema:
            return copy.deepcopy(self.rng.choice(schema["enum"]))
        if "$ref" in schema:
            return self.answer(root["$defs"][schema["$ref"][-1]], root, depth - 1)
        for name in ("anyOf", "oneOf", "allOf"):
            if name in schema and (name != "allOf" or "properties" not in schema):
                return self.answer(self.rng.choice(schema[name]), root, depth - 1)
        if "then" in schema and self.chance(0.5):
            return self.answer(schema["then"], root, depth - 1)
        kind = schema.get("type")
        kind = self.rng.choice(kind) if isinstance(kind, list) else kind
        if kind == "object" or "properties" in schema:
            named = schema.get("properties", {})
            needed = set(schema.get("required", []))
            members = {name: self.answer(one, root, depth - 1) for name, one in named.items() if name in needed or self.chance(0.6)}
            return members | {name: self.answer(named.get(name), root, depth - 1) for name in sorted(needed) if self.chance(0.9)}
        if kind == "array" or "items" in schema:
            first = [self.answer(one, root, depth - 1) for one in schema.get("prefixItems", [])]
            more = schema.get("items", schema.get("contains"))
            return first + [self.answer(more, root, depth - 1) for _ in range(self.rng.randrange(3))]
        if kind in ("integer", "number"):
            low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
            step = schema.get("multipleOf", 1)
            return min(-(-low // step) * step, schema.get("maximum", 1000))
        if kind == "string":
            least, most = schema.get("minLength", 0), schema.get("maxLength", 99)
            fitting = [word for word in WORDS if least <= len(word) <= most]
            return self.rng.choice(fitting or WORDS)
        return None if kind == "null" else self.chance(0.5) if kind == "boolean" else self.value(2)

    def damaged(self, value):
        """Returns the value with a part of it changed."""
        if isinstance(value, list) and value and self.chance(0.8):
            at = self.rng.randrange(len(value))
            return value[:at] + [self.damaged(value[at])] + value[at + self.rng.randrange(2) :]
        if isinstance(value, dict) and value and self.chance(0.8):
            name = self.rng.choice(sorted(value))
            changed = dict(value)
            changed.pop(name)
            return changed if self.chance(0.4) else changed | {self.rng.choice([name, *NAMES]): self.damaged(value[name])}
        return self.value(1)


def pairs(count):
    """Returns pairs of a schema and an answer."""
    generator = Generator(random.Random(SEED))
    for _ in range(count):
        schema = generator.root()
        answer = generator.answer(schema, schema)
        yield schema, generator.damaged(answer) if generator.chance(0.4) else answer


def write(path, count):
    """Writes the pairs, one on a line. The schema and the answer are texts, so that their spelling is kept."""
    with path.open("w", encoding="utf-8") as file:
        for schema, answer in pairs(count):
            line = {"schema": json.dumps(schema, ensure_ascii=False), "answer": json.dumps(answer, ensure_ascii=False)}
            file.write(json.dumps(line) + "\n")


def judge(folder, verdicts):
    """Compares the verdicts of the program, in `verdicts.txt`, with the verdicts of Python."""
    import jsonschema

    formats = jsonschema.FormatChecker(formats=FORMATS)
    lines = (folder / "pairs.jsonl").read_text(encoding="utf-8").splitlines()
    found = (folder / "verdicts.txt").read_text(encoding="utf-8").splitlines()
    different, fitting = [], 0
    for line, verdict in zip(lines, found, strict=True):
        pair = json.loads(line)
        schema, answer = json.loads(pair["schema"]), json.loads(pair["answer"])
        fits = jsonschema.Draft202012Validator(schema, format_checker=formats).is_valid(answer)
        fitting += fits
        if (verdict == "fits") != fits or verdict.startswith("refused"):
            different.append((pair, verdict, fits))
    what = f"pairs of a schema and an answer, of which {fitting:,} fit"
    verdicts.add("schemas", "Python jsonschema", what, len(lines), len(lines), len(different), different[:3])


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
