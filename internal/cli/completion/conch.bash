# Completion of conch for bash. The line is split at blanks and handed to conch as it stands: nothing in it is evaluated.
# Without candidates, bash completes names of files.
_conch() {
  local line="${COMP_LINE:0:COMP_POINT}" cur="" candidate head
  local -a words
  read -ra words <<< "${line} "
  [[ "$line" == *[![:space:]] ]] && { cur="${words[-1]}"; unset 'words[-1]'; }
  head="${cur%"${cur##*[=:]}"}" # bash replaces only what stands behind it
  COMPREPLY=()
  while IFS=$'\t' read -r candidate _; do
    COMPREPLY+=("${candidate#"$head"}")
  done < <(CONCH_COMPLETE="$cur" "$1" "${words[@]:1}" --generate-shell-completion 2>/dev/null </dev/null)
}
complete -o bashdefault -o default -F _conch conch
