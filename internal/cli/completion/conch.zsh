#compdef conch
# Completion of conch for zsh. The words are handed to conch as they stand: nothing in them is evaluated.
_conch() {
  local line
  local -a names shown
  while IFS= read -r line; do
    names+=("${line%%$'\t'*}")
    shown+=("${line/$'\t'/  -- }")
  done < <(CONCH_COMPLETE="${(Q)words[CURRENT]}" "${(Q)words[1]}" "${(@Q)words[2,CURRENT-1]}" --generate-shell-completion 2>/dev/null </dev/null)
  if (( $#names )); then compadd -l -d shown -a names; else _files; fi
}
compdef _conch conch
