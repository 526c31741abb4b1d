"""How roles and playbooks call this package: what a command answers, and what it does in check mode."""
