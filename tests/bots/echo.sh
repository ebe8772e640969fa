#!/bin/sh
# Answers "!echo TEXT" with TEXT. It asks the API once a second: it needs nothing but curl and jq, and outlives the node.
#   echo.sh [localhost:8180 [FILE WITH WHAT IS ANSWERED]]
api=${1:-localhost:8180}
answered=${2:-$(mktemp)}
began=$(date +%s)000
: >>"$answered"

while sleep 1; do
    # What was said before this bot began is not answered.
    curl -sf "http://$api/messages" | jq -r --argjson began "$began" '.[]
        | select((.own | not) and (.entry.at // .at) >= $began)
        | select(.content | startswith("!echo ")) | "\(.entry.id // .id) \(.content[6:])"' |
    while read -r id text; do
        grep -qxF -- "$id" "$answered" && continue
        jq -n --arg msg "$text" '{$msg}' | curl -sf -d @- "http://$api/send" >/dev/null || continue
        printf '%s\n' "$id" >>"$answered"
    done
done
