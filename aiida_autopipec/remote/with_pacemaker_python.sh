#!/bin/sh
# Run a script with the Python that Pacemaker is installed in.
#
#   sh with_pacemaker_python.sh EXECUTABLE SCRIPT [ARGUMENT...]
#
# That Python is named in the first line of the executable. Long paths hide it in the second line (pip, uv and conda
# write a small shell script then), and wrappers do not name it at all: then a Python beside the executable or on the
# PATH may have it.
executable=$(command -v "$1") || executable=$1
shift
interpreter=$(sed -n "1s/^#![[:space:]]*//p" "$executable" 2>/dev/null)
hidden=$(sed -n "2s/^'''exec' [\"']\{0,1\}\([^\"']*[^\"' ]\)[\"']\{0,1\} \"\$0\".*/\1/p" "$executable" 2>/dev/null)
folder=$(dirname "$(readlink -f "$executable" 2>/dev/null || echo "$executable")")
for candidate in "$hidden" "$interpreter" "$folder/python" "$(dirname "$executable")/python" python3 python; do
  [ -n "$candidate" ] || continue
  case "$candidate" in
    "/usr/bin/env "*) candidate=${candidate#/usr/bin/env } ;;
  esac
  if "$candidate" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("pyace") is None)' 2>/dev/null; then
    exec "$candidate" "$@"
  fi
done
echo "no Python with pyace was found for $executable" >&2
exit 1
