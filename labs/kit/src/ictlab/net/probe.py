"""What this host and this image can do for labs: each feature is tried, never guessed from names."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from ictlab.net.machine import available as machine_available
from ictlab.net.namespaces import UNSHARE

# feature: the commands that show it, in an empty network. `lab.toml`'s `needs` uses these names
FEATURES = {
    "netns": "true",
    "veth": "ip link add name p0 type veth peer name p1",
    "bridge": "ip link add name b0 type bridge",
    "vlan-bridge": "ip link add name b0 type bridge vlan_filtering 1 && ip link add name p0 type veth peer name p1 && "
    "ip link set p0 master b0 && bridge vlan add dev p0 vid 10",
    "vlan": "ip link add name p0 type veth peer name p1 && ip link add link p0 name p0.10 type vlan id 10",
    "vrf": "ip link add name red type vrf table 10",
    "netem": "tc qdisc add dev lo root netem delay 1ms",
    "nftables": "nft add table inet t && nft add chain inet t c '{ type filter hook input priority 0; }' && "
    "nft add rule inet t c ct state established counter accept",
    "nat": "nft add table ip t && nft add chain ip t c '{ type nat hook postrouting priority 100; }' && "
    "nft add rule ip t c masquerade",
    "vxlan": "ip link add name v0 type vxlan id 10 dstport 4789",
    "gre": "ip link add name g0 type gre local 127.0.0.1 remote 127.0.0.2",
    "wireguard": "ip link add name w0 type wireguard",
    "bond": "ip link add name b0 type bond",
    "tun": "ip tuntap add dev t0 mode tun",
}


# and what is no matter of networks: namespaces of one's own, access lists on files, what a wheelhouse gave the image
OTHERS = {
    "userns": f"{' '.join(UNSHARE)} true",
    "acl": "file=$(mktemp) && setfacl -m u:1:r $file; code=$?; rm -f $file; exit $code",
    "pytorch": "python3 -c 'import importlib.util as u; raise SystemExit(u.find_spec(\"torch\") is None)'",
}


def probe(*features: str) -> dict[str, bool]:
    """Try these features, or all of networks; which of them there are.

    probe("netns", "vlan")
    """
    asked = features or tuple(FEATURES)
    if unknown := [name for name in asked if name not in FEATURES | OTHERS]:
        raise ValueError(f"no feature {unknown[0]!r}. Known: {', '.join(FEATURES | OTHERS)}.")
    there = _shown({name: OTHERS[name] for name in asked if name in OTHERS}, [])
    # each in a network of its own, so that none leaves anything for the next
    networks = {
        name: f"exec unshare --net sh -c {_quoted(FEATURES[name])}" for name in asked if name in FEATURES
    }
    there |= _shown(networks, UNSHARE) if networks else set()
    return {name: name in there for name in asked}


def _shown(tries: dict[str, str], within: Sequence[str]) -> set[str]:
    """Which of these commands succeed, run by one shell started by `within`."""
    script = "PATH=$PATH:/usr/sbin:/sbin\n" + "\n".join(
        f"if (\n{command}\n) >/dev/null 2>&1; then echo {name}; fi" for name, command in tries.items()
    )
    try:
        done = subprocess.run(
            [*within, "sh", "-c", script], capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return set()
    return set(done.stdout.split())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def answers() -> dict[str, str]:
    """Every feature: "yes", "emulated" where an emulated machine stands in, or "no"."""
    otherwise = {
        name: "emulated" if name in FEATURES and machine_available() else "no" for name in FEATURES | OTHERS
    }
    return {name: "yes" if there else otherwise[name] for name, there in probe(*FEATURES, *OTHERS).items()}
