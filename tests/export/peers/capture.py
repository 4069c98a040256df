"""Stands in for the program that a script starts: prints the arguments that it would get."""

import json
import sys

print(json.dumps(sys.argv[1:]))
