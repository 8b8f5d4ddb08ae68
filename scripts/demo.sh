#!/bin/sh
# The main job from end to end on the sample images that the package carries: `sh scripts/demo.sh CNN FOLDER`, CNN
# being the program to run. Everything it writes goes into FOLDER; calling it again trains a new run there.
set -eu

cnn=$1
folder=$2
case $cnn in
    */*) cnn=$(cd "$(dirname "$cnn")" && pwd)/$(basename "$cnn") ;;
esac
mkdir -p "$folder"
cd "$folder"

step() {
    printf '\n$ cnn %s\n' "$*"
    "$cnn" "$@"
}

[ -d images/train ] || step sample images
step train images --arch lenet5 --epochs 12
step test images
image=$(find images/test -name '*.png' | sort | head -n 1)
step predict "$image"
step inspect --out filters
step visualize-filters "$image" --out pictures

program=$cnn
[ "$(command -v cnn || true)" = "$cnn" ] && program=cnn  # what works in the shell that ran this
printf '\nWhere to look, all under %s:\n' "$(pwd)"
printf '  %s\n' 'images/                the photos of clothes it learnt from, a folder per class' \
    'runs/latest/           the model, what it gets wrong (report.html), its learning curves (curves.png) and its history' \
    'filters/, pictures/    what the first layer looks for, and what the image lights up' \
    "Now your own: $program train FOLDER, with a folder of images per class."
