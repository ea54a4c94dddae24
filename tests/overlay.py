"""A real guest some of whose memory reads as a test wants it."""


class Overlay:
    """A guest some of whose memory reads as a test wants it."""

    def __init__(self, linux, monkeypatch):
        self.linux = linux
        self.changes = {}
        self.read_image = linux.space.read
        monkeypatch.setattr(linux.space, "read", self.read)

    def read(self, vaddr, size):
        data = bytearray(self.read_image(vaddr, size))
        for at, new in self.changes.items():
            for number, byte in enumerate(new, at - vaddr):
                if 0 <= number < size:
                    data[number] = byte
        return bytes(data)

    def put(self, kind, address, member, value):
        objects = self.linux.objects
        size = next(each.type.size for each in objects.find(kind).resolve().members if each.name == member)
        self.changes[address + objects.offsetof(kind, member)] = value.to_bytes(size, "little")
