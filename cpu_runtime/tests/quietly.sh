# Run a test program and show what it says on stderr only if it fails: the log is full of refusals,
# as it should be.
"$@" 2>"$1.log" && exit
status=$?
tail -n 60 "$1.log"
echo "FAILED with $status: $*"
exit 1
