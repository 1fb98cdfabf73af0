# Completion of conch for bash. It asks conch itself what could stand at the cursor, with the words of the line as they
# are: nothing in them is evaluated. Where conch knows nothing, bash completes names of files.
_conch() {
  local cur="${COMP_WORDS[COMP_CWORD]}" line
  local -a words=("${COMP_WORDS[@]:1:COMP_CWORD-1}")
  COMPREPLY=()
  [[ "$cur" == -* ]] && words+=("$cur")
  while IFS= read -r line; do
    [[ "${line%%:*}" == "$cur"* ]] && COMPREPLY+=("${line%%:*}") # behind the colon is what it is for
  done < <("$1" "${words[@]}" --generate-shell-completion 2>/dev/null </dev/null)
}
complete -o bashdefault -o default -F _conch conch
