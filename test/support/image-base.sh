#!/bin/sh
# Makes a stand-in for Node's official image where no registry of images can be reached: Debian by debootstrap, Node and npm from this machine, and the user
# that the official image has. Usage: image-base.sh NAME NODE NPM DIRECTORY; buildah's own variables say where the image goes.
set -eu
name=$1 node=$2 npm=$3 directory=$4
root=$directory/root
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase --include=ca-certificates,libatomic1 bookworm "$root" > "$directory/debootstrap.log" 2>&1 || {
  tail -n 20 "$directory/debootstrap.log" >&2
  exit 1
}
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
cp -L "$node" "$root/usr/local/bin/node"
mkdir -p "$root/usr/local/lib/node_modules"
cp -RL "$npm" "$root/usr/local/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
chroot "$root" useradd --create-home --uid 1000 node
# Whom this machine trusts, and where it has its packages from, hold for the build, too.
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
mkdir -p "$root/usr/local/etc"
printf 'cafile=/etc/ssl/certs/ca-certificates.crt\nregistry=%s\n' "$(npm config get registry)" > "$root/usr/local/etc/npmrc"
container=$(buildah from scratch)
buildah copy -q "$container" "$root" / > /dev/null
buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --cmd node "$container"
buildah commit -q --rm "$container" "$name" > /dev/null
