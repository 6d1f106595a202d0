"""Files made by a technician as root go to the gateway's own user afterwards: its service could not read them."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from pathlib import Path

USER = "feldsher"


def hand_over(state: Path) -> None:
    """Give everything in a state directory to its owner; a directory that root just made, to the user `feldsher`."""
    if os.geteuid() != 0 or not state.is_dir():
        return
    there = state.stat()
    uid, gid = there.st_uid, there.st_gid
    if uid == 0:
        try:
            known = pwd.getpwnam(USER)
        except KeyError:
            return  # no such user: the gateway runs as root here, as on a bench
        uid, gid = known.pw_uid, known.pw_gid
    if there.st_uid == 0:
        os.chown(state, uid, gid)
    # By handles, and never through a link: the directory is the service's, which must not get a file of root's by it.
    for _, folders, names, handle in os.fwalk(state):
        for name in (*folders, *names):
            with contextlib.suppress(FileNotFoundError):  # the gateway runs meanwhile, and its small files come and go
                found = os.stat(name, dir_fd=handle, follow_symlinks=False)
                linked = stat.S_ISLNK(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink > 1)
                if found.st_uid == 0 and not linked:
                    os.chown(name, uid, gid, dir_fd=handle, follow_symlinks=False)
