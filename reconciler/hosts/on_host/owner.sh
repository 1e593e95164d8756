# Whose machine this is, where nobody bought it: one owner's words, put down and taken off as a whole.

take() { # WORDS: puts them down; fails with 8 where another's are, sets claimed
    case $1 in '' | *[[:cntrl:]]*) die 2 "a claim is one line of words" ;; esac
    [ -d "$root" ] || mkdir -p "$root" || die 4 "cannot write to $root"
    dir=$root claimed=''
    if publish claim "$1"; then return 0; fi
    { IFS= read -r claimed <"$root/claim"; } 2>/dev/null
    [ -f "$root/claim" ] || die 4 "cannot write to $root"
    [ "$claimed" = "$1" ] || return 8
}

cmd_claim() { # WORDS
    take "${1:-}" || die 8 "this machine is in use by: ${claimed:-nobody who said a name; delete $root/claim if that is so}"
}

cmd_release() { # [WORDS]: ends every job and takes the words off; where another's words are, nothing here is ours
    if [ -n "${1:-}" ]; then
        # Whoever comes now has to wait until our jobs have ended.
        take "$1" || return 0
    fi
    survey
    for dir in "$jobs"/*/; do
        job=${dir%/}
        job=${job##*/}
        case "$open," in *",$job="*) (cmd_kill "$job") >/dev/null 2>&1 & ;; esac
    done
    wait
    survey
    [ -z "$open" ] || die 6 "jobs will not end: ${open#,}"
    [ -z "${1:-}" ] || rm -f "$root/claim" || die 4 "cannot free $root/claim"
}
