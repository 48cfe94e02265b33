"""Makes random texts and JSON values of every kind. These values have characters of all planes of Unicode,
control characters, numbers that fit into no machine type, and members in any order."""

import random

# Pieces that formats treat specially at the beginning of a text or inside a text.
PIECES = [
    '"', '""', "'", ",", ";", "\t", "\n", "\r", "\r\n", "\\", "\\n", "\\u0041", " ", "  ", "=1+1", "+", "-", "@a", "\0",
    "\ufeff", "\u2028", "\u2029", "\x85", "null", "NaN", "NA", '{"a":1}', "</t>", "_x000D_", "e\u0301", "\u200d", "0010",
]

# Numbers whose spelling can change when a program parses and writes them.
NUMBERS = [
    "0", "-0", "1.0", "1e400", "-1E+5", "1.50", "0.1000000000000000055511151231257827", "18446744073709551616",
    "123456789012345678901234567890", "-9223372036854775809", "1e-999", "5e0",
]


def of_any_plane(rng):
    """Returns a character of a random plane. Half of a surrogate pair
    is never returned, because it is not a character."""
    plane = rng.randrange(17) << 16
    within = rng.choice([0xFFFD, 0xFFFE, 0xFFFF, 0]) if rng.random() < 0.1 else rng.randrange(0x10000)
    code = plane | within
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else chr(code)


def text(rng):
    """Returns a random text. The text can be empty."""
    parts = []
    for _ in range(rng.randrange(12)):
        kind = rng.randrange(4)
        if kind == 0:
            parts.append(rng.choice(PIECES))
        elif kind == 1:
            parts.append(chr(rng.randrange(0xA0)))
        elif kind == 2:
            parts.append(of_any_plane(rng))
        else:
            parts.append("word")
    return "".join(parts)


def number(rng):
    """Returns a random number as JSON text."""
    if rng.random() < 0.5:
        return rng.choice(NUMBERS)
    return "7" + "".join(rng.choice("0123456789") for _ in range(rng.randrange(60)))


def quoted(text, rng):
    """Returns a text as a JSON string. Each character is unchanged, or escaped in a way that JSON allows."""
    parts = ['"']
    for char in text:
        way = rng.randrange(8)
        if char in '"\\' and way:
            parts.append("\\" + char)
        elif char == "\n" and way:
            parts.append("\\n")
        elif char == "/" and not way:
            parts.append("\\/")
        elif way == 0 or char < " ":
            units = char.encode("utf-16-be")
            digits = "%04x" if way == 0 else "%04X"
            parts.extend("\\u" + digits % int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
        else:
            parts.append(char)
    return "".join(parts) + '"'


def value(rng, depth):
    """Returns a JSON value with nested members."""
    kind = rng.randrange(5 if depth else 3)
    if kind == 0:
        return number(rng)
    if kind == 1:
        return quoted(text(rng), rng)
    if kind == 2:
        return rng.choice(["true", "false", "null"])
    if kind == 3:
        return "[" + rng.choice([",", " , "]).join(value(rng, depth - 1) for _ in range(rng.randrange(4))) + "]"
    members = [(quoted(f"{text(rng)}{at}", rng), value(rng, depth - 1)) for at in range(rng.randrange(4))]
    rng.shuffle(members)
    return members_of(members, rng.choice([":", " : "]))


def members_of(members, colon=":"):
    """Returns an object of these members. The names must be JSON strings already."""
    return "{" + ",".join(name + colon + value for name, value in members) + "}"


def shuffled(members, rng, colon=":"):
    """Returns an object of these members, in any order."""
    members = [(f'"{name}"', value) for name, value in members]
    rng.shuffle(members)
    return members_of(members, colon)


class Row:
    """A row: its label, the key by which the server finds the row, the cells that are not sent, and the answer."""

    def __init__(self, label, asked, cells, rng):
        self.label, self.asked, self.cells = label, asked, cells
        texts = [text(rng) for _ in range(rng.randrange(1, 4))]
        self.text = "".join(texts)
        content = [shuffled([("type", '"text"'), ("text", quoted(block, rng))], rng) for block in texts]
        self.message = shuffled(
            [
                ("id", '"msg_1"'),
                ("type", '"message"'),
                ("role", '"assistant"'),
                ("model", '"claude-haiku-4-5"'),
                ("content", "[" + ",".join(content) + "]"),
                ("stop_reason", '"end_turn"'),
                ("usage", '{"output_tokens":1,"input_tokens":2,"unknown":1e400}'),
                ("container", value(rng, 3)),
            ],
            rng,
        )


def json_row(at, rng):
    """Returns a row in the shape of Message Batches, and its line. The members are in a random order. The number makes
    the row different from all other rows."""
    label = f"{text(rng)}#{at}"
    prompt = quoted(f"{text(rng)}#{at}#{text(rng)}", rng)
    params = [
        ("model", '"claude-haiku-4-5"'),
        ("max_tokens", "1" * rng.randrange(1, 4)),
        ("messages", '[ {"content":' + prompt + ' ,"role":"user"}]'),
        ("metadata", value(rng, 3)),
        ("temperature", number(rng)),
        ("unknown", value(rng, 3)),
    ]
    rng.shuffle(params)
    params = [(f'"{name}"', value) for name, value in params]
    note, huge = text(rng), number(rng)
    line = shuffled(
        [
            ("custom_id", quoted(label, rng)),
            ("params", members_of(params, rng.choice([":", ": "]))),
            ("note", quoted(note, rng)),
            ("number", huge),
        ],
        rng,
    )
    return Row(label, members_of(params).encode(), [note, huge], rng), line + rng.choice(["\n", "\r\n"])


def table_row(at, rng, carries):
    """Returns a row of a table. The function `carries` returns the part of a text that the format can carry. It is used
    only for cells of the input, because an answer can contain any character."""
    cell = lambda: carries(text(rng))
    return Row(f"{cell()}#{at}", f"{cell()}#{at}#{cell()}", [cell(), number(rng)], rng)


def generator(seed):
    """Returns a generator that gives the same random numbers for the same seed."""
    return random.Random(seed)
