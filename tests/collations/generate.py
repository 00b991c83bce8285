#!/usr/bin/env python3
"""Writes the tables of src/change/collation/data from a MySQL server: weights of characters and case mappings.

usage: scripts/mysql start weights 33999
       tests/collations/generate.py weights            writes the tables (about two minutes)
       tests/collations/generate.py weights --check    compares them with the server, writes nothing
       scripts/mysql drop weights

Needs Python 3 and nothing else. The server's name is that of scripts/mysql; any MySQL 8.0 or later gives the same tables (UCA 9.0.0 and 4.0.0 do not change). Each
table is made from WEIGHT_STRING, UPPER and LOWER of every single code point. What the code takes for granted beyond that is
checked here: that no two characters weigh differently together than apart, that the collations of one family share
their weights, that implicit weights and Hangul syllables can be computed.

Format of a table: "PCOL", format, kind (1 weights, 2 maps), four bytes of length, four of FNV-1a, both little endian and of what
follows. All numbers are LEB128, signed ones zigzag. See src/change/collation/table.rs, which reads it.
"""

import os
import subprocess
import sys

FORMAT = 1
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DATA = os.path.join(ROOT, "src", "change", "collation", "data")
DATABASE = "penstock_collations"
# Collations of single-byte sets that give every code one weight.
SIMPLE = ["latin1_swedish_ci", "ascii_general_ci"]


def query(sql, database=DATABASE):
    command = [os.path.join(ROOT, "scripts", "mysql"), "client", SERVER, "-N", "--quick", "--raw"]
    done = subprocess.run(
        command + ([database] if database else []),
        input="SET NAMES utf8mb4; SET SESSION cte_max_recursion_depth = 2000000;\n" + sql,
        stdout=subprocess.PIPE,
        encoding="ascii",
        check=True,
    )
    return [line.split("\t") for line in done.stdout.splitlines()]


def prepare():
    query(f"CREATE DATABASE IF NOT EXISTS {DATABASE}", None)
    query(
        """DROP TABLE IF EXISTS chars;
        CREATE TABLE chars (n INT PRIMARY KEY, c VARCHAR(1) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin);
        INSERT INTO chars WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 0x10FFFF)
        SELECT n, CONVERT(CHAR(n USING utf32) USING utf8mb4) FROM s WHERE n NOT BETWEEN 0xD800 AND 0xDFFF;"""
    )


def require(condition, what):
    if not condition:
        sys.exit(f"generate.py: {what}")


# ---- encoding --------------------------------------------------------------------------------------------------------


def number(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed(value):
    return number(value << 1 if value >= 0 else (-value << 1) - 1)


def framed(kind, payload):
    checksum = 0x811C9DC5
    for byte in payload:
        checksum = (checksum ^ byte) * 0x01000193 & 0xFFFFFFFF
    head = b"PCOL" + bytes([FORMAT, kind])
    return head + len(payload).to_bytes(4, "little") + checksum.to_bytes(4, "little") + payload


def encoded_map(pairs):
    """A map as (gap of keys, change of the distance)."""
    out, at, distance = number(len(pairs)), 0, 0
    for key, value in sorted(pairs.items()):
        out += number(key - at) + signed(value - key - distance)
        at, distance = key, value - key
    return out


# ---- weights ---------------------------------------------------------------------------------------------------------


def units(hexadecimal):
    return tuple(int(hexadecimal[i : i + 4], 16) for i in range(0, len(hexadecimal), 4))


def levels(weights):
    out = [[]]
    for weight in weights:
        if weight == 0:
            out.append([])
        else:
            out[-1].append(weight)
    return tuple(map(tuple, out))


def weights_of(*collations):
    columns = ", ".join(f"HEX(WEIGHT_STRING(c COLLATE {name}))" for name in collations)
    rows = query(f"SELECT n, {columns} FROM chars ORDER BY n")
    return {int(row[0]): [units(cell) for cell in row[1:]] for row in rows}


def implicit(code, base, less):
    return (base + (code - less >> 15), code - less & 0x7FFF | 0x8000)


def hangul(table, code):
    index = code - 0xAC00
    parts = [0x1100 + index // 588, 0x1161 + index % 588 // 28]
    if index % 28:
        parts.append(0x11A7 + index % 28)
    joined = [(), (), ()]
    for part in parts:
        joined = [a + b for a, b in zip(joined, table[part])]
    return tuple(joined)


def encoded_weights(table, candidates):
    """`candidates` are the computations that a character may follow, as (kind, first parameter, second parameter)."""

    def follows(code, candidate):
        kind, first, second = candidate
        if kind == 0:
            primary = implicit(code, first, second) if code >= second else None
            return table[code][0] == primary and all(x in ((0x20,), (2,), ()) for x in table[code][1:])
        if kind == 1:
            return table[code] == ((first,), (), ())
        return 0xAC00 <= code <= 0xD7A3 and table[code] == hangul(table, code)

    runs, entries = [], []
    for code in sorted(table):
        # A run goes on as it began; over the surrogates too.
        last = runs[-1] if runs else None
        if last and code in (last[1] + 1, 0xE000) and (last[1] in (code - 1, 0xD7FF)) and follows(code, last[2]):
            last[1] = code
            continue
        found = [candidate for candidate in candidates if follows(code, candidate)]
        if found:
            runs.append([code, code, found[0]])
        else:
            entries.append(code)
    shapes = sorted({(len(table[c][0]), table[c][1], table[c][2]) for c in entries})
    out = number(len(runs))
    for start, end, (kind, first, second) in runs:
        out += number(start) + number(end - start) + number(kind) + number(first) + number(second)
    out += number(len(shapes))
    for primaries, seconds, thirds in shapes:
        out += number(primaries) + number(len(seconds)) + number(len(thirds))
        out += b"".join(map(number, seconds + thirds))
    out += number(len(entries))
    place = {shape: index for index, shape in enumerate(shapes)}
    at, before = 0, 0
    for code in entries:
        primary, seconds, thirds = table[code]
        out += number(code - at) + number(place[len(primary), seconds, thirds])
        for weight in primary:
            out += signed(weight - before)
            before = weight
        at = code
    print(f"  {len(runs)} runs, {len(shapes)} shapes, {len(entries)} characters")
    return framed(1, out)


def uca900():
    rows = weights_of("utf8mb4_0900_as_cs", "utf8mb4_0900_ai_ci", "utf8mb4_0900_as_ci")
    table = {}
    for code, (all_levels, first, two) in rows.items():
        table[code] = levels(all_levels)
        require(len(table[code]) == 3, f"U+{code:04X} has not three levels")
        require(first == table[code][0] and levels(two) == table[code][:2], f"U+{code:04X} differs between 0900 collations")
    bases = [0xFBC0, 0xFB40, 0xFB80]
    candidates = [(2, 0, 0), (0, 0xFB00, 0x17000)] + [(0, base, 0) for base in bases]
    return encoded_weights(table, candidates)


def uca400():
    rows = weights_of("utf8mb4_unicode_ci")
    table = {code: (weights[0], (), ()) for code, weights in rows.items()}
    shared("utf8mb3_unicode_ci", {code: weights[0] for code, weights in rows.items()})
    bases = [0xFBC0, 0xFB40, 0xFB80]
    return encoded_weights(table, [(1, 0xFFFD, 0)] + [(0, base, 0) for base in bases])


def shared(collation, table):
    """Checks that the collation of utf8mb3 weighs as that of utf8mb4 does."""
    rows = query(f"SELECT n, HEX(WEIGHT_STRING(CONVERT(c USING utf8mb3) COLLATE {collation})) FROM chars WHERE n < 0x10000")
    for code, weights in rows:
        require(units(weights) == table[int(code)], f"U+{int(code):04X} differs in {collation}")


def apart_as_together():
    """No contractions: within a block of 256 any two characters, and any character before what has no weight of its own."""
    query(
        """DROP TABLE IF EXISTS explicit;
        CREATE TABLE explicit (n INT PRIMARY KEY, c VARCHAR(1) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin,
          w9 VARBINARY(80), w4 VARBINARY(80), block INT, KEY (block));
        INSERT INTO explicit SELECT n, c, WEIGHT_STRING(c COLLATE utf8mb4_0900_ai_ci), WEIGHT_STRING(c COLLATE utf8mb4_unicode_ci), n >> 8
        FROM chars WHERE WEIGHT_STRING(c COLLATE utf8mb4_0900_ai_ci) < 0xFB00 AND n NOT BETWEEN 0xAC00 AND 0xD7A3;"""
    )
    differ = """WEIGHT_STRING(CONCAT(a.c, b.c) COLLATE utf8mb4_0900_ai_ci) <> CONCAT(a.w9, b.w9)
        OR WEIGHT_STRING(CONCAT(a.c, b.c) COLLATE utf8mb4_unicode_ci) <> CONCAT(a.w4, b.w4)"""
    for pairs in ["a.block = b.block", "a.block <> b.block AND (b.w9 = '' OR b.w4 = '' OR b.n IN (0x20, 0x61, 0x6C, 0xB7))"]:
        rows = query(f"SELECT COUNT(*) FROM explicit a JOIN explicit b ON {pairs} WHERE {differ}")
        require(rows == [["0"]], f"{rows} pairs of characters weigh differently together than apart")


# ---- maps ------------------------------------------------------------------------------------------------------------


def general():
    rows = weights_of("utf8mb4_general_ci")
    shared("utf8mb3_general_ci", {code: weights[0] for code, weights in rows.items()})
    table = {}
    for code, (weights,) in rows.items():
        require(len(weights) == 1, f"U+{code:04X} has not one weight")
        # The tail of the longer text is compared by bytes: that must be the same.
        require((weights[0] <= 0x20) <= (code < 0x80), f"U+{code:04X} is not greater than a space")
        if code > 0xFFFF:
            require(weights[0] == 0xFFFD, f"U+{code:04X} is not as all supplementary characters")
        elif weights[0] != code:
            table[code] = weights[0]
    return table


def casing(function, collations):
    # UPPER and LOWER do not let a text grow. Two characters whose other case is shorter go before each, and out again.
    room, gone = {"UPPER": ("C5BFC5BF", "5353"), "LOWER": ("E284AAE284AA", "6B6B")}[function]
    columns = ", ".join(f"HEX(CONVERT({function}(CONCAT(_utf8mb4 x'{room}', c) COLLATE {name}) USING utf32))" for name in collations)
    prefix = "".join(f"000000{gone[i:i + 2]}" for i in (0, 2))
    table = {}
    for code, *cells in query(f"SELECT n, {columns} FROM chars ORDER BY n"):
        require(len(set(cells)) == 1 and cells[0].startswith(prefix) and len(cells[0]) == 24, f"{function} of U+{int(code):04X}: {cells}")
        if int(cells[0][16:], 16) != int(code):
            table[int(code)] = int(cells[0][16:], 16)
    return table


def wide_casing(function, charset, bound, expected):
    """Checks that a wide character set has the case mappings of the older Unicode collations."""
    cell = f"{function}(CONVERT(c USING {charset}) COLLATE {charset}_bin)"
    rows = query(f"SELECT n, HEX(CONVERT({cell} USING utf32)) FROM chars WHERE n < {bound}")
    got = {int(n): int(to, 16) for n, to in rows if int(to, 16) != int(n)}
    require(got == {k: v for k, v in expected.items() if k < bound}, f"{function} in {charset} is another")


def cases_of(charset):
    """The characters of a single-byte set, each with its upper and lower case; codes without a character are left out."""
    rows = query(
        f"""WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 255)
        SELECT HEX(CONVERT(c USING utf32)), HEX(CONVERT(UPPER(c) USING utf32)), HEX(CONVERT(LOWER(c) USING utf32))
        FROM (SELECT n, CONVERT(UNHEX(LPAD(HEX(n), 2, '0')) USING {charset}) COLLATE {charset}_bin c FROM s) t"""
    )
    return [row for row in (tuple(int(cell, 16) for cell in cells) for cells in rows) if row[0] != ord("?")]


def wide_cases_of(charset):
    """The characters of a multi-byte set that are not Unicode's, each with its upper and lower case."""
    rows = query(
        f"""SELECT n, HEX(CONVERT(UPPER(s) USING utf32)), HEX(CONVERT(LOWER(s) USING utf32))
        FROM (SELECT n, c, CONVERT(c USING {charset}) COLLATE {charset}_bin s FROM chars) t
        WHERE CAST(CONVERT(s USING utf8mb4) AS BINARY) = CAST(c AS BINARY)"""
    )
    return [(int(n), int(upper, 16), int(lower, 16)) for n, upper, lower in rows]


def maps():
    """All maps by name."""
    default = ["utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_bin"]
    newer = ["utf8mb4_0900_ai_ci", "utf8mb4_0900_as_ci", "utf8mb4_0900_as_cs", "utf8mb4_0900_bin"]
    out = {"general_ci": general()}
    for function in ["UPPER", "LOWER"]:
        out[f"{function} 900"] = casing(function, newer)
        older = out[f"{function} unicode"] = casing(function, default)
        for charset, bound in [("ucs2", 0x10000), ("utf16", 0x110000), ("utf16le", 0x110000), ("utf32", 0x110000)]:
            wide_casing(function, charset, bound, older)
    sets = query("SELECT character_set_name FROM information_schema.character_sets WHERE maxlen = 1 AND character_set_name <> 'binary' ORDER BY 1")
    wide = query(
        """SELECT character_set_name FROM information_schema.character_sets
        WHERE maxlen > 1 AND character_set_name NOT LIKE 'u%' OR character_set_name = 'ujis' ORDER BY 1"""
    )
    for cases, names in [(cases_of, sets), (wide_cases_of, wide)]:
        for (charset,) in names:
            rows = cases(charset)
            for place, function in [(1, "UPPER"), (2, "LOWER")]:
                out[f"{function} {charset}"] = {row[0]: row[place] for row in rows if row[place] != row[0]}
    for collation in SIMPLE:
        charset = collation.split("_")[0]
        rows = query(
            f"""WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 255)
            SELECT n, HEX(WEIGHT_STRING(CONVERT(UNHEX(LPAD(HEX(n), 2, '0')) USING {charset}) COLLATE {collation})) FROM s"""
        )
        out[collation] = {int(n): int(weight, 16) for n, weight in rows if weight and int(weight, 16) != int(n)}
    return out


def encoded_maps(named):
    payload = number(len(named))
    for name, pairs in named.items():
        payload += number(len(name)) + name.encode() + encoded_map(pairs)
    return framed(2, payload)


# ----------------------------------------------------------------------------------------------------------------------


def main():
    prepare()
    apart_as_together()
    tables = {"uca900.bin": uca900(), "uca400.bin": uca400(), "maps.bin": encoded_maps(maps())}
    for name, content in tables.items():
        path = os.path.join(DATA, name)
        if CHECK:
            with open(path, "rb") as file:
                require(file.read() == content, f"{name} is not what this server gives")
        else:
            with open(path, "wb") as file:
                file.write(content)
        print(f"{name}: {len(content)} bytes")
    query(f"DROP DATABASE {DATABASE}", None)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--check"]):
        sys.exit(__doc__)
    SERVER, CHECK = sys.argv[1], len(sys.argv) == 3
    main()
