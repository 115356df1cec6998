#!/usr/bin/env bash
# Streams an answer in a shell, with jq, and with nc (netcat-openbsd) or, after VIA=socat, with socat.
# usage: stream.sh MODEL PROMPT
set -euo pipefail
socket=${RKLLM_UDS_PATH:-/tmp/rkllm.sock}

connect() {
    case ${VIA:-nc} in
        # Both say that nothing more is sent, and wait until the daemon has answered everything.
        nc) nc -N -U "$socket" ;;
        socat) socat -t 86400 - "UNIX-CONNECT:$socket" ;;
    esac
}

# Loading takes long and clears every history, so load only a model that is not loaded.
loaded=$(echo '{"jsonrpc": "2.0", "id": 0, "method": "server.status"}' | connect |
    jq --raw-output '.result.model_path // ""')

# shellcheck disable=SC2016 # the variables are jq's
requests='
    (select($model != $loaded) |
     {jsonrpc: "2.0", id: 1, method: "rkllm.init", params: {param: {model_path: $model}}}),
    {jsonrpc: "2.0", id: 2, method: "rkllm.run_async",
     params: {rkllm_input: {role: "user", prompt_input: $prompt}}}'

# Each token is a response with the id 2; state 2 or 3 is the last one's.
answers='
    def fail: "\(.)\n" | halt_error(1);
    label $done | foreach (inputs, null) as $answer (null; $answer;
        if . == null then "The daemon has closed the connection." | fail
        elif .error then .error.message | fail
        elif .id == 1 or .result._callback_state == 1 then empty
        elif .result._callback_state == 0 then .result.text // ""
        elif .result._callback_state == 2 then "\n", break $done
        else "The run has failed." | fail
        end)'

jq --null-input --compact-output --arg model "$1" --arg loaded "$loaded" \
    --arg prompt "$2" "$requests" |
    connect |
    jq --null-input --join-output --unbuffered "$answers"
