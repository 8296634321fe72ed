#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mqctl keys: a CA and nodes in one command each, as any other TLS program understands them.
. "$(dirname "$0")/lib.sh"
need openssl
keys=$DIR/keys

succeeds 'keys init' "$MQCTL" keys init "$keys"
match 'keys node says what to do with it' 'a.crt.*a.key.* ca.crt' "$("$MQCTL" keys node "$keys" a)"
succeeds 'keys node, another one' "$MQCTL" keys node "$keys" b
equal 'the files' 'a.crt a.key b.crt b.key ca.crt ca.key' "$(ls "$keys" | xargs)"
equal 'the modes' '600 600 600 644 644 644 700' "$(stat -c %a "$keys" "$keys"/* | sort | xargs)"

# --- what others see
for purpose in sslclient sslserver; do
	succeeds "openssl verify, $purpose" openssl verify -x509_strict -purpose "$purpose" -CAfile "$keys/ca.crt" "$keys/a.crt"
done
text=$(openssl x509 -in "$keys/a.crt" -noout -text)
match 'the name' $'URI:mqfs:node:a\n' "$text"
match 'the curve' 'NIST CURVE: P-256' "$text"
succeeds 'valid for at least 19 years' openssl x509 -in "$keys/a.crt" -noout -checkend $((19 * 365 * 86400))
equal 'key and certificate belong together' "$(openssl x509 -in "$keys/a.crt" -noout -pubkey)" "$(openssl pkey -in "$keys/a.key" -pubout)"

# --- what is refused
before=$(cat "$keys"/*)
refused 'init over a CA' 'ca.key: is there already' "$MQCTL" keys init "$keys"
refused 'a node over a node' 'a.key: is there already' "$MQCTL" keys node "$keys" a
refused 'no CA' 'mqctl keys init' "$MQCTL" keys node "$DIR/none" a
refused 'a name that is none' "a node's name is" "$MQCTL" keys node "$keys" ../a
refused 'no name' 'is .init DIR. or' "$MQCTL" keys node "$keys"
refused 'too many' 'is .init DIR. or' "$MQCTL" keys init "$keys" a
refused 'something else' 'is .init DIR. or' "$MQCTL" keys destroy "$keys"
refused 'nothing' 'is missing' "$MQCTL" keys
status 'the exit status' 2 "$MQCTL" keys init "$keys"
equal 'nothing has changed' "$before" "$(cat "$keys"/*)"
