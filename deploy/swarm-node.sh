#!/bin/sh
# Makes this machine a node on which students' servers of ICT Labs are kept apart. Run it as root:
#   swarm-node.sh [boot] HUB_ADDRESS HUB_PORT,PORTAL_PORT NETWORK [internet]
# `ict up` prints the line. On a manager it also makes the swarm's network: run it there last.
# With `boot` it sets the filter only, which a boot forgets, and asks nothing of an Engine that does not run yet.
set -eu
boot=
if [ "${1:-}" = boot ]; then boot=$1; shift; fi
[ $# -ge 3 ] || { sed -n 's/^#   /usage: /p' "$0" >&2; exit 2; }
hub=$1 ports=$2 network=$3 internet=${4:-}
short=$(printf %s "$network" | sha256sum | cut -c1-8)
bridge=ict$short chain=ICTLABS-$short

# What a server may begin: a connection to the hub and the portal. Not to this machine, others', or the cloud's metadata.
# What may begin one to a server: the hub, and this machine. In one transaction, so that it is never half there.
{
    echo "*mangle"
    echo ":$chain - [0:0]"
    echo "-A $chain -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"
    echo "-A $chain -i $bridge -d $hub -p tcp -m multiport --dports $ports -j RETURN"
    echo "-A $chain -o $bridge -s $hub -p tcp -j RETURN"
    if [ "$internet" = internet ]; then
        echo "-A $chain -i $bridge -m addrtype --dst-type LOCAL -j DROP"
        for private in 10.0.0.0/8 100.64.0.0/10 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16; do
            echo "-A $chain -i $bridge -d $private -j DROP"
        done
        echo "-A $chain -i $bridge -j RETURN"
    fi
    echo "-A $chain -j DROP"
    iptables -w -t mangle -C PREROUTING -i "$bridge" -j "$chain" 2>/dev/null || echo "-I PREROUTING -i $bridge -j $chain"
    iptables -w -t mangle -C FORWARD -o "$bridge" -j "$chain" 2>/dev/null || echo "-I FORWARD -o $bridge -j $chain"
    echo COMMIT
} | iptables-restore -w --noflush
[ -z "$boot" ] || exit 0

docker network inspect "$network-node" >/dev/null 2>&1 || docker network create --config-only \
    --opt com.docker.network.bridge.name="$bridge" --opt com.docker.network.bridge.enable_icc=false \
    "$network-node" >/dev/null
if [ "$(docker info --format '{{.Swarm.ControlAvailable}}')" = true ] && ! docker network inspect "$network" >/dev/null 2>&1; then
    docker network create --scope swarm --driver bridge --config-from "$network-node" "$network" >/dev/null
fi
echo "$(hostname): servers on $network reach $hub, ports $ports${internet:+, and the internet}"
