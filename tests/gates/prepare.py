# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have ansible-test make its environments, so that tests need not wait for them: tests/setup calls this."""

from __future__ import annotations

from tests.gates.collection import CONTROLLER, copied, oldest_target, run


def main() -> None:
    place = copied("prepare")
    for version in sorted({CONTROLLER, oldest_target()}):
        run(place, "ansible-test", "sanity", "--prime-venvs", "--allow-disabled", "--python", version)
    run(place, "ansible-test", "units", "--venv", "--requirements", "--python", CONTROLLER, "--collect-only")


if __name__ == "__main__":
    main()
