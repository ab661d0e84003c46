#!/bin/sh
# The emulated machine's kernel, its modules for networks, and an initrd that mounts the container's own files.
# Debian's kernel, unpacked and not installed: installing one wants an initramfs tool, udev and more.
set -eu
PATH=$PATH:/usr/sbin:/sbin
[ "$(dpkg --print-architecture)" = amd64 ] || exit 0  # elsewhere there is no emulated machine yet
here=$(dirname "$0")
folder=/usr/lib/ictlab-machine
work=$(mktemp -d)
cd "$work"
package=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
apt-get download -qq -o APT::Sandbox::User=root "$package" >/dev/null
dpkg-deb -x "$package"_*.deb root
version=$(ls root/lib/modules)
modules=root/lib/modules/$version
# only what networks are made of, and what the shares need; a machine without disks and screens has no other use
for part in "$modules"/kernel/* "$modules"/kernel/drivers/* "$modules"/kernel/fs/*; do
  case "${part#"$modules"/kernel/}" in
    net | lib | crypto | arch | drivers | fs | drivers/net | drivers/virtio | drivers/char | fs/9p | fs/netfs | fs/fscache) ;;
    *) rm -rf "$part" ;;
  esac
done
rm -rf "$modules"/kernel/drivers/net/ethernet "$modules"/kernel/drivers/net/wireless "$modules"/kernel/drivers/char/ipmi
mkdir -p /lib/modules "$folder"
cp -a "$modules" /lib/modules/
depmod "$version"
cp root/boot/vmlinuz-* "$folder/vmlinuz"
chmod 644 "$folder/vmlinuz"

tree=$work/initrd
mkdir -p "$tree/bin" "$tree/modules" "$tree/root" "$tree/dev" "$tree/proc"
cp /bin/busybox "$tree/bin/busybox"
for name in virtio_pci virtio_net virtio_rng 9pnet_virtio 9p; do
  modprobe --show-depends -S "$version" "$name" | sed -n 's/^insmod //p'
done | awk '!seen[$1]++ {print $1}' >order
number=100
while read -r file; do
  cp "$file" "$tree/modules/$number-$(basename "$file")"
  number=$((number + 1))
done <order
cp "$here/init" "$tree/init"
chmod 755 "$tree/init"
(cd "$tree" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -9 >"$folder/initrd")
rm -rf "$work"
