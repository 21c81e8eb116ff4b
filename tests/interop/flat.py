"""FlatBuffers from the schema files themselves: encodes and decodes values that are dicts.

A table is a dict, a union the pair (member, dict), a struct a dict, or bytes when all that it has
is one array of bytes. Writes front to back, so nothing trails behind the last object.
"""

import re
import struct
from pathlib import Path

from sodium import Refused

SCHEMA = Path(__file__).resolve().parents[2] / "schema"
TABLES_MAX = 64
DEPTH_MAX = 8
# What the document lists under "The end", in its words.
ROOT, VTABLE, TABLE = "the offset at 0", "each vtable", "the first 4 bytes of each table"
FIELD, VECTOR = "each field that is there and known", "the length and the elements of each vector"
STRING = "the length, the characters and the zero byte of each string"
PARTS = (ROOT, VTABLE, TABLE, FIELD, VECTOR, STRING)
_SCALARS = {"ubyte": "B", "bool": "B", "ushort": "H", "uint": "I", "ulong": "Q"}


class Schema:
    """The types of one root file and of what it includes."""

    def __init__(self, file):
        self.tables, self.structs, self.unions, self.enums = {}, {}, {}, {}
        self._seen = set()
        self._read(file)

    def _read(self, file):
        if file in self._seen:
            return
        self._seen.add(file)
        text = re.sub(r"//[^\n]*", "", (SCHEMA / file).read_text())
        for included in re.findall(r'include\s+"([^"]+)"', text):
            self._read(included)
        for kind, name, _, body in re.findall(
                r"(table|struct|union|enum)\s+(\w+)\s*(:\s*\w+)?\s*\{([^}]*)\}", text):
            if kind == "union":
                self.unions[name] = [member.strip() for member in body.split(",")]
            elif kind == "enum":
                pairs = re.findall(r"(\w+)\s*=\s*(\d+)", body)
                self.enums[name] = {word: int(number) for word, number in pairs}
            else:
                fields = [(field, type_, "required" in flags) for field, type_, flags in
                          re.findall(r"(\w+)\s*:\s*(\[?[\w:]+\]?)\s*(\([^)]*\))?\s*;", body)]
                (self.tables if kind == "table" else self.structs)[name] = fields

    def scalar(self, type_):
        return "B" if type_ in self.enums else _SCALARS.get(type_)

    def layout(self, type_):
        """Size and alignment of a scalar or a struct."""
        if code := self.scalar(type_):
            return struct.calcsize(code), struct.calcsize(code)
        if array := re.fullmatch(r"\[ubyte:(\d+)\]", type_):
            return int(array[1]), 1
        size, alignment = 0, 1
        for _, inner, _ in self.structs[type_]:
            inner_size, inner_alignment = self.layout(inner)
            size = _up(size, inner_alignment) + inner_size
            alignment = max(alignment, inner_alignment)
        return _up(size, alignment), alignment

    def is_inline(self, type_):
        return self.scalar(type_) is not None or type_ in self.structs

    def slots(self, table):
        """Field, type, required and slot number; a union takes two slots, its number first."""
        slot, result = 0, []
        for field, type_, required in self.tables[table]:
            if type_ in self.unions:
                slot += 1
            result.append((field, type_, required, slot))
            slot += 1
        return result


def _up(value, alignment):
    return -(-value // alignment) * alignment


class _Writer:
    def __init__(self, schema):
        self.schema = schema
        self.data = bytearray()

    def align(self, alignment, behind=0):
        """Pads so that what follows `behind` more bytes is aligned."""
        self.data += bytes(-(len(self.data) + behind) % alignment)

    def inline(self, type_, value):
        if code := self.schema.scalar(type_):
            return struct.pack("<" + code, value)
        if type_.startswith("["):
            return bytes(value)
        fields = self.schema.structs[type_]
        if isinstance(value, (bytes, bytearray)):
            value = {fields[0][0]: value}
        out = bytearray()
        for field, inner, _ in fields:
            out += bytes(-len(out) % self.schema.layout(inner)[1])
            out += self.inline(inner, value[field])
        size = self.schema.layout(type_)[0]
        if len(out) > size:
            raise ValueError(f"{type_}: {len(out)} bytes of {size}")
        return bytes(out) + bytes(size - len(out))

    def table(self, name, value):
        """Writes the table and all below it; returns where the table is."""
        present, unknown = [], set(value)
        for field, type_, required, slot in self.schema.slots(name):
            unknown.discard(field)
            if value.get(field) is None:
                if required:
                    raise ValueError(f"{name}.{field} is missing")
                continue
            if type_ in self.schema.unions:
                number = self.schema.unions[type_].index(value[field][0]) + 1
                present.append((slot - 1, "ubyte", number))
                present.append((slot, value[field][0], value[field][1]))
            else:
                present.append((slot, type_, value[field]))
        if unknown:
            raise ValueError(f"{name} has no {unknown}")
        present.sort(key=lambda one: -self._field_layout(one[1])[1])
        places, size = {}, 4
        for slot, type_, _ in present:
            field_size, alignment = self._field_layout(type_)
            places[slot] = 4 + _up(size - 4, alignment)
            size = places[slot] + field_size
        count = max(places, default=-1) + 1
        vtable_size = 4 + 2 * count
        # The fields begin 4 bytes into the table: these are aligned to 8.
        self.align(8, vtable_size + 4)
        vtable = len(self.data)
        self.data += struct.pack("<HH", vtable_size, size)
        self.data += b"".join(struct.pack("<H", places.get(slot, 0)) for slot in range(count))
        start = len(self.data)
        self.data += struct.pack("<i", start - vtable) + bytes(size - 4)
        for slot, type_, field_value in present:
            place = start + places[slot]
            if self.schema.is_inline(type_):
                inline = self.inline(type_, field_value)
                self.data[place:place + len(inline)] = inline
            else:
                self._link(place, self._object(type_, field_value))
        return start

    def _field_layout(self, type_):
        """Size and alignment of what the table itself holds: an offset for what lies elsewhere."""
        return self.schema.layout(type_) if self.schema.is_inline(type_) else (4, 4)

    def _link(self, place, target):
        struct.pack_into("<I", self.data, place, target - place)

    def _object(self, type_, value):
        if type_ == "string":
            raw = value if isinstance(value, bytes) else value.encode()
            self.align(4)
            start = len(self.data)
            self.data += struct.pack("<I", len(raw)) + raw + b"\0"
            return start
        if not type_.startswith("["):
            return self.table(type_, value)
        inner = type_[1:-1]
        self.align(4)
        start = len(self.data)
        self.data += struct.pack("<I", len(value))
        if inner == "ubyte":
            self.data += value
        elif self.schema.is_inline(inner):
            self.data += b"".join(self.inline(inner, one) for one in value)
        else:
            places = len(self.data)
            self.data += bytes(4 * len(value))
            for index, one in enumerate(value):
                self._link(places + 4 * index, self._object(inner, one))
        return start


def encode(schema, root, value):
    writer = _Writer(schema)
    writer.data += bytes(4)
    start = writer.table(root, value)
    struct.pack_into("<I", writer.data, 0, start)
    writer.align(4)
    return bytes(writer.data)


class _Reader:
    """Checks as it reads, and notes the greatest end of each part of a frame."""

    def __init__(self, schema, data):
        self.schema, self.data = schema, data
        self.ends = dict.fromkeys(PARTS, 0)
        self.tables = 0

    def take(self, part, start, size, alignment=1):
        if start < 0 or start % alignment != 0 or start + size > len(self.data):
            raise Refused("outside of the frame, or not aligned")
        self.ends[part] = max(self.ends[part], start + size)
        return self.data[start:start + size]

    def number(self, part, code, start):
        size = struct.calcsize(code)
        return struct.unpack("<" + code, self.take(part, start, size, size))[0]

    def inline(self, part, type_, start):
        size, alignment = self.schema.layout(type_)
        raw = self.take(part, start, size, alignment)
        if code := self.schema.scalar(type_):
            return struct.unpack("<" + code, raw)[0]
        if type_.startswith("["):
            return raw
        fields, value, place = self.schema.structs[type_], {}, 0
        for field, inner, _ in fields:
            inner_size, inner_alignment = self.schema.layout(inner)
            place = _up(place, inner_alignment)
            value[field] = self.inline(part, inner, start + place)
            place += inner_size
        return value[fields[0][0]] if len(fields) == 1 else value

    def table(self, name, start, depth):
        self.tables += 1
        if self.tables > TABLES_MAX or depth > DEPTH_MAX:
            raise Refused("too many tables, or too deep")
        vtable = start - self.number(TABLE, "i", start)
        vtable_size = self.number(VTABLE, "H", vtable)
        if vtable_size < 4 or vtable_size % 2:
            raise Refused("a vtable of no possible size")
        self.take(VTABLE, vtable, vtable_size, 2)
        offsets = struct.unpack(f"<{vtable_size // 2}H", self.data[vtable:vtable + vtable_size])
        value = {}
        for field, type_, required, slot in self.schema.slots(name):
            offset = offsets[2 + slot] if 2 + slot < len(offsets) else 0
            if type_ in self.schema.unions:
                value[field] = self._union(type_, start, offsets, slot, depth)
            elif offset == 0:
                value[field] = 0 if self.schema.scalar(type_) else None
            elif self.schema.is_inline(type_):
                value[field] = self.inline(FIELD, type_, start + offset)
            else:
                value[field] = self._object(type_, self._follow(start + offset), depth)
            if required and value[field] is None:
                raise Refused(f"{name}.{field} is missing")
        return value

    def _union(self, type_, start, offsets, slot, depth):
        number = self.number(FIELD, "B", start + offsets[1 + slot]) \
            if len(offsets) > 1 + slot and offsets[1 + slot] else 0
        if number == 0:
            return None
        members = self.schema.unions[type_]
        if number > len(members) or len(offsets) <= 2 + slot or offsets[2 + slot] == 0:
            raise Refused("an unknown member of a union, or an empty one")
        place = self._follow(start + offsets[2 + slot])
        return members[number - 1], self.table(members[number - 1], place, depth + 1)

    def _follow(self, place, part=FIELD):
        return place + self.number(part, "I", place)

    def _object(self, type_, start, depth):
        if type_ == "string":
            size = self.number(STRING, "I", start)
            if self.take(STRING, start + 4, size + 1)[-1] != 0:
                raise Refused("a string without its zero byte")
            return self.data[start + 4:start + 4 + size].decode()
        if not type_.startswith("["):
            return self.table(type_, start, depth + 1)
        inner, count = type_[1:-1], self.number(VECTOR, "I", start)
        if inner == "ubyte":
            return self.take(VECTOR, start + 4, count)
        if self.schema.is_inline(inner):
            size = self.schema.layout(inner)[0]
            self.take(VECTOR, start + 4, size * count)
            return [self.inline(VECTOR, inner, start + 4 + size * index)
                    for index in range(count)]
        self.take(VECTOR, start + 4, 4 * count)
        return [self._object(inner, self._follow(start + 4 + 4 * index, VECTOR), depth)
                for index in range(count)]


def read(schema, root, data):
    """The value, and the greatest end of each part."""
    reader = _Reader(schema, bytes(data))
    try:
        value = reader.table(root, reader.number(ROOT, "I", 0), 1)
    except UnicodeDecodeError as error:
        raise Refused("not UTF-8") from error
    return value, reader.ends


def end_of(ends):
    return _up(max(ends.values()), 4)


def decode(schema, root, data):
    value, ends = read(schema, root, data)
    if end_of(ends) != len(data):
        raise Refused(f"{len(data)} bytes of which {max(ends.values())} were looked at")
    return value


WIRE = Schema("godwit.fbs")
PAYLOAD = Schema("payload.fbs")
