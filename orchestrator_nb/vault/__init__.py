"""The vault: keys in one encrypted file, unlocked for a while, given out as handles. docs/vault-format.md is its format, docs/vault.md its promise."""
