"""Paths of files: from a dentry up through the mounts that it lies in, as the kernel's own d_path goes.

Both ways up are bounded. What cannot be read, or leads back into itself, gives a path that begins with `(unreachable)`.
"""

from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.types.typed import Typed

MAX_NAMES = 1024  # a path has at most 4096 characters, and each name one and a slash
MAX_NAME = 255
UNREACHABLE = "(unreachable)"
NAMED_BY_INODE = {"pipefs": "pipe", "sockfs": "socket"}
ANONYMOUS = "anon_inodefs"
NAMESPACES = "nsfs"
KINDS = {0x1: "fifo", 0x2: "char", 0x4: "dir", 0x6: "block", 0x8: "file", 0xA: "link", 0xC: "socket"}  # S_IFMT >> 12


class Paths:
    """The paths of one kernel's files."""

    def __init__(self, linux: "Linux") -> None:
        self._linux = linux
        self._mount_at = linux.objects.offsetof("struct mount", "mnt")

    def mount_of(self, vfsmount: int) -> "Typed":
        """The struct mount around a struct vfsmount."""
        found: Typed = self._linux.objects.at("struct mount", vfsmount - self._mount_at)
        return found

    def of(self, path: "Typed") -> str:
        """The path that a struct path names; one that was unlinked ends in ` (deleted)`."""
        dentry, vfsmount = int(path["dentry"]), int(path["mnt"])
        if not dentry or not vfsmount:
            return ""
        text = self.climb(self.dentry(dentry), vfsmount)
        return f"{text} (deleted)" if self.deleted(self.dentry(dentry)) else text

    def of_file(self, file: "Typed") -> str:
        """The path of an open file; files that lie in no directory are named by kind and number."""
        dentry = file["f_path.dentry"]
        if not dentry:
            return ""
        special = self._special(dentry.deref())
        return special or self.of(file["f_path"])

    def kind_of(self, file: "Typed") -> str:
        """What an open file is: file, dir, char, block, fifo, socket, link, or anon for what is no file at all."""
        inode = file["f_inode"]
        if not inode:
            return "?"
        if inode["i_sb"] and inode["i_sb"]["s_type"]["name"].string(MAX_NAME) == ANONYMOUS:
            return "anon"
        return KINDS.get(int(inode["i_mode"]) >> 12, "?")

    def dentry(self, address: int) -> "Typed":
        found: Typed = self._linux.objects.at("struct dentry", address)
        return found

    def deleted(self, dentry: "Typed") -> bool:
        """True for a name that is in its directory no more."""
        return not dentry["d_hash.pprev"] and int(dentry["d_parent"]) != dentry.address_

    def climb(self, dentry: "Typed", vfsmount: int) -> str:
        """The names from the root of the topmost mount down to a dentry."""
        names: list[str] = []
        try:
            complete = self._climb(dentry, vfsmount, names)
        except DebuggerError:
            complete = False
        return f"{'' if complete else UNREACHABLE}/{'/'.join(reversed(names))}"

    def _climb(self, dentry: "Typed", vfsmount: int, names: list[str]) -> bool:
        """Collect the names, the last first; False if the way up has no end."""
        mount = self.mount_of(vfsmount)
        seen: set[tuple[int, int]] = set()
        while len(seen) < MAX_NAMES:
            place = dentry.address_, mount.address_
            if place in seen:
                return False
            seen.add(place)
            parent = int(dentry["d_parent"])
            if dentry.address_ not in (int(mount["mnt.mnt_root"]), parent):
                names.append(self.name(dentry))
                dentry = self.dentry(parent)
                continue
            above = int(mount["mnt_parent"])
            if above == mount.address_:
                return True
            dentry = self.dentry(int(mount["mnt_mountpoint"]))
            mount = self._linux.objects.at("struct mount", above)
        return False

    def name(self, dentry: "Typed") -> str:
        """The last name of a dentry's path."""
        return str(dentry["d_name.name"].string(MAX_NAME))

    def _special(self, dentry: "Typed") -> str:
        """The name of what lies in no directory: a pipe, a socket, an anonymous inode, a namespace."""
        if not dentry["d_sb"]:
            return ""
        system = dentry["d_sb"]["s_type"]["name"].string(MAX_NAME)
        if system == ANONYMOUS:
            return f"anon_inode:{self.name(dentry)}"
        if system in NAMED_BY_INODE and dentry["d_inode"]:
            return f"{NAMED_BY_INODE[system]}:[{int(dentry['d_inode']['i_ino'])}]"
        if system == NAMESPACES and dentry["d_inode"]:
            return f"ns:[{int(dentry['d_inode']['i_ino'])}]"
        return ""
