#!/bin/sh
# Starts the newest software of this gateway that works. It stands outside the slots A and B, so that no update breaks it.
#   launch choose      before each start: counts the starts of an update on trial; after three it goes back
#   launch run …       starts feldsher-edge of the chosen slot, or of the factory's environment where there is none
# FELDSHER_SOFTWARE: the folder with a, b, current and trial. FELDSHER_FACTORY: the environment of the installation.
set -eu
root=${FELDSHER_SOFTWARE:-/var/lib/feldsher/software}
factory=${FELDSHER_FACTORY:-/opt/feldsher}

if [ "${1:-}" = choose ]; then
    [ -f "$root/trial" ] || exit 0
    new='' old='' starts=''
    read -r new old starts <"$root/trial" || true
    case $starts in '' | *[!0-9]*) starts=3 ;; esac # a damaged file is the end of the trial
    if [ "$starts" -ge 3 ]; then
        echo "feldsher: the update in slot $new did not stay up; back to ${old:--}" >&2
        if [ -d "$root/${old:--}" ]; then
            ln -sfn "$old" "$root/.current" && mv -T "$root/.current" "$root/current"
        else
            rm -f "$root/current"
        fi
        rm -f "$root/trial"
    else
        echo "$new $old $((starts + 1))" >"$root/.trial" && mv "$root/.trial" "$root/trial"
    fi
    sync "$root" 2>/dev/null || sync
    exit 0
fi

program=$root/current/env/bin/feldsher-edge
[ -x "$program" ] || program=$factory/bin/feldsher-edge
exec "$program" "$@"
