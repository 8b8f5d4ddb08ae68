#!/bin/sh
# The main job from end to end on the sample images that the package carries: `sh scripts/demo.sh CNN FOLDER`, CNN
# being the program to run. Everything it writes goes into FOLDER; calling it again trains a new run there. Each command
# that it shows, and each that the program advises on the way, works in the shell that called it.
set -eu

cnn=$1
folder=$2

# What is typed for a word in a shell.
typed() {
    case $1 in
        *[!A-Za-z0-9_./-]*) ;;
        *) printf '%s' "$1"; return ;;
    esac
    rest=$1
    quoted=
    while [ "${rest#*\'}" != "$rest" ]; do
        quoted="$quoted${rest%%\'*}'\\''"
        rest=${rest#*\'}
    done
    printf "'%s'" "$quoted$rest"
}

step() {
    printf '\n$ %s' "$(typed "$cnn")"
    for word in "$@"; do printf ' %s' "$(typed "$word")"; done
    printf '\n'
    "$cnn" "$@"
}

mkdir -p "$folder"
[ -d "$folder/images/train" ] || step sample "$folder/images"
step train "$folder/images" --arch lenet5 --epochs 12 --runs "$folder/runs"
step test "$folder/images" -m "$folder/runs/latest"
image=$(find "$folder/images/test" -name '*.png' | sort | head -n 1)
step predict "$image" -m "$folder/runs/latest"
step inspect -m "$folder/runs/latest" --out "$folder/filters"
step visualize-filters "$image" -m "$folder/runs/latest" --out "$folder/pictures"
step explain "$image" -m "$folder/runs/latest" --out "$folder/pictures"
step page "$folder/images" -m "$folder/runs/latest"

program=$(cd "$(dirname "$cnn")" && pwd)/$(basename "$cnn")
here=$(dirname "$program")
[ "$(command -v cnn || true)" = "$program" ] && program=cnn
printf '\nWhere to look, all under %s:\n' "$(cd "$folder" && pwd)"
printf '  %s\n' 'images/                the photos of clothes it learnt from, a folder per class' \
    'runs/latest/           the model, what it gets wrong (report.html), its learning curves (curves.png) and its history' \
    'filters/, pictures/    what the first layer looks for, what the image lights up, and why it got its answer'
printf 'The model itself as a page for your browser, which judges, explains and learns pictures:\n  %s\n' \
    "$(cd "$folder/runs/latest" && pwd)/page.html"
printf 'To ask more of this model, name it, for example:\n  %s explain --units relu2 -m %s\n' \
    "$(typed "$program")" "$(typed "$(cd "$folder" && pwd)/runs/latest")"
printf 'Your own images next, with a folder per class in FOLDER:\n  %s train FOLDER\n' "$(typed "$program")"
if [ "$program" != cnn ] && [ -f "$here/activate" ]; then
    printf 'So that cnn alone is enough in this shell:\n  . %s\n' "$(typed "$here/activate")"
fi
