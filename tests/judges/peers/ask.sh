#!/bin/sh
# Sends the request in requests/ID.json, and writes the answer to answers/ID.json. GNU parallel starts it for each row.
exec curl --silent --show-error --fail-with-body --retry 6 --retry-all-errors --output "answers/$1.json" \
    --header "x-api-key: $ANTHROPIC_API_KEY" --header "anthropic-version: 2023-06-01" \
    --header "content-type: application/json" --data "@requests/$1.json" "$ANTHROPIC_BASE_URL/v1/messages"
