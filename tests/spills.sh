#!/bin/bash
# No kernel of the cuda backend spills registers, for any architecture that it was built for: from
# what ptxas said when it was compiled.
set -u
cd "${abs_top_builddir:-.}" || exit 1

shopt -s nullglob
logs=(plugins/backend/cuda/*.ptxas)
[ ${#logs[@]} -gt 0 ] || { echo 'SKIP: no CUDA toolkit: nvcc compiled no kernel here'; exit 77; }

awk '
    /Compiling entry function/ {
        split($0, part, "\047"); kernel = part[2]; arch = part[4]; archs[arch]++; kernels++
    }
    /bytes spill stores/ {
        properties++
        if (!/ 0 bytes spill stores, 0 bytes spill loads/) {
            print FILENAME ": " kernel " spills for " arch ":" $0
            spilled++
        }
    }
    END {
        for (a in archs) text = text " " a
        printf "spills: %d kernels, for%s\n", kernels, text
        if (!kernels || properties < kernels) {
            print "spills: ptxas said too little"
            spilled++
        }
        exit spilled > 0
    }' "${logs[@]}"
