"""tests/interop/parquet.py -- what the footer of a Parquet file says, read from
the description of the format: an opinion that is not DuckDB's."""

import struct


class _Compact:
    """Thrift's compact protocol, as far as a footer needs it."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def zigzag(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def value(self, kind):
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self.byte()
        if kind in (4, 5, 6):
            return self.zigzag()
        if kind == 7:
            self.at += 8
            return struct.unpack("<d", self.data[self.at - 8:self.at])[0]
        if kind == 8:
            size = self.varint()
            self.at += size
            return self.data[self.at - size:self.at]
        if kind in (9, 10):
            head = self.byte()
            size = head >> 4 if head >> 4 != 15 else self.varint()
            return [self.element(head & 15) for _ in range(size)]
        if kind == 12:
            return self.struct()
        raise ValueError("type %d" % kind)

    def element(self, kind):
        return self.byte() == 1 if kind in (1, 2) else self.value(kind)

    def struct(self):
        fields, number = {}, 0
        while True:
            head = self.byte()
            if not head:
                return fields
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            fields[number] = self.value(head & 15)


def footer(path):
    """(rows, names of columns, rows of each row group)."""
    with open(path, "rb") as f:
        data = f.read()
    if data[:4] != b"PAR1" or data[-4:] != b"PAR1":
        raise ValueError("no Parquet file")
    size = struct.unpack("<I", data[-8:-4])[0]
    meta = _Compact(data[-8 - size:-8]).struct()
    names = [e[4].decode() for e in meta[2][1:]]
    return meta[3], names, [group[3] for group in meta[4]]
