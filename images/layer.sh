#!/bin/sh
# layer.sh PACKAGE...: installs Debian packages, and the wheels beside it if there are any, on top of the image `base`,
# and copies what is new to /delta, for the one layer of the finished image. So no package list, no wheel and no CA
# bundle is in any layer, and what was there before is not there twice.
set -eu
here=$(dirname "$0")
if [ -e "$here/ca/site.crt" ]; then
  echo "Acquire::https::CaInfo \"$here/ca/site.crt\";" >/etc/apt/apt.conf.d/99-site-ca
fi
stamp=$(mktemp)
sleep 0.05  # times are not finer than the kernel's tick
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d  # no package starts its daemon in here
chmod +x /usr/sbin/policy-rc.d
printf 'path-exclude /usr/share/doc/*\npath-exclude /usr/share/locale/*\n' >/etc/dpkg/dpkg.cfg.d/99-small
export DEBIAN_FRONTEND=noninteractive
if [ $# -gt 0 ]; then
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "$@" >/dev/null
fi
if [ -s "$here/requirements.lock" ]; then
  python3 -m venv /tmp/pip
  install="/tmp/pip/bin/pip --python /usr/local/bin/python3 install --quiet --no-index"
  $install --find-links "$here/wheels" --require-hashes -r "$here/requirements.lock"
  # what an operator's own wheelhouse adds is as good as the operator's word
  if [ -e "$here/wheelhouse" ]; then $install --find-links "$here/wheelhouse" -r "$here/wheelhouse/requirements"; fi
  rm -rf /tmp/pip
fi
if [ -x "$here/finish.sh" ]; then "$here/finish.sh"; fi
# a file with a capability does not even start under no-new-privileges with an empty bounding set
getcap -r /usr/bin /usr/sbin 2>/dev/null | cut -d' ' -f1 | while read -r file; do setcap -r "$file"; done
# nobody becomes somebody else in here
find / -xdev -perm /6000 -type f -exec chmod a-s {} +
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/* \
  /etc/apt/apt.conf.d/99-site-ca /etc/dpkg/dpkg.cfg.d/99-small /usr/sbin/policy-rc.d
mkdir /delta
find / -xdev -cnewer "$stamp" ! -path '/delta*' ! -path '/tmp*' ! -path '/proc*' ! -path '/sys*' ! -path '/dev*' \
  ! -path '/etc/hosts' ! -path '/etc/hostname' ! -path '/etc/resolv.conf' ! -path / -print0 |
  tar --null --no-recursion -c -f - -T - | tar -x -p -C /delta -f -
