"""Hears what a process opens, changes and starts, by Python's audit hook: sys.addaudithook(guard.hear)."""

import os
from pathlib import Path
from typing import Any

# Events of Python's audit hook that change files, and the positions of the paths among their arguments.
CHANGES = {
    **dict.fromkeys(("os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod", "shutil.rmtree"), (0,)),
    **dict.fromkeys(("os.rename", "os.link", "os.symlink"), (0, 1)),
}
STARTS = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen")


class Guard:
    """Hears of every file that this process opens or changes, and of every program that it starts, and keeps what it should not.

    Args:
        allowed: folders in which anything may be changed.
    """

    def __init__(self, allowed: tuple[Path, ...]) -> None:
        self.allowed, self.opened, self.found, self.watching = [str(path.resolve()) for path in allowed], set[str](), list[str](), False

    def hear(self, event: str, about: tuple[Any, ...]) -> None:
        """Receives an event of the audit hook."""
        paths: list[Any] = []
        if event == "open":
            path, mode, flags = about
            if isinstance(path, str | bytes):
                self.opened.add(os.fsdecode(path))
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if flags is not None else set(mode or "") & set("wax+"):
                paths = [path]
        elif event in CHANGES:
            paths = [about[place] for place in CHANGES[event]]
        elif self.watching and event in STARTS and "git" not in str(about[:2]):
            self.found.append(f"{event} {str(about)[:100]}")
        if self.watching:
            for path in paths:
                if isinstance(path, str | bytes | os.PathLike):
                    whole = os.path.realpath(os.fsdecode(path))
                    if not any(whole == root or whole.startswith(f"{root}/") for root in self.allowed):
                        self.found.append(f"{event} {whole}")
