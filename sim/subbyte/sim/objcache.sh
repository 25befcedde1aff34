#!/bin/sh
# Compiler of a simulator: objcache.sh FOLDER COMPILER ARGUMENT..., the last argument is the source.
# What comes with Verilator is the same in all simulators and takes longest: FOLDER keeps its objects.
folder=$1
shift
for source; do :; done
case "$source" in
*/include/verilated*.cpp)
    object=$(basename "$source" .cpp).o
    kept=$folder/$({ printf '%s\n' "$@"; "$1" --version; } | sha256sum | cut -c -64).o
    [ -f "$kept" ] && exec cp "$kept" "$object"
    "$@" || exit
    mkdir -p "$folder" && cp "$object" "$kept.$$" && mv "$kept.$$" "$kept" ;;
*) exec "$@" ;;
esac
