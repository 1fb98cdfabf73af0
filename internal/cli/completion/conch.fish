# Completion of conch for fish. The words are handed to conch as they stand: nothing in them is evaluated.
function __conch_complete
    set -l words (commandline -opc)
    set -lx CONCH_COMPLETE (commandline -ct)
    set -l found (command conch $words[2..-1] --generate-shell-completion 2>/dev/null </dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path $CONCH_COMPLETE
    end
end
complete -c conch -f -a '(__conch_complete)'
