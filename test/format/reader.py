"""A reader of Quarry volumes that uses what docs/FORMAT.md says and nothing else, to see that the document is enough.

    reader.py IMAGE     one JSON object:
                        {"replayed": [transactions, blocks], "free": blocks,
                         "files": [[path, type, size, sha1], ...], "attributes": [[path, name, sha1], ...],
                         "quotas": [[kind, id, blocks, inodes, soft, hard, soft, hard], ...]}

Shares no code with src/, in another language on purpose. Section numbers are those of the document. Any assertion that fails is a
difference between the two.
"""

import hashlib
import json
import sys

MASK = 0xFFFFFFFF
SUPERBLOCK, ROOT, BITMAP, SUMMARY, INODES, EXTENT_NODE, DIRECTORY_NODE, SYMLINK = 1, 2, 3, 4, 6, 7, 8, 9
ATTRIBUTE_NODE, QUOTA_NODE = 11, 15
TREE_KINDS = {EXTENT_NODE: 1, DIRECTORY_NODE: 2, ATTRIBUTE_NODE: 3, QUOTA_NODE: 4}
DESCRIPTOR, HEAD, REVOKE, COMMIT = 10, 12, 13, 14
HEADER, INODE, BODY = 64, 480, 336
DIRECTORY_TYPE, REGULAR_TYPE, SYMLINK_TYPE = 0o4, 0o10, 0o12
UNWRITTEN = 1
ATTRIBUTES, UNWRITTEN_EXTENTS = 1, 2


def crc_table():
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


TABLE = list(crc_table())


def crc32c(data):
    value = MASK
    for byte in data:
        value = TABLE[(value ^ byte) & 255] ^ (value >> 8)
    return value ^ MASK


def number(data, offset, size):
    return int.from_bytes(data[offset : offset + size], "little")


def checksum(block):
    return crc32c(block[:8] + bytes(4) + block[12:])


def rotate(value, bits):
    return (value << bits | value >> 64 - bits) % 2**64


def sip_round(v):
    v[0] = (v[0] + v[1]) % 2**64
    v[1] = rotate(v[1], 13) ^ v[0]
    v[0] = rotate(v[0], 32)
    v[2] = (v[2] + v[3]) % 2**64
    v[3] = rotate(v[3], 16) ^ v[2]
    v[0] = (v[0] + v[3]) % 2**64
    v[3] = rotate(v[3], 21) ^ v[0]
    v[2] = (v[2] + v[1]) % 2**64
    v[1] = rotate(v[1], 17) ^ v[2]
    v[2] = rotate(v[2], 32)


def name_hash(secret, name):
    """Section 11."""
    k = [number(secret, 0, 8), number(secret, 8, 8)]
    v = [k[i % 2] ^ word for i, word in enumerate(
        (0x736f6d6570736575, 0x646f72616e646f6d, 0x6c7967656e657261, 0x7465646279746573))]
    padded = name + bytes(7 - len(name) % 8) + bytes([len(name)])
    for at in range(0, len(padded), 8):
        word = number(padded, at, 8)
        v[3] ^= word
        sip_round(v)
        v[0] ^= word
    v[2] ^= 0xff
    for _ in range(3):
        sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


class Volume:
    def __init__(self, path):
        self.file = open(path, "rb")
        block = self.file.read(1024)
        assert block[:6] == b"QUARRY" and number(block, 6, 2) == SUPERBLOCK
        assert number(block, 8, 4) == checksum(block) and number(block, 64, 4) == 3
        self.block_bytes = number(block, 68, 4)
        self.blocks = number(block, 72, 8)
        self.journal_start, self.journal_blocks = number(block, 104, 8), number(block, 112, 8)
        self.root_block, self.space_start, self.space_blocks = (number(block, at, 8) for at in (120, 128, 136))
        self.uuid, self.salt, self.secret = block[24:40], block[152:160], block[264:280]
        features = number(block, 96, 8)
        assert features & ~(ATTRIBUTES | UNWRITTEN_EXTENTS) == 0
        self.has_quotas = number(block, 88, 8) & 1 != 0
        self.has_unwritten = features & UNWRITTEN_EXTENTS != 0
        self.has_attributes = features & ATTRIBUTES != 0
        self.attributes = []
        self.replayed, self.copies = [0, 0], {}
        self.compute_geometry()
        if number(block, 144, 4) != 0:
            self.replay()
        root = self.metadata(self.root_block, ROOT)
        assert number(root, 576, 8) <= self.blocks
        self.blocks = number(root, 576, 8)
        self.quota_block, self.quota_kinds = number(root, 584, 8), number(root, 592, 4)
        assert self.has_quotas or self.quota_block == self.quota_kinds == 0
        self.compute_geometry()
        table = (root, 64, 0)
        self.table = self.extents(table)

    def compute_geometry(self):
        """Section 2."""
        self.bits = (self.block_bytes - HEADER) * 8
        self.fanout = (self.block_bytes - HEADER) // 16
        most = min(2**48, 2**60 // self.block_bytes)
        self.reserved_levels = self.levels_for(-(-most // self.bits))
        available = self.blocks - self.space_start
        groups = -(-available // self.bits)
        if groups > 1 and available - (groups - 1) * self.bits < self.reserved_levels + 8:
            groups -= 1
            available = groups * self.bits
        self.groups, self.levels = groups, self.levels_for(groups)
        assert self.space_start == self.journal_blocks + 3

    def levels_for(self, groups):
        levels = 1
        while self.fanout**levels < groups:
            levels += 1
        return levels

    # ---- section 3 ----

    def raw(self, block):
        self.file.seek(block * self.block_bytes)
        return self.file.read(self.block_bytes)

    def is_sound(self, data, block):
        named = data[:6] == b"QUARRY" and number(data, 16, 8) == block and data[24:40] == self.uuid
        return named and checksum(data) == number(data, 8, 4)

    def metadata(self, block, kind):
        data = self.copies.get(block) or self.raw(block)
        assert self.is_sound(data, block) and number(data, 6, 2) == kind, f"block {block} is not of kind {kind}"
        return data

    # ---- section 5 ----

    def journal_record(self, block):
        data = self.raw(block)
        return data if self.is_sound(data, block) and data[48:56] == self.salt else None

    def replay(self):
        heads = [self.journal_record(self.journal_start + i) for i in range(2)]
        heads = [head for head in heads if head is not None and number(head, 6, 2) == HEAD]
        newest = max(heads, key=lambda head: number(head, 64, 8))
        index, sequence = number(newest, 72, 8), number(newest, 80, 8)
        youngest, revoked, transactions = {}, {}, 0
        while (found := self.transaction(index, sequence)) is not None:
            index, copies, revokes = found
            youngest.update((home, (sequence, copy)) for home, copy in copies)
            revoked.update((home, sequence) for home in revokes)
            sequence += 1
            transactions += 1
        self.copies = {h: copy for h, (at, copy) in youngest.items() if revoked.get(h, -1) < at}
        self.replayed = [transactions, len(self.copies)]

    def transaction(self, index, sequence):
        """The index behind it, its copies and its revokes; None if it was not committed."""
        length = self.journal_blocks - 2
        copies, revokes, sums, used = [], [], b"", 0

        def take():
            nonlocal used
            used += 1
            return self.journal_start + 2 + (index + used - 1) % length

        while used < length:
            record = self.journal_record(take())
            if record is None or number(record, 40, 8) != sequence:
                return None
            kind, count = number(record, 6, 2), number(record, 64, 4)
            if kind == COMMIT:
                assert [number(record, at, 4) for at in (64, 68, 72)] == [used, len(copies), len(revokes)]
                assert number(record, 76, 4) == crc32c(sums)
                return (index + used) % length, copies, revokes
            sums += record[8:12]
            if kind == REVOKE:
                revokes += [number(record, 72 + 8 * i, 8) for i in range(count)]
            elif kind == DESCRIPTOR:
                for entry in range(72, 72 + 16 * count, 16):
                    home, copy = number(record, entry, 6), self.raw(take())
                    assert self.is_sound(copy, home) and number(copy, 8, 4) == number(record, entry + 8, 4)
                    copies.append((home, copy))
        return None

    # ---- section 7 ----

    def free_blocks(self, level=None, index=0):
        """Free blocks under a summary node, with all counts compared to the bits."""
        level = level or self.levels
        home = self.space_start + index * self.fanout**level * self.bits + level
        node = self.metadata(home, SUMMARY)
        assert number(node, 56, 2) == level
        total = 0
        for i in range(number(node, 60, 4)):
            free, flags = number(node, HEADER + 16 * i, 8), number(node, HEADER + 16 * i + 8, 4)
            child = index * self.fanout + i
            if flags & 1:
                below = self.free_blocks(level - 1, child) if level > 1 else self.free_in_group(child)
                assert below == free, f"node {child} below level {level} has {below} free blocks, not {free}"
            total += free
        assert total == number(node, 48, 8)
        return total

    def free_in_group(self, group):
        bitmap = self.metadata(self.space_start + group * self.bits, BITMAP)
        used = sum(bin(byte).count("1") for byte in bitmap[HEADER:])
        assert used == number(bitmap, 48, 4)
        return self.bits - used

    # ---- sections 8 to 12 ----

    def inode(self, inode):
        chunk, index = divmod(inode, self.bits)
        per_block = self.block_bytes // 512
        file_block = chunk * (1 + self.bits // per_block) + 1 + index // per_block
        for first, block, length in self.table:
            if first <= file_block < first + length:
                data, at = self.metadata(block + file_block - first, INODES), HEADER + index % per_block * INODE
                assert number(data, at + 136, 8) == inode
                return data, at, inode
        raise AssertionError(f"inode {inode} is not there")

    def records(self, data, base, kind, owner, level=None):
        """Leaf records of a tree: their bytes, offset and key."""
        found, tree, count = data[base], data[base + 1], number(data, base + 2, 2)
        assert tree == TREE_KINDS[kind] and level in (None, found) and found <= 12
        before = -1
        for slot in range(base + 8, base + 8 + 2 * count, 2):
            at = base + number(data, slot, 2)
            key = number(data, at, 8)
            assert key > before
            before = key
            if found == 0:
                yield data, at, key
                continue
            child = self.metadata(number(data, at + 8, 6), kind)
            assert number(child, 48, 8) == owner
            yield from self.records(child, HEADER, kind, owner, found - 1)

    def extents(self, inode):
        data, at, owner = inode
        leaves = self.records(data, at + 144, EXTENT_NODE, owner)
        found = []
        for leaf, place, key in leaves:
            block, flags, length = (number(leaf, place + at, size) for at, size in ((8, 6), (14, 2), (16, 4)))
            assert flags in ((0, UNWRITTEN) if self.has_unwritten else (0,))
            # An unwritten extent is read as the hole that it looks like.
            if flags == 0:
                found.append((key, block, length))
        return found

    def content(self, inode, is_symlink):
        data, at, _ = inode
        size = number(data, at + 16, 8)
        if number(data, at + 2, 2) & 1:
            return data[at + 144 : at + 144 + size]
        result = bytearray(size)
        skip = HEADER if is_symlink else 0
        step = self.block_bytes - skip
        for first, block, length in self.extents(inode):
            for i in range(length):
                start = (first + i) * step
                piece = self.metadata(block + i, SYMLINK) if is_symlink else self.raw(block + i)
                result[start : start + step] = piece[skip:][: max(0, size - start)]
        return bytes(result[:size])

    def name_key(self, name):
        return name_hash(self.secret, name) // 2**20 * 2**8

    def entries(self, inode):
        data, at, owner = inode
        found = []
        for leaf, place, key in self.records(data, at + 144, DIRECTORY_NODE, owner):
            name = leaf[place + 16 : place + 16 + leaf[place + 15]]
            assert 0 <= key - self.name_key(name) < 256
            found.append((name, number(leaf, place + 8, 6), leaf[place + 14]))
        assert len(found) == number(data, at + 16, 8)
        return sorted(found)

    def attributes_of(self, inode):
        """Section 12."""
        data, at, owner = inode
        inline, block = number(data, at + 128, 2), number(data, at + 120, 8)
        if inline == 0 and block == 0:
            return
        assert self.has_attributes and (inline == 0 or block == 0)
        base = at + INODE - inline
        if block != 0:
            data, base = self.metadata(block, ATTRIBUTE_NODE), HEADER
            assert number(data, 48, 8) == owner
        name, value, length, after = None, b"", 0, 0
        for leaf, place, key in self.records(data, base, ATTRIBUTE_NODE, owner):
            value_bytes, part_bytes = number(leaf, place + 8, 4), number(leaf, place + 12, 2)
            name_bytes = leaf[place + 14]
            if key % 256 == 0:
                assert name is None and 0 < name_bytes
                name, value, length = leaf[place + 16 : place + 16 + name_bytes], b"", value_bytes
                assert 0 <= key - name_hash(self.secret, name) // 2**28 * 2**16 < 2**16
            else:
                assert name is not None and name_bytes == 0 and value_bytes == length and key == after
            from_byte = place + 16 + name_bytes
            value += leaf[from_byte : from_byte + part_bytes]
            after = key + 1
            assert len(value) <= length
            if len(value) == length:
                yield name, value
                name = None
        assert name is None

    def quotas(self):
        """Section 13."""
        if self.quota_block == 0:
            return
        root = self.metadata(self.quota_block, QUOTA_NODE)
        assert number(root, 48, 8) == 0
        for leaf, place, key in self.records(root, HEADER, QUOTA_NODE, 0):
            kind, owner = divmod(key, 2**32)
            assert kind in (1, 2, 3) and key != 3 * 2**32
            fields = [number(leaf, place + at, 8) for at in range(8, 56, 8)]
            assert any(fields)
            yield [kind, owner, *fields]

    def walk(self, directory=1, path=""):
        for name, child, kind in self.entries(self.inode(directory)):
            inode = self.inode(child)
            data, at, _ = inode
            assert number(data, at, 2) >> 12 == kind
            here = f"{path}/{name.decode()}"
            size = number(data, at + 16, 8)
            has_content = kind in (REGULAR_TYPE, SYMLINK_TYPE)
            content = self.content(inode, kind == SYMLINK_TYPE) if has_content else b""
            yield [here, kind, size, hashlib.sha1(content).hexdigest()]
            for attribute, value in self.attributes_of(inode):
                self.attributes.append([here, attribute.decode(), hashlib.sha1(value).hexdigest()])
            if kind == DIRECTORY_TYPE:
                yield from self.walk(child, here)


volume = Volume(sys.argv[1])
files = list(volume.walk())
found = {"replayed": volume.replayed, "free": volume.free_blocks(), "files": files, "attributes": volume.attributes,
         "quotas": list(volume.quotas())}
json.dump(found, sys.stdout)
