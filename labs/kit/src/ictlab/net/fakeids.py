"""A system call filter that answers "done" to set*id, setgroups and chown without doing them.

A user namespace that an ordinary user makes has one id only, so daemons that start as root and give their powers up
(FRR, dnsmasq, tcpdump) would stop there. Under this filter they go on as the one id there is, which has no power over
anything outside the namespace anyway. It is inherited by children, needs no compiler and no LD_PRELOAD, and does not
loosen anything: a call that is skipped changes nothing.
"""

from __future__ import annotations

import ctypes
import platform
import struct

# machine: its AUDIT_ARCH, and the numbers of setuid setgid setreuid setregid setgroups setresuid setresgid and of the
# chown family, from Linux's own tables
NUMBERS = {
    "x86_64": (0xC000003E, (92, 93, 94, 105, 106, 113, 114, 116, 117, 119, 260)),
    "aarch64": (0xC00000B7, (54, 55, 143, 144, 145, 146, 147, 149, 159)),
}
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ANSWER_ZERO = 0x7FFF0000, 0x00050000


def install() -> None:
    """Put the filter on this process and all that it starts. Raises OSError."""
    arch, numbers = NUMBERS[platform.machine()]
    program = [(LOAD, 0, 0, 4), (JUMP_EQUAL, 0, len(numbers) + 1, arch), (LOAD, 0, 0, 0)]
    program += [(JUMP_EQUAL, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    program += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, ANSWER_ZERO)]
    code = b"".join(struct.pack("<HBBI", *step) for step in program)
    kept = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(kept))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0
    ):
        raise OSError(ctypes.get_errno(), "the filter for ids was refused")
