"""A command on a system without IPv6: `python -m tools.elsewhere.no_ipv6 COMMAND [ARGUMENT ...]`.

The filter that refuses its sockets is inherited by every process that the command starts, and needs no privilege.
"""

import ctypes
import errno
import os
import platform
import socket
import struct
import sys

# <linux/audit.h> and <asm/unistd.h>: AUDIT_ARCH_... and the number of socket(2).
_SOCKET = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2  # <linux/prctl.h>, <linux/seccomp.h>
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # <linux/bpf_common.h>
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data


def refuse_ipv6() -> None:
    """Let socket(2) of this process and its children refuse AF_INET6. Raises OSError where the system cannot."""
    try:
        architecture, number = _SOCKET[platform.machine()]
    except KeyError:
        raise OSError(errno.ENOSYS, f"The number of socket(2) on {platform.machine()} is not known here") from None
    program = _program((_ARCHITECTURE, architecture), (_NUMBER, number), (_FIRST_ARGUMENT, socket.AF_INET6))
    kept = ctypes.create_string_buffer(program)
    filters = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(kept))
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, None)
    _prctl(_PR_SET_SECCOMP, _MODE_FILTER, filters)


def _program(*wanted: tuple[int, int]) -> bytes:
    """Return a filter that refuses a call where each of these fields has its value."""
    instructions = []
    for place, (offset, value) in enumerate(wanted):
        to_allow = 2 * (len(wanted) - place) - 1
        instructions += [(_LOAD, 0, 0, offset), (_IF_EQUAL, 0, to_allow, value)]
    instructions += [(_RETURN, 0, 0, _ERRNO | errno.EAFNOSUPPORT), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)


def _prctl(option: int, value: int, pointer: bytes | None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), pointer, ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    refuse_ipv6()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606
