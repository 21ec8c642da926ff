# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packet filter on kernels that lack something."""

import errno

import pytest

from vrrp_ha.core.tunnel_settings import TunnelSettings
from vrrp_ha.shell.guard import Guard


class Kernel:
    """Takes every message but those that name an expression it does not have."""

    def __init__(self, *, without: bytes = b"\0no such", error: int = errno.ENOENT) -> None:
        self.without, self.error = without, error
        self.taken: list[bytes] = []

    def call(self, data, ignore=()):
        if self.without in data:
            raise OSError(self.error, "no such expression")
        self.taken.append(data)

    def dump(self, _kind, _body):
        return iter(())


def test_a_kernel_without_tproxy_has_a_filter_that_does_not_reassemble():
    kernel = Kernel(without=b"tproxy\0")
    guard = Guard(kernel)
    guard.start(forwarding_was_off=False)
    assert b"postrouting" in kernel.taken[0]
    assert guard.cannot_reassemble()


def test_who_did_not_ask_for_it_is_not_told():
    guard = Guard(Kernel(without=b"tproxy\0"))
    guard.start(forwarding_was_off=False)
    guard.use(TunnelSettings(reassemble=False))
    assert not guard.cannot_reassemble()


def test_with_tproxy_it_can():
    guard = Guard(Kernel())
    guard.start(forwarding_was_off=False)
    assert not guard.cannot_reassemble()


def test_another_refusal_of_the_kernel_is_no_lack():
    guard = Guard(Kernel(without=b"tproxy\0", error=errno.EPERM))
    with pytest.raises(PermissionError):
        guard.start(forwarding_was_off=False)
