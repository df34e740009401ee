"""`broker completion SHELL`: the script with which a shell completes the words of `broker`."""

from __future__ import annotations

import argparse

from broker.cli import OK

# bash takes `=` for the end of a word, hence only what follows the last one is handed to it
BASH = r"""_broker() {
    local line="${COMP_LINE:0:COMP_POINT}" IFS=$'\n'
    local word="${line##* }" found
    mapfile -t found < <(broker complete -- "$line" 2>/dev/null)
    case "$word" in
        *=*) local before="${word%"${word##*=}"}"; COMPREPLY=("${found[@]#"$before"}") ;;
        *) COMPREPLY=("${found[@]}") ;;
    esac
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -F _broker broker
"""

ZSH = r"""_broker() {
    local -a found
    found=("${(@f)$(broker complete -- "${BUFFER[1,CURSOR]}" 2>/dev/null)}")
    compadd -Q -S '' -- ${(M)found:#*=}
    compadd -Q -- ${found:#*=}
}
compdef _broker broker
"""

FISH = """complete -c broker -f -a '(broker complete -- (commandline -cp) 2>/dev/null)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def run(args: argparse.Namespace) -> int:
    """Print it."""
    print(SCRIPTS[args.shell], end="")
    return OK
