# What the machine's cloud tells it of its end. EC2's instance metadata, version 2, is asked every few seconds:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html (instance-action)
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html (noticeTime)
# It takes curl, a wget that can PUT, or python3: where none of them is, nothing is heard.

read_notice() { # sets notice: none | rebalance | eviction
    notice=none said='' said_boot=''
    [ -f "$root/notice" ] || return 0
    { read -r said_boot said <"$root/notice"; } 2>/dev/null
    [ "$said_boot" = "$boot" ] || return 0
    case $said in rebalance | eviction) notice=$said ;; esac
}

find_client() { # sets client
    if command -v curl; then
        client=curl
    elif wget --help 2>&1 | grep -e '--method' && wget --help 2>&1 | grep -e '--config'; then
        client=wget # busybox's cannot
    elif command -v python3; then
        client=python3
    fi
} >/dev/null 2>&1

# The header comes in on standard input: a token is nothing for a list of processes. No proxy, no redirection, no
# settings of the user's: this is a talk between the machine and its own cloud.
by_python='
import sys, urllib.error, urllib.request
name, _, value = sys.stdin.readline().strip().partition(": ")
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *words): return None
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay)
for url in sys.argv[2:]:
    try:
        with opener.open(urllib.request.Request(url, headers={name: value}, method=sys.argv[1]), timeout=2) as answer:
            print(answer.read(65536).decode("ascii", "replace"))
    except OSError: pass
'

ask() { # METHOD HEADER URL...: prints the answers that are no errors, one after the other
    method=$1 header=$2
    shift 2
    case $client in
    curl)
        curl -q -g -s -f -m 2 --noproxy '*' -X "$method" -K - "$@" <<END
header = "$header"
END
        ;;
    wget)
        (umask 077 && printf 'header = %s\n' "$header" >"$root/wgetrc") &&
            wget --config="$root/wgetrc" -q -O - -T 2 -t 1 --no-proxy --max-redirect=0 --method="$method" "$@"
        rm -f "$root/wgetrc"
        ;;
    python3)
        python3 -I -c "$by_python" "$method" "$@" <<END
$header
END
        ;;
    esac
} 2>/dev/null

get_token() { # sets token; fails without one. One that is old is asked for again, whatever became of it.
    [ -z "$token" ] || [ "$now" -ge $((token_at + 6000)) ] || return 0
    token=$(ask PUT 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$metadata/latest/api/token") token_at=$now
    # Somebody else than EC2 may have answered.
    case $token in '' | *[!A-Za-z0-9_=+/-]*) token='' && return 1 ;; esac
}

squeeze() { # TEXT; sets squeezed, without white space
    before=$IFS
    set -f
    # shellcheck disable=SC2086 # to be split
    set -- $1
    set +f
    IFS=''
    squeezed="$*"
    IFS=$before
}

look_for_notice() { # asks, and tells who waits. A notice is only ever followed by a worse one, in this boot.
    [ -n "$metadata" ] || return 0
    # A setup may have brought one.
    [ "$client" != none ] || find_client
    [ "$client" != none ] || return 0
    read_notice
    [ "$notice" != eviction ] || return 0
    read_clock
    get_token || return 0
    news=$metadata/latest/meta-data
    squeeze "$(ask GET "X-aws-ec2-metadata-token: $token" "$news/spot/instance-action" "$news/events/recommendations/rebalance")"
    # Two answers may stand here, and be whatever some portal says: only EC2's own words count.
    case $squeezed in
    '{'*'"action":"terminate"'*'}' | '{'*'"action":"stop"'*'}' | '{'*'"action":"hibernate"'*'}') word_of_end=eviction ;;
    '{'*'"noticeTime":"'[0-9]*'}') word_of_end=rebalance ;;
    *) return 0 ;;
    esac
    [ "$word_of_end" != "$notice" ] || return 0
    { printf '%s %s\n' "$boot" "$word_of_end" >"$root/notice.$$" && mv -f "$root/notice.$$" "$root/notice"; } 2>/dev/null
    wake
}
