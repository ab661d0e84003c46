#!/bin/sh
# Makes grading workers of ICT Labs a service of the swarm, one on each node, and their scheduler one on this node, a
# manager. Run it as root, with `ictlabs/site` and the labs' images on every node:
#   swarm-graders.sh FOLDER ADDRESS [further options of `docker service create` for the workers]
# FOLDER: at the same path on every node; it has ictlabs.toml (data_dir, [grader] scheduler and keys), grading/ with the
# keys that are made here, and the site's blobs in data_dir. ADDRESS: this node's, for the other nodes.
set -eu
[ $# -ge 2 ] || { sed -n 's/^#   /usage: /p' "$0" >&2; exit 2; }
folder=$1 address=$2
shift 2
port=${SCHEDULER_PORT:-8786}
socket=${DOCKER_SOCKET:-/var/run/docker.sock}  # of each node
name=${SERVICE_NAME:-ictlabs}
runs=/var/tmp/$name-graders  # what the sandboxes of a node see of a run: the same path inside and outside
# by its id: a name would be looked up in a registry, where it may be another's
image=$(docker image inspect --format '{{.Id}}' "${SITE_IMAGE:?set it to the name of the image, such as ictlabs/site:0.1.0}")
here=$(docker info --format '{{.Swarm.NodeID}}')
mkdir -p -m 700 "$folder/grading"

docker service create --quiet --detach --no-resolve-image --name "$name-scheduler" --constraint "node.id==$here" \
    --network host --cap-drop ALL --read-only --mount type=tmpfs,target=/tmp \
    --mount "type=bind,source=$folder/grading,target=/grading" --workdir /grading \
    --env "SCHEDULER_HOST=$address" --env "SCHEDULER_PORT=$port" \
    --env "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES=[]" --env DASK_LOGGING__DISTRIBUTED=error \
    "$image" scheduler >/dev/null

# the socket makes it root of its node, as the Engine is: it starts sandboxes
docker service create --quiet --detach --no-resolve-image --name "$name-graders" --mode global \
    --network host --hostname 'graders-{{.Node.ID}}' --cap-drop ALL --cap-add DAC_OVERRIDE --read-only \
    --mount type=tmpfs,target=/tmp --mount type=tmpfs,target=/root \
    --mount "type=bind,source=$folder,target=$folder" --workdir "$folder" \
    --mount "type=bind,source=$socket,target=/var/run/docker.sock" \
    --mount "type=bind,source=$runs,target=$runs" --env "TMPDIR=$runs" \
    --env "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES=[]" --restart-delay 5s "$@" "$image" graders >/dev/null
echo "workers of tls://$address:$port on every node that has $folder and $runs: docker service ps $name-graders"
